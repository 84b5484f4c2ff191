"""Releases: a version that waits is asked by its number and serves once it answered; one command goes back.

The aliases are those of the local gateway, over instances that answer from memory.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from discovery import read_scripts
from local.program.functions import Function
from local.service.gateway import Gateway
from local.service.http_api import serve
from tests.local.functions_to_run import InMemory, declare
from warmup.cli import release
from warmup.cli.access import Access
from warmup.cli.command import Command
from warmup.cli.release import Releases, failures_in_log, roll_back
from warmup.cli.stack import StackClient
from warmup.cli.versions import MODELS, Versions, models_text
from warmup.protocol.errors import ErrorKind, WarmupError
from warmup.protocol.events import ReleaseEvent
from warmup.protocol.models import models_of_scripts
from warmup.protocol.outputs import MOST_CANARY_MINUTES, GatedRelease, StackOutputs
from warmup.protocol.reports import Released, WarmReport
from warmup.worker import release_handler
from warmup.worker.logs import log_to_stdout
from warmup.worker.release_handler import MARGIN_SECONDS, MOST_ROUNDS

NAMES = ("one", "two")
SCRIPT = (
    "from hf_lambda import endpoint, pipeline\n"
    'run = pipeline("fill-mask", model="org/{name}", revision="v{version}")\n'
    "EXAMPLE = {{'text': 'Hi'}}\n@endpoint\ndef handler(text: str): return run(text)\n"
)


@dataclass
class Stage:
    client: StackClient
    broken: set[tuple[str, str]]
    """Endpoints and versions that fail."""
    said: list[tuple[str, str]] = field(default_factory=list)

    @property
    def versions(self) -> Versions:
        return Versions(self.client)

    def releases(self, failures: Callable[[str, str, float], int] = lambda *asked: 0) -> Releases:
        gated = self.client.outputs.release
        assert gated
        return Releases(self.client, gated, lambda *what: self.said.append(what), failures)

    def serve(self, version: str) -> None:
        for name in NAMES:
            self.versions.move(name, version, seen=self.versions.serving(name))

    def answers(self, name: str, times: int = 1) -> list[str]:
        return [self.client.ask(name, b"{}").payload["body"]["version"] for _ in range(times)]


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Two endpoints with three versions each, of which the newest waits behind the second."""
    broken: set[tuple[str, str]] = set()

    def answer(function: Function, event: Any) -> tuple[Any, bool]:
        """Its version."""
        if (function.name, str(function.version)) in broken:
            return {"statusCode": 503, "body": {"error": {"message": "not prepared"}}}, False
        return {"statusCode": 200, "body": {"version": function.version}}, False

    functions = []
    for name in NAMES:
        for version in ("1", "2", "3"):
            folder = tmp_path / version
            folder.mkdir(exist_ok=True)
            (folder / f"{name}.py").write_text(SCRIPT.format(name=name, version=version))
            models = models_of_scripts([each for each in read_scripts(folder) if each.name == name])
            functions.append(declare(name, version=version, environment={MODELS: models_text(models)}))
    arns = {function.name: f"{function.arn}:live" for function in functions}
    gated = GatedRelease(dict.fromkeys(NAMES, "3"), canary=10, canary_minutes=5)
    with serve(Gateway(functions, InMemory(answer))) as url:
        outputs = StackOutputs(functions[0].arn, arns, "dev", url, release=gated)
        stage = Stage(StackClient(outputs, Access("us-east-1")), broken)
        stage.serve("2")
        yield stage


def test_a_version_serves_after_a_canary_in_which_it_failed_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights: list[object] = []

    def fine(endpoint: str, version: str, since: float) -> int:
        weights.append((endpoint, version, stage.versions.serving(endpoint).weights))
        return 0

    monkeypatch.setattr(release, "now", iter(range(0, 10**6, 60)).__next__)
    monkeypatch.setattr(release, "WATCH_SECONDS", 0)
    releases = stage.releases(fine)
    done = releases.release(releases.waiting(NAMES), {})
    assert done == (Released("one", "3", "2"), Released("two", "3", "2"))
    assert {("one", "3"), ("two", "3")} == {each[:2] for each in weights}  # type: ignore[index]
    assert all(each[2] == {"3": 0.1} for each in weights)  # type: ignore[index]
    for name in NAMES:
        serving = stage.versions.serving(name)
        assert (serving.version, serving.weights, serving.before) == ("3", {}, "2")
    assert ("one", "version 3 gets 10 % of the requests for 5 min") in stage.said
    assert releases.waiting(NAMES) == []


def test_one_failure_of_a_canary_brings_the_version_before_back_and_holds_no_other(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "now", iter(range(0, 10**6, 60)).__next__)
    monkeypatch.setattr(release, "WATCH_SECONDS", 0)
    releases = stage.releases(lambda endpoint, version, since: 2 if endpoint == "one" else 0)
    done = releases.release(releases.waiting(NAMES), {})
    assert done == (
        Released("one", "3", "2", "it failed 2 requests of its 10 %"),
        Released("two", "3", "2"),
    )
    assert (stage.versions.serving("one").version, stage.versions.serving("one").weights) == ("2", {})
    assert stage.answers("one") == ["2"] and stage.answers("two") == ["3"]


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), WarmupError("invoke", "no logs")])  # type: ignore[arg-type]
def test_a_canary_that_nobody_watches_any_more_ends(stage: Stage, fault: BaseException) -> None:
    def interrupted(*asked: object) -> int:
        assert stage.versions.serving("one").weights == {"3": 0.1}
        raise fault

    releases = stage.releases(interrupted)
    releases._gated = replace(releases._gated, canary_minutes=0)
    with pytest.raises(type(fault)):
        releases.release(releases.waiting(NAMES), {})
    assert [stage.versions.serving(name).weights for name in NAMES] == [{}, {}]
    assert [stage.versions.serving(name).version for name in NAMES] == ["2", "2"]


def test_a_canary_gets_its_share_of_the_requests(stage: Stage) -> None:
    seen = stage.versions.serving("one")
    stage.versions.move("one", "2", weights={"3": 0.5}, seen=seen)
    assert {*stage.answers("one", 40)} == {"2", "3"}


def test_who_moves_an_alias_meanwhile_is_not_overruled(stage: Stage) -> None:
    releases = stage.releases()
    releases._gated = replace(releases._gated, canary=0)
    waiting = releases.waiting(["one"])
    stage.versions.move("one", "1", seen=stage.versions.serving("one"))
    [done] = releases.release(waiting, {})
    assert done.error == "`live` was moved by somebody else meanwhile"
    assert stage.answers("one") == ["1"]


def test_a_rollback_goes_to_what_served_before_and_stays_until_somebody_says_otherwise(stage: Stage) -> None:
    stage.serve("1")
    releases = stage.releases()
    releases._gated = replace(releases._gated, canary=0)
    releases.release(releases.waiting(["one"]), {})
    assert stage.answers("one") == ["3"]
    assert roll_back(stage.client, ["one", "two"]) == (
        Released("one", "1", "3"),  # not 2, which never served before it
        Released("two", "1", "1", "there is no version before it"),
    )
    assert stage.answers("one") == ["1"]
    assert releases.waiting(["one"]) == []
    assert ("one", "version 3 was rolled back; --force releases it again") in stage.said
    assert [each.version for each in releases.waiting(["one"], also_rolled_back=True)] == ["3"]


def test_a_rollback_ends_a_canary(stage: Stage) -> None:
    stage.versions.move("one", "2", weights={"3": 0.1}, seen=stage.versions.serving("one"))
    assert roll_back(stage.client, ["one"]) == (Released("one", "2", "3"),)
    assert stage.versions.serving("one").weights == {}


class Silent:
    def show(self, key: str, progress: object) -> None:
        pass


def command(stage: Stage, folder: Path, monkeypatch: pytest.MonkeyPatch, failing: str | None) -> Command:
    """Of the third version's scripts; `failing`: a model that the warm-up cannot warm."""

    def run_jobs(client: object, runs: list, *, parallel: int, show: object) -> None:  # type: ignore[type-arg]
        for run in runs:
            if run.key == failing:
                run.error = WarmupError("not prepared", "int8 and fp32 differ")  # type: ignore[arg-type]

    monkeypatch.setattr("warmup.cli.command.run_jobs", run_jobs)
    gated = stage.client.outputs.release
    assert gated
    outputs = replace(stage.client.outputs, release=replace(gated, canary=0))
    client = StackClient(outputs, Access("us-east-1"))
    return Command(client, read_scripts(folder / "3"), only=None, parallel=2)


def test_what_cannot_be_warmed_or_does_not_answer_leaves_the_old_version_serving(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.broken.add(("two", "3"))
    outcome = command(stage, tmp_path, monkeypatch, "org/one@v3").warm(Silent())
    assert stage.answers("one") == ["2"] and stage.answers("two") == ["2"]
    said = [each for each in outcome.failures if "serves on" in each]
    assert said == [
        "one: version 2 serves on, version 3 was not released: org/one@v3 could not be warmed",
        "two: version 2 serves on, version 3 was not released: it answers 503: not prepared",
    ]
    # What was asked is the new version, by its number.
    assert outcome.report.endpoints[0].response == {"version": "3"}  # type: ignore[union-attr]
    stage.broken.clear()
    outcome = command(stage, tmp_path, monkeypatch, None).warm(Silent())
    assert outcome.failures == ()
    assert stage.answers("one") == ["3"] and stage.answers("two") == ["3"]


@dataclass
class Deployed:
    """What follows a deployment with `warmOnDeploy`: invocations of the function that releases."""

    stage: Stage
    folder: Path
    failing: str | None = None
    """A model that the warm-up cannot warm."""
    meanwhile: Callable[[], object] = lambda: None
    """Happens while models are warmed."""
    started: list[ReleaseEvent] = field(default_factory=list)

    def invoke(self, event: ReleaseEvent, canary: int, remaining_s: Callable[[], float]) -> WarmReport:
        gated = self.stage.client.outputs.release
        assert gated
        outputs = replace(self.stage.client.outputs, release=replace(gated, canary=canary))
        client = StackClient(outputs, Access("us-east-1"))
        return release_handler.run(
            event, client, read_scripts(self.folder / "3"), remaining_s, self.started.append
        )


@pytest.fixture
def deployed(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    deployed = Deployed(stage, tmp_path)

    def run_jobs(client: object, runs: list[Any], *, parallel: int, show: Callable[[Any], None]) -> None:
        deployed.meanwhile()
        for job in runs:
            if job.key == deployed.failing:
                job.error = WarmupError(ErrorKind.NO_PROGRESS, "int8 and fp32 differ")
            show(job)

    monkeypatch.setattr("warmup.cli.command.run_jobs", run_jobs)
    monkeypatch.setattr(release, "WATCH_SECONDS", 0)
    log_to_stdout()
    return deployed


def test_by_itself_what_cannot_be_prepared_leaves_the_old_version_serving_and_the_log_says_why(
    deployed: Deployed, stage: Stage, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed.failing = "org/one@v3"
    deployed.invoke(ReleaseEvent(), 0, lambda: 900.0)
    assert stage.answers("one") == ["2"] and stage.answers("two") == ["3"]
    assert deployed.started == []
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    failed = [each["message"] for each in lines if each["event"] == "failed"]
    assert failed == [
        "org/one@v3: int8 and fp32 differ",
        "one: version 2 serves on, version 3 was not released: org/one@v3 could not be warmed",
    ]
    assert {"event": "release", "endpoint": "two", "version": "3", "before": "2", "error": None} in lines


@pytest.mark.parametrize(("failures", "serves"), [(0, "3"), (1, "2")])
def test_a_canary_that_outlasts_an_invocation_is_watched_on_by_the_next(
    deployed: Deployed, stage: Stage, monkeypatch: pytest.MonkeyPatch, failures: int, serves: str
) -> None:
    stage.versions.move("one", "2", seen=stage.versions.serving("one"), before="1")
    monkeypatch.setattr(release, "failures_in_log", lambda *asked: 0)
    monkeypatch.setattr(release, "now", iter(range(0, 10**6, 60)).__next__)
    left = iter([900.0] * 4)  # of models and of two looks
    deployed.invoke(ReleaseEvent(), 10, lambda: next(left, 30.0))
    [following] = deployed.started
    assert following == ReleaseEvent(1, 0)
    assert [stage.versions.serving(name).weights for name in NAMES] == [{"3": 0.1}] * 2
    # It goes on where the first began, without asking or warming again.
    since: list[float] = []

    def fared(client: object, endpoint: str, version: str, began: float) -> int:
        since.append(began)
        return failures

    monkeypatch.setattr(release, "failures_in_log", fared)
    deployed.meanwhile = lambda: pytest.fail("the models are warm")
    deployed.invoke(ReleaseEvent.from_json(json.loads(json.dumps(following.to_json()))), 10, lambda: 900.0)
    assert {*since} == {0}
    assert deployed.started == [following]
    assert stage.answers("one") == [serves]
    serving = stage.versions.serving("one")
    assert (serving.weights, serving.before) == ({}, "1" if failures else "2")


def test_a_canary_that_somebody_ended_is_not_watched_on(deployed: Deployed, stage: Stage) -> None:
    roll_back(stage.client, ["one", "two"])
    assert deployed.invoke(ReleaseEvent(1, 0.0), 10, lambda: 900.0).releases == ()
    assert [stage.versions.serving(name).weights for name in NAMES] == [{}, {}]


def test_a_release_that_ends_while_models_are_warmed_is_what_the_next_one_starts_from(
    deployed: Deployed, stage: Stage
) -> None:
    deployed.meanwhile = lambda: stage.serve("1")
    deployed.invoke(ReleaseEvent(), 0, lambda: 900.0)
    assert (stage.answers("one"), stage.versions.serving("one").before) == (["3"], "1")


def test_who_goes_back_from_a_version_while_models_are_warmed_is_not_overruled(
    deployed: Deployed, stage: Stage
) -> None:
    def rolled_back() -> None:
        stage.serve("3")
        roll_back(stage.client, ["one"])

    deployed.meanwhile = rolled_back
    deployed.invoke(ReleaseEvent(), 0, lambda: 900.0)
    assert stage.answers("one") == ["2"]


def test_models_that_are_not_warm_in_time_are_awaited_by_the_next_and_not_for_ever(
    deployed: Deployed, stage: Stage
) -> None:
    deployed.invoke(ReleaseEvent(2), 0, lambda: 100.0)
    assert deployed.started == [ReleaseEvent(3)]
    assert stage.answers("one") == ["2"]
    [error] = deployed.invoke(ReleaseEvent(MOST_ROUNDS), 0, lambda: 100.0).errors
    assert "not warm after 9 invocations" in error and "python -m warmup --stack dev" in error
    assert deployed.started == [ReleaseEvent(3)] and stage.answers("one") == ["2"]
    # Lambda stops a function that has started itself some 16 times.
    a_canary = math.ceil(MOST_CANARY_MINUTES * 60 / (900 - MARGIN_SECONDS))
    assert 1 + MOST_ROUNDS + a_canary < 16


def test_prune_keeps_the_models_of_every_version(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    pruning = command(stage, tmp_path, monkeypatch, None)
    monkeypatch.setattr(
        "warmup.cli.command.run_jobs", lambda client, runs, **others: asked.extend(run.event for run in runs)
    )
    pruning.prune(Silent(), False, False)
    [event] = asked
    named = {(each["model"], each["revision"]) for each in event.to_json()["models"]}
    assert named == {(f"org/{name}", f"v{number}") for name in NAMES for number in (1, 2, 3)}


def test_failures_are_counted_by_the_version_in_the_name_of_the_log_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session = {"region_name": "us-east-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
    clients = {name: boto3.client(name, **session) for name in ("lambda", "logs")}  # type: ignore[call-overload]
    access = Access("us-east-1")
    monkeypatch.setattr(Access, "client", lambda self, service, **config: clients[service])
    client = StackClient(
        StackOutputs(
            "arn:aws:lambda:us-east-1:1:function:warmup",
            {"one": "arn:aws:lambda:us-east-1:1:function:one:live"},
            "dev",
        ),
        access,
    )
    streams = ("2026/11/28/one[3][aa]", "2026/11/28/one[2][bb]", "2026/11/28/one[13][cc]")
    with Stubber(clients["lambda"]) as of_lambda, Stubber(clients["logs"]) as of_logs:
        of_lambda.add_response(
            "get_function_configuration", {"LoggingConfig": {"LogGroup": "/aws/lambda/one"}}
        )
        for events in (streams, streams[1:]):
            of_logs.add_response(
                "filter_log_events",
                {"events": [{"logStreamName": each} for each in events]},
                {"logGroupName": "/aws/lambda/one", "startTime": 5000, "filterPattern": ANY},
            )
        assert failures_in_log(client, "one", "3", 5.0) == 1
