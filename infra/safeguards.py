"""What `kmsKeyArn`, `deadLetters` and `tracing` give every function: arguments, and what its role allows."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from hf_lambda.records import Json

from .encryption import Encryption

_KEPT_S = 14 * 24 * 3600
"""SQS keeps nothing longer."""
_TRACE: dict[str, Json] = {
    "Sid": "WriteTraces",
    "Effect": "Allow",
    "Action": ["xray:PutTraceSegments", "xray:PutTelemetryRecords"],
    "Resource": "*",  # these take no other
}


class DeadLetters(pulumi.ComponentResource):
    """Queue of the events that a function could not be given, or failed at each time that Lambda tried."""

    arn: pulumi.Output[str]
    name: pulumi.Output[str]

    def __init__(
        self, name: str, *, encryption: Encryption, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hf-lambda:infra:DeadLetters", name, None, opts)
        queue = aws.sqs.Queue(
            name,
            message_retention_seconds=_KEPT_S,
            **encryption.of_queue(),
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.arn, self.name = queue.arn, queue.name
        self.register_outputs({"arn": self.arn})


@dataclass(frozen=True)
class Safeguards:
    encryption: Encryption
    dead_letters: DeadLetters | None

    def statements(self, tracing: str, *, write: bool = False) -> list[dict[str, Json]]:
        """Of the function's role. `write`: it stores something itself."""
        found = self.encryption.use_statements(write=write or self.dead_letters is not None)
        if self.dead_letters:
            # https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
            found.append(
                {
                    "Sid": "KeepDeadLetters",
                    "Effect": "Allow",
                    "Action": "sqs:SendMessage",
                    "Resource": self.dead_letters.arn,
                }
            )
        return [*found, *([_TRACE] if tracing == "active" else [])]

    def arguments(self, tracing: str) -> dict[str, Json]:
        """Of aws.lambda_.Function; those that are not asked for are None."""
        return {
            "kms_key_arn": self.encryption.key_arn,
            "dead_letter_config": {"target_arn": self.dead_letters.arn} if self.dead_letters else None,
            # Said either way: the provider keeps what it is no longer told of.
            "tracing_config": {"mode": "Active" if tracing == "active" else "PassThrough"},
        }
