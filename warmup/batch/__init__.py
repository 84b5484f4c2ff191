"""A file of events through an endpoint: one line of answers for each line of events, in their order."""
