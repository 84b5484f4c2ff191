"""What `python -m warmup` does: jobs for the warm-up Lambda, questions to the endpoints, one report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from discovery import Declared, Script
from hf_lambda.manifest import DEFAULT_REVISION, PreparedEntry, requested_of
from hf_lambda.repo_id import is_bucket_folder, is_model_folder
from hf_lambda.tasks import head_of

from ..protocol.answers import (
    CacheStatus,
    DownloadPlan,
    ModelProgress,
    PruneResult,
    RelayedModel,
    VerifiedModel,
    WarmedModel,
)
from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.events import Action, ModelEvent, PruneEvent, StatusEvent
from ..protocol.models import ModelRequest, models_of_scripts
from ..protocol.outputs import LOCAL
from ..protocol.reports import (
    EndpointFailure,
    EndpointReport,
    PlanReport,
    PruneReport,
    Released,
    Report,
    RollbackReport,
    StatusReport,
    VerifyReport,
    WarmReport,
)
from ..worker.client_settings import read_token
from ..worker.jobs import OutOfTime
from .ask import ask_endpoints
from .own_bucket import bring, remove_unused
from .release import Releases, Waiting, roll_back
from .run_jobs import JobRun, run_jobs
from .stack import StackClient
from .versions import Versions

if TYPE_CHECKING:
    from .display import Display


ASKING_SECONDS = 300.0
"""A run that may take so long only has to have its models warm: what is left is for the endpoints."""


@dataclass(frozen=True)
class Outcome:
    """`failures` names what went wrong, a line each.

    canaries_since: when those began that are under way, where a run ended before them.
    """

    report: Report
    failures: tuple[str, ...] = ()
    canaries_since: float | None = None


class Command:
    """One run against one deployed stack. `only`: the models of this repository alone.

    time_left: seconds that the run may still take.
    """

    def __init__(
        self,
        client: StackClient,
        scripts: Sequence[Script],
        *,
        only: str | None,
        parallel: int,
        time_left: Callable[[], float] = lambda: inf,
    ) -> None:
        self._client, self._parallel, self._only = client, parallel, only
        self._time_left = time_left
        self._stack = client.outputs.stack
        in_image = client.outputs.in_image
        cached = [script for script in scripts if script.name not in in_image]
        self._every_model = models_of_scripts(cached, client.outputs.memory_mb)
        self._unseen = tuple(note for script in scripts for note in script.unseen)
        self._models = [model for model in self._every_model if only in (None, model.repo_id)]
        used = {model.repo_id for model in models_of_scripts(scripts)}
        if only is not None and only not in used:
            known = ", ".join(sorted(used)) or "no model at all"
            raise WarmupError(ErrorKind.USAGE, f"--model: no script uses {only!r}; they use {known}")
        self._scripts = [script for script in scripts if self._concerns(script)]

    def warm(self, display: Display, *, force: bool = False) -> Outcome:
        """Upload where nothing in AWS reaches the Hub, warm every model, ask every endpoint.

        Where versions wait to be released they are asked, and serve once they answered. `force`: also those
        that somebody went back from. Raises OutOfTime where the models are not warm in time.
        """
        releases, waiting = self._waiting(display, force)
        runs = self._run(Action.WARM, display, upload=True)
        warmed = tuple(run.result for run in runs if isinstance(run.result, WarmedModel))
        refused = tuple(
            f"{run.key} is refused for {use.task}: {use.reason}"
            for run in runs
            if isinstance(run.result, WarmedModel)
            for use in run.result.refused
        )
        failing_code = self._try_code({run.key for run in runs if run.error is None}, display)
        # In any case: what an endpoint serves may be there from an earlier run.
        asking = releases.at_their_versions(waiting) if releases else self._client
        endpoints = self._ask(warmed, asking)
        failed = [each for each in endpoints if isinstance(each, EndpointFailure)]
        held = {each.name: f"it {each.error}" for each in failed}
        held |= self._not_warm({run.key for run in runs if run.error is not None})
        released: tuple[Released, ...] = ()
        if releases:
            # Minutes have gone: what serves now counts.
            waiting = releases.waiting([each.endpoint for each in waiting], also_rolled_back=force)
            released = releases.release(waiting, held)
        failures = (
            *_failures(runs),
            *refused,
            *failing_code,
            *(f"{each.name}: {each.error}" for each in failed),
            *_not_released(released),
        )
        advice = tuple(memory_advice(self._scripts, self._client.outputs.memory_mb, warmed))
        relays = tuple(
            run.relay.result for run in runs if run.relay and isinstance(run.relay.result, RelayedModel)
        )
        report = WarmReport(
            self._stack, warmed, endpoints, failures, advice=advice, relays=relays, releases=released
        )
        return Outcome(report, failures, releases.under_way_since if releases else None)

    def watch(self, display: Display, since: float) -> Outcome:
        """Go on with the canaries that an earlier run began then."""
        releases, waiting = self._waiting(display, force=False)
        if releases is None:
            return Outcome(WarmReport(self._stack))
        under_way = [each for each in waiting if each.version in each.serving.weights]
        released = releases.release(under_way, {}, since=since)
        failures = tuple(_not_released(released))
        return Outcome(WarmReport(self._stack, releases=released), failures, releases.under_way_since)

    def rollback(self, endpoint: str | None) -> Outcome:
        """Of one endpoint, or of all."""
        known = self._client.outputs.functions
        if endpoint is not None and endpoint not in known:
            names = ", ".join(sorted(known)) or "none"
            message = f"there is no endpoint {endpoint!r} in stack {self._stack}; there are: {names}"
            raise WarmupError(ErrorKind.USAGE, message)
        done = roll_back(self._client, [endpoint] if endpoint else sorted(known))
        failures = tuple(
            f"{each.name}: version {each.before} serves on: {each.error}" for each in done if each.error
        )
        return Outcome(RollbackReport(self._stack, done), failures)

    def _waiting(self, display: Display, force: bool) -> tuple[Releases | None, list[Waiting]]:
        gated = self._client.outputs.release
        if gated is None:
            return None, []

        def say(endpoint: str, what: str) -> None:
            display.show(endpoint, ModelProgress(phase="release", note=what))

        releases = Releases(self._client, gated, say, time_left=self._time_left)
        return releases, releases.waiting([script.name for script in self._scripts], also_rolled_back=force)

    def _not_warm(self, failed: set[str]) -> dict[str, str]:
        """Endpoint -> that one of its models could not be warmed; the cache may hold another commit of it."""
        return {
            script.name: f"{model.key} could not be warmed"
            for script in self._scripts
            for model in models_of_scripts([script])
            if model.key in failed
        }

    def _try_code(self, warm: set[str], display: Display) -> tuple[str, ...]:
        """Load what runs code, in the function that is there for it; failures, a line each."""
        models = tuple(model for model in self._models if model.runs_code and model.key in warm)
        failures = []
        for model in models:
            display.show(model.key, ModelProgress(phase="try", note=f"runs code that {model.repo_id} names"))
            try:
                trials = self._client.try_code(ModelEvent(Action.TRY, (model,))).trials
            except WarmupError as error:
                failures.append(f"{model.key}: {error}")
                continue
            failures += [
                f"{model.key}: its own code does not load it for {trial.task}: {trial.error}"
                for trial in trials
                if trial.error
            ]
        return tuple(failures)

    def plan(self, display: Display) -> Outcome:
        runs = self._run(Action.PLAN, display)
        plans = tuple(run.result for run in runs if isinstance(run.result, DownloadPlan))
        return Outcome(PlanReport(self._stack, plans), _failures(runs))

    def verify(self, display: Display) -> Outcome:
        runs = self._run(Action.VERIFY, display)
        verified = tuple(run.result for run in runs if isinstance(run.result, VerifiedModel))
        damaged = tuple(f"{bad.path} {bad.fault}" for each in verified for bad in each.faults)
        return Outcome(VerifyReport(self._stack, verified), (*_failures(runs), *damaged))

    def status(self) -> Outcome:
        found = self._client.ask_warmup(StatusEvent(tuple(self._models)), CacheStatus)
        return Outcome(StatusReport(self._stack, found.models, found.unused, found.free_bytes))

    def prune(self, display: Display, dry_run: bool, force: bool) -> Outcome:
        """`force`: also what scripts may load unseen."""
        unseen = () if force else self._unseen
        models = (*self._every_model, *self._models_of_versions())
        run = JobRun("cache", PruneEvent(models, self._only, dry_run, unseen=unseen, force=force))
        self._run_jobs([run], display)
        result = run.result if isinstance(run.result, PruneResult) else None
        if result is not None and not dry_run and self._only is None:
            for folder in {script.path.parent for script in self._scripts}:
                remove_unused(folder, {model.repo_id for model in models})
        return Outcome(PruneReport(self._stack, result), (str(run.error),) if run.error else ())

    def _models_of_versions(self) -> list[ModelRequest]:
        """What published versions use: a rollback must find it in the cache."""
        versions = Versions(self._client)
        return [
            model
            for endpoint in sorted(self._client.outputs.functions)
            for version in versions.published(endpoint)
            for model in version.models
        ]

    def _run(self, action: Action, display: Display, *, upload: bool = False) -> list[JobRun]:
        runs = [self._job(action, model) for model in self._models]
        if action in (Action.WARM, Action.PLAN):
            self._bring(runs, display)
        if upload and self._client.outputs.staging_bucket:
            self._upload(runs, self._client.outputs.staging_bucket, display)
        self._run_jobs([run for run in runs if run.error is None], display)
        return runs

    def _bring(self, runs: Sequence[JobRun], display: Display) -> None:
        """Models of buckets, beside the scripts, where a folder would be read; failed runs get the error."""
        for model, run in zip(self._models, runs, strict=True):
            if not is_bucket_folder(model.repo_id):
                continue

            def show(progress: ModelProgress, run: JobRun = run) -> None:
                run.progress = progress
                display.show(run.key, progress)

            try:
                if self._stack != LOCAL and not self._client.outputs.staging_bucket:
                    message = (
                        f"{model.repo_id} comes through the staging bucket: pulumi config set egress none"
                    )
                    raise WarmupError(ErrorKind.USAGE, message)
                bring(model.repo_id, self._folder_of(model), self._client.access, show)
            except WarmupError as error:
                run.error = error

    def _job(self, action: Action, model: ModelRequest) -> JobRun:
        """What resolves a revision, or fetches, goes through the relay where there is one."""
        event, relay = ModelEvent(action, (model,)), self._client.relay
        by_itself = action not in (Action.WARM, Action.PLAN) or is_model_folder(model.repo_id)
        if relay is None or by_itself:
            return JobRun(model.key, event)
        if action is Action.PLAN:
            return JobRun(model.key, event, client=relay)
        bringing = ModelEvent(Action.FETCH, (model,))
        relayed = JobRun(model.key, bringing, client=relay, label=f"{model.key}: Hub -> S3")
        return JobRun(model.key, event, relay=relayed, label=f"{model.key}: S3 -> EFS")

    def _run_jobs(self, runs: Sequence[JobRun], display: Display) -> None:
        def show(run: JobRun) -> None:
            display.show(run.label or run.key, run.progress)
            if self._time_left() < ASKING_SECONDS:
                raise OutOfTime

        run_jobs(self._client, runs, parallel=self._parallel, show=show)

    def _upload(self, runs: Sequence[JobRun], bucket: str, display: Display) -> None:
        """Upload every model; runs whose upload failed get its error."""
        from huggingface_hub import get_token

        from ..worker.folder import FolderSource
        from ..worker.hub import ON_THIS_MACHINE, HubSource
        from .upload import upload_model

        cache = Path(os.environ.get("WARMUP_STAGING_CACHE") or Path.home() / ".cache" / "hf-lambda")
        for model, run in zip(self._models, runs, strict=True):
            if run.error is not None:
                continue

            def note(text: str, run: JobRun = run) -> None:
                run.progress = replace(run.progress, note=text)
                display.show(run.key, run.progress)

            def show(progress: ModelProgress, run: JobRun = run) -> None:
                run.progress = replace(progress, phase=f"upload: {progress.phase}", note=run.progress.note)
                display.show(run.key, run.progress)

            token = read_token(os.environ) or get_token()
            hub = HubSource(os.environ.get("HF_ENDPOINT"), token, note, fixes=ON_THIS_MACHINE)
            try:
                source = FolderSource(self._folder_of(model)) if is_model_folder(model.repo_id) else hub
                upload_model(model, bucket, source, cache, self._client.access, show)
            except WarmupError as error:
                run.error = error

    def _folder_of(self, model: ModelRequest) -> Path:
        """Where the scripts lie that use `model`, which is a folder beside them."""
        users = (s for s in self._scripts if any(each.model == model.repo_id for each in s.pipelines))
        return next(users).path.parent

    def _ask(self, warmed: Sequence[WarmedModel], client: StackClient) -> tuple[EndpointReport, ...]:
        commits = {(model.repo_id, model.revision): model.commit for model in warmed}
        return tuple(
            ask_endpoints(
                client,
                self._scripts,
                lambda repo_id, revision: commits.get((repo_id, revision or "main")),
                parallel=self._parallel,
            )
        )

    def _concerns(self, script: Script) -> bool:
        return self._only is None or any(pipeline.model == self._only for pipeline in script.pipelines)


def memory_advice(
    scripts: Sequence[Script], memory_mb: Mapping[str, int], warmed: Sequence[WarmedModel]
) -> Iterator[str]:
    """Functions that have less memory than their language model takes; `memory_mb` is theirs, by script."""
    for script in scripts:
        for pipeline in script.pipelines if script.name in memory_mb else ():
            made = prepared_for(pipeline, warmed)
            if made and made.memory_mb > memory_mb[script.name]:
                yield (
                    f"{script.name}: {pipeline.model} as {made.precision} takes {made.memory_mb} MB with "
                    f"{made.context} tokens, the function has memoryMb {memory_mb[script.name]}: raise it, "
                    "or give the pipeline a smaller max_context"
                )


def prepared_for(pipeline: Declared, warmed: Sequence[WarmedModel]) -> PreparedEntry | None:
    """What a warm-up made for `pipeline`, where it prepared anything."""
    requested = requested_of(pipeline.precision, pipeline.adapter, pipeline.adapter_revision)
    asked = (pipeline.model, pipeline.revision or DEFAULT_REVISION, head_of(pipeline.task), requested)
    every = ((each, made) for each in warmed for made in each.prepared)
    found = (m for each, m in every if (each.repo_id, each.revision, m.head, m.requested) == asked)
    return next(found, None)


def _not_released(releases: Sequence[Released]) -> Iterator[str]:
    for each in releases:
        if each.error is not None:
            serving = f"{each.name}: version {each.before} serves on"
            yield f"{serving}, version {each.version} was not released: {each.error}"


def _failures(runs: Sequence[JobRun]) -> tuple[str, ...]:
    return tuple(f"{run.key}: {run.error}" for run in runs if run.error)
