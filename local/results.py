"""What became of the asynchronous requests to an endpoint of a stack: what `make results` prints."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from hf_lambda.ping import PING
from local.service import results
from warmup.cli.access import Access
from warmup.cli.stack import access_to, read_outputs
from warmup.protocol.errors import ErrorKind, WarmupError
from warmup.protocol.outputs import LOCAL, StackOutputs
from warmup.protocol.records import Json, Record

AT_ONCE = 10
"""Messages that SQS hands out in one answer, at most."""
WAIT_S = 1
"""For a message. A poll that waits asks every server that may hold one, another only some."""


@dataclass(frozen=True)
class Results(Record):
    """What `make results JSON=1` prints: Lambda's records."""

    function: str
    stack: str
    results: tuple[Json, ...]


def read_results(function: str, stack: str, root: Path, folder: Path) -> Iterator[Json]:
    """Every message, first the answers; each is removed once the next one is asked for. Raises WarmupError.

    folder: of the local stack's.
    """
    outputs = read_outputs(root, stack)
    if function not in outputs.queues:
        known = ", ".join(sorted(outputs.queues)) or "none"
        message = (
            f"{function} keeps no results in stack {stack}; those that do: {known}. Set it: pulumi config "
            f"set --path endpoints.{function}.async true, then {outputs.deploy_command}"
        )
        raise WarmupError(ErrorKind.USAGE, message)
    for kind in (results.ANSWERS, results.FAILURES):
        if stack == LOCAL:
            found = results.take(folder, function, kind)
        else:
            found = _of_sqs(access_to(root, outputs), outputs, function, kind)
        # Pings of `keepWarm` are asynchronous too.
        yield from (record for record in found if record.get("requestPayload") != PING)


def _of_sqs(access: Access, outputs: StackOutputs, function: str, kind: str) -> Iterator[Json]:
    url = outputs.queues[function][kind]
    try:
        client = access.client("sqs")
        while True:
            answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=AT_ONCE, WaitTimeSeconds=WAIT_S)
            if not (messages := answer.get("Messages")):
                return
            for message in messages:
                yield json.loads(message["Body"])
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    except (BotoCoreError, ClientError) as error:
        raise access.problem(error) or WarmupError(
            ErrorKind.INVOKE, f"cannot read the {kind} of {function} ({url}): {error}"
        ) from error
