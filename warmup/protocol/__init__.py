"""What passes between the operator's machine and the warm-up Lambda: events, answers, errors, reports.

`errors`: why something failed. `models`: what is to be warmed. `events`: what the Lambda is asked for.
`answers`: what it answers. `reports`: what `--json` prints and `report.json` holds.
"""
