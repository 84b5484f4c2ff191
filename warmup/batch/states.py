"""A batch of S3: the state machine of an endpoint is started, and followed until its results are there.

The machine is infra/batch.py's. Everything runs in AWS: stopped, the same command joins what goes on.
"""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from ..cli.access import Access
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.outputs import LINES_OF_A_CHILD, BatchMachines
from ..protocol.records import Json, Record

SCHEME = "s3://"
POLL_SECONDS = 5.0
_RUNNING = ("RUNNING", "PENDING_REDRIVE")


@dataclass(frozen=True)
class Place(Record):
    """An object of S3, or the beginning of its keys."""

    bucket: str
    key: str

    @classmethod
    def of(cls, url: str, machines: BatchMachines) -> Place:
        """Raises WarmupError where it is none, or none that the machine may use."""
        bucket, _, key = url.removeprefix(SCHEME).partition("/")
        if not url.startswith(SCHEME) or not bucket or not key:
            message = f"{url!r} is no object of S3; write for instance s3://{machines.bucket.rstrip('/')}/..."
            raise WarmupError(ErrorKind.USAGE, message)
        if not f"{bucket}/{key}".startswith(machines.bucket):
            raise WarmupError(
                ErrorKind.USAGE,
                f"{url} is not in {SCHEME}{machines.bucket}, the batchBucket of the stack, where its state "
                "machines read and write",
            )
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Counts:
    """Of lines, as the map run has them."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        return self.succeeded + self.failed


@dataclass(frozen=True)
class Ended:
    """`manifest`: what names the files of results."""

    counts: Counts
    manifest: Place


@dataclass(frozen=True)
class StatesReport(Record):
    """What became of a batch of S3. `errors`: lines whose output is an error; `failed`: without an output."""

    stack: str
    endpoint: str
    execution: str
    results: tuple[str, ...]
    lines: int
    errors: int
    failed: int
    seconds: float


class MachineRun:
    """One batch: its execution, which AWS knows by a name that is made of what goes in and comes out."""

    def __init__(self, access: Access, machine_arn: str, given: Place, results: Place) -> None:
        self._states, self._s3 = access.client("stepfunctions"), access.client("s3")
        self._access, self._machine_arn = access, machine_arn
        self._given, self._results = given, results
        self.arn = ""

    def start(self, *, parallel: int, tolerated_percent: float) -> str:
        """Start it, join it where it runs, take it up where it failed; what was done, for people.

        Raises WarmupError.
        """
        event = {
            "input": self._given.to_json(),
            "results": {"bucket": self._results.bucket, "prefix": self._results.key},
            "children": max(1, math.ceil(parallel / LINES_OF_A_CHILD)),
            "toleratedPercent": tolerated_percent,
        }
        with self._worded():
            tag = self._s3.head_object(Bucket=self._given.bucket, Key=self._given.key)["ETag"]
            named = "\0".join((self._machine_arn, str(self._given), str(self._results), tag))
            name = hashlib.sha256(named.encode()).hexdigest()[:_NAME_DIGITS]
            self.arn = f"{self._machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
            try:
                started = self._states.start_execution(
                    stateMachineArn=self._machine_arn, name=name, input=json.dumps(event)
                )
            except self._states.exceptions.ExecutionAlreadyExists:
                return self._take_up()
        self.arn = started["executionArn"]
        return "started"

    def _take_up(self) -> str:
        status = self._states.describe_execution(executionArn=self.arn)["status"]
        if status in _RUNNING:
            return "joined"
        if status == "SUCCEEDED":
            return "done already"
        # "it continues the failed execution from the unsuccessful step and uses the same input":
        # https://docs.aws.amazon.com/step-functions/latest/apireference/API_RedriveExecution.html
        self._states.redrive_execution(executionArn=self.arn)
        return "taken up where it failed"

    def follow(self, show: Callable[[Counts], None]) -> Ended:
        """Until it has ended. Raises WarmupError where it failed."""
        pause = threading.Event()
        while True:
            with self._worded():
                said = self._states.describe_execution(executionArn=self.arn)
                counts = self._counts()
            show(counts)
            if said["status"] not in _RUNNING:
                break
            pause.wait(POLL_SECONDS)
        if said["status"] != "SUCCEEDED":
            why = ": ".join(filter(None, (said.get("error"), said.get("cause")))) or said["status"]
            message = (
                f"the execution ended as {said['status']}, with {counts.succeeded:,} of {counts.total:,} "
                f"lines: {why}. Results and failures lie at {self._results}; the same command takes it up "
                f"again. {self.arn}"
            )
            raise WarmupError(ErrorKind.ENDPOINT, message)
        written = json.loads(said["output"])["ResultWriterDetails"]
        return Ended(counts, Place(written["Bucket"], written["Key"]))

    def results(self, manifest: Place) -> tuple[Place, ...]:
        """The files with the outputs."""
        with self._worded():
            raw = self._s3.get_object(Bucket=manifest.bucket, Key=manifest.key)["Body"].read()
        found = json.loads(raw)
        return tuple(
            Place(found["DestinationBucket"], each["Key"]) for each in found["ResultFiles"]["SUCCEEDED"]
        )

    def lines(self, place: Place) -> Iterator[dict[str, Json]]:
        with self._worded():
            for line in self._s3.get_object(Bucket=place.bucket, Key=place.key)["Body"].iter_lines():
                if line.strip():
                    yield json.loads(line)

    def _counts(self) -> Counts:
        runs = self._states.list_map_runs(executionArn=self.arn)["mapRuns"]
        if not runs:
            return Counts()
        items = self._states.describe_map_run(mapRunArn=runs[0]["mapRunArn"])["itemCounts"]
        failed = items["failed"] + items["timedOut"] + items["aborted"]
        return Counts(items["total"], items["succeeded"], failed)

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            raise self._access.problem(error) or WarmupError(
                ErrorKind.ENDPOINT, f"{self._given}: {error}"
            ) from error


_NAME_DIGITS = 32
