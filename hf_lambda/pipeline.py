"""Declares a model; loading starts in the background, the first call waits for it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from . import cold, engines, log, tasks
from .background import Future
from .completion import Completer, Completion
from .engines import Input
from .errors import BadRequest, ColdCache, DamagedCache, LoadFailed, ServingError
from .inputs import answer_in_list, answer_to_one, read_inputs
from .integrity import Expected, first_fault, prepared_files, snapshot_files
from .limits import (
    REMEDY,
    characters,
    check_generation,
    check_hypotheses,
    check_numbers,
    check_ranking,
    check_text,
    chunks,
    numbers,
)
from .log import Stopwatch, current_trace
from .manifest import Asked, cache_of, read_manifest, requested_of
from .parameters import (
    ENGINES,
    LOAD_OPTIONS,
    OWN_OPTIONS,
    adapter_problem,
    call_parameters,
    default_problem,
    generates,
    is_given,
    option_problem,
    parameters_of,
    precisions_of,
)
from .records import Json
from .remote_code import Consent, consent_problem, pinned_to

_ONE_AT_A_TIME = threading.Lock()
"""Two loads side by side share disk and processors, and the first answer would wait for both."""


def pipeline(
    task: str,
    model: str | None = None,
    config: None = None,
    tokenizer: None = None,
    feature_extractor: None = None,
    image_processor: None = None,
    video_processor: None = None,
    processor: None = None,
    revision: str | None = None,
    **options: Json,
) -> Pipeline:
    """What `transformers.pipeline` takes, and `engine`, `precision`, `samples`.

    Parameters of the calls become their defaults. Without `model` the task's well-known one, pinned.
    `trust_remote_code=True` needs a whole commit as `revision`, and as `code_revision` where another
    repository has the code.
    Costs nothing: inside Lambda the model loads in the background, elsewhere at the first call. Where Lambda
    makes instances before anybody asks, it is loaded here.
    Raises ValueError naming every option that is not supported.
    """
    given = {
        "config": config,
        "tokenizer": tokenizer,
        "feature_extractor": feature_extractor,
        "image_processor": image_processor,
        "video_processor": video_processor,
        "processor": processor,
        **options,
    }
    declared = Pipeline(tasks.canonical(task), model, revision, given, os.environ)
    if "AWS_LAMBDA_RUNTIME_API" in os.environ or "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
        declared.start()
        if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in _MADE_AHEAD:
            declared.get_ready()
    return declared


# Such an instance is frozen as soon as it asks for its first request, and a thread that loads with it. And
# "the 10-second timeout doesn't apply to functions that are using provisioned concurrency, SnapStart, or
# Lambda Managed Instances. [...] your initialization code can run for up to 15 minutes. The time limit is 130
# seconds or the configured function timeout (maximum 900 seconds), whichever is higher":
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
_MADE_AHEAD = ("provisioned-concurrency", "snap-start", "lambda-managed-instances")


@dataclass(frozen=True)
class LoadedEngine:
    """`label` as in the log; `load_ms`: what loading took."""

    engine: engines.Engine
    label: str
    load_ms: float
    files: list[Expected]
    """What it was loaded from."""


class Pipeline:
    """A declared model. Call it with one input or a list; a list in gives a list out, in padded batches."""

    def __init__(
        self,
        task: str,
        model: str | None,
        revision: str | None,
        options: Mapping[str, Json],
        environ: Mapping[str, str],
    ) -> None:
        problems = [option_problem(task, name, value) for name, value in options.items()]
        engine, precision = options.get("engine") or "auto", options.get("precision") or "auto"
        problems += [
            _not_one_of("engine", engine, ENGINES),
            _not_one_of("precision", precision, precisions_of(task)),
        ]
        problems += [default_problem(task, name, value) for name, value in options.items()]
        adapter, adapter_revision = options.get("adapter"), options.get("adapter_revision")
        problems.append(adapter_problem(adapter, adapter_revision, engine))
        trust, code_revision = options.get("trust_remote_code"), options.get("code_revision")
        problems.append(consent_problem(trust, revision, code_revision, engine))
        if any(problems):
            raise ValueError("; ".join(filter(None, problems)))
        if model is None:
            model, commit = tasks.default_model(task)
            revision = revision or commit
        self.task, self.model, self.revision = task, model, revision
        self._consent = Consent(code_revision) if trust else None
        # What a repository's code makes of a model is not what was prepared of it.
        self.engine, self.precision = "torch" if trust else engine, precision
        self._requested = requested_of(precision, adapter, adapter_revision)
        names = set(parameters_of(task)) - set(OWN_OPTIONS)
        self.defaults = {
            name: value for name, value in options.items() if name in names and is_given(task, name, value)
        }
        at_load = LOAD_OPTIONS.get(tasks.base_of(task), ())
        self._load_options = {name: options[name] for name in at_load if options.get(name) is not None}
        self._environ = environ
        self._engine = Future(self._load)
        self._is_new = True

    def start(self) -> None:
        """Load in the background."""
        self._engine.start()

    def get_ready(self) -> None:
        """Load, and infer once. Never raises: a request can say what is wrong, an init that fails cannot.

        The next call tries again what has failed.
        """
        from .first_call import first_call

        try:
            self._loaded()
            first_call(self, self.task)
        except Exception as error:  # noqa: BLE001 - said in the log, and raised again by the call
            log.write("not_ready", model=self.model, error=log.fault(error))

    def __call__(self, *inputs: Input, **parameters: Json) -> Json:
        """One result, or a list of them for a list; None for a parameter means its default.

        `top_k=None` asks for every label where it does in transformers, unless it is a handler's own default.
        Raises ServingError: BadRequest, Unprocessable, ColdCache or EngineUnavailable.
        """
        parameters = {name: value for name, value in parameters.items() if self._is_given(name, value)}
        is_split = bool({**self.defaults, **parameters}.get("is_split_into_words"))
        items, is_list = read_inputs(self.task, inputs, parameters, is_split=is_split)
        chosen = call_parameters(self.task, self.defaults, parameters)
        if not items:
            return []
        if tasks.base_of(self.task) == "text-ranking":
            check_ranking(items)
        else:
            for item in items:
                check_text(item)
        if generates(self.task):
            check_generation(len(items), chosen)
        if isinstance(labels := chosen.get("candidate_labels"), list):
            check_hypotheses(len(items), labels, str(chosen.get("hypothesis_template") or ""))
        results = self._run(items, chosen)
        if is_list:
            return [answer_in_list(self.task, result) for result in results]
        return answer_to_one(self.task, results[0], items[0])

    def stream(self, prompt: Input, **parameters: Json) -> Iterator[str]:
        """Generated text piece by piece, as it comes; never half a character. For text-generation."""
        yield from self.complete(prompt, **parameters).pieces

    def complete(self, prompt: Input, **parameters: Json) -> Completion:
        """One prompt's generations: `run()` them, or read their `pieces`; then `generated` tells of each.

        Raises as a call does, and TypeError for another task.
        """
        return self.complete_each([prompt], **parameters)[0]

    def complete_each(self, prompts: list[Input], **parameters: Json) -> list[Completion]:
        """As `complete`, of several prompts: those that are run whole are computed together."""
        if self.task != "text-generation":
            raise TypeError(f"{self.task} generates no text piece by piece: call the pipeline")
        parameters = {name: value for name, value in parameters.items() if value is not None}
        items = []
        for prompt in prompts:
            read, _ = read_inputs(self.task, (prompt,), parameters)
            if len(read) != 1:
                raise BadRequest(None, "one prompt: a text, or an array of messages", f"{len(read)} prompts")
            check_text(read[0])
            items += read
        chosen = call_parameters(self.task, self.defaults, parameters)
        check_generation(len(items), chosen)
        loaded = self._loaded()
        engine: Completer = loaded.engine  # type: ignore[assignment]
        completions = engine.complete_each(items, **chosen)
        for completion in completions:
            completion.on_end = lambda watch: self._account(loaded, watch)
        return completions

    def reads(self, name: str) -> bool:
        """Whether the model's chat template mentions `name`; so do all, where the engine does not tell."""
        reads = getattr(self._loaded().engine, "reads", None)
        return reads is None or bool(reads(name))

    def count_tokens(self, texts: list[Input]) -> int:
        """How many tokens `texts`, or pairs of them, have, as far as the engine tells."""
        count = getattr(self._loaded().engine, "count_tokens", None)
        return int(count(texts)) if count is not None else 0

    def loaded_as(self) -> str:
        """The label of the engine that answers: "onnx-int8", "torch", ... Loads it. Raises ServingError."""
        return self._loaded().label

    def max_tokens(self) -> int | None:
        """How many tokens of an input are read; None: any number, or the engine does not tell."""
        return getattr(self._loaded().engine, "max_tokens", None)

    def _is_given(self, name: str, value: Json) -> bool:
        trace = current_trace.get()
        if value is None and trace is not None and name in trace.left_out:
            return False  # `top_k: int | None = None` in a handler, and an event without it
        return is_given(self.task, name, value)

    def _run(self, items: list[Input], parameters: dict[str, Json]) -> list[Json]:
        loaded = self._loaded()
        watch = Stopwatch()
        results: list[Json] = []
        try:
            for some in chunks(items, characters):
                results += loaded.engine([*some], **parameters)
                check_numbers(sum(map(numbers, results)), REMEDY)
        except LoadFailed as error:  # of what an engine loads later
            self._engine = Future(self._load)
            self._check_all(loaded.files, error)
            raise
        self._account(loaded, watch)
        return results

    def _loaded(self) -> LoadedEngine:
        # A cache that was cold at init may be warm by now, and to look costs next to nothing.
        return self._engine.result(retry=ServingError)

    def _account(self, loaded: LoadedEngine, watch: Stopwatch) -> None:
        trace = current_trace.get()
        if trace is not None:
            trace.infer(loaded.label, watch.ms)
            trace.loaded(loaded.load_ms if self._is_new else 0.0)
        self._is_new = False

    def _load(self) -> LoadedEngine:
        with _ONE_AT_A_TIME:
            return self._load_alone()

    def _load_alone(self) -> LoadedEngine:
        watch = Stopwatch()
        cache = cache_of(self._environ)
        try:
            asked = Asked(self.task, self.engine, self._requested)
            manifest = read_manifest(cache, self.model, self.revision, asked=asked, environ=self._environ)
        except ColdCache:
            if self._environ.get("COLD_DOWNLOAD") != "1":
                raise
            manifest = cold.download(cache, self.model, self.revision, self._environ)
        choice = engines.choose(
            manifest,
            task=self.task,
            engine=self.engine,
            requested=self._requested,
            cache=cache,
            environ=self._environ,
            onnxruntime=engines.installed_onnxruntime(),
            torch=engines.has_torch(),
        )
        snapshot = manifest.snapshot_path(cache)
        try:
            prepared = choice.prepared
            files = prepared_files(prepared) if prepared else snapshot_files(snapshot, manifest.files)
        except ValueError as error:
            raise self._damaged(str(error)) from error
        if fault := first_fault(files):
            raise self._damaged(fault)
        try:
            consent = self._consent and pinned_to(self._consent, self.model, manifest.commit, snapshot)
            engine = engines.load(choice, self.task, snapshot, self._load_options, consent)
        except ServingError:
            raise
        except Exception as error:
            self._check_all(files, error)
            raise
        return LoadedEngine(engine, choice.label, watch.ms, files)

    def _check_all(self, files: list[Expected], error: Exception) -> None:
        """Raises DamagedCache where one of `files` is damaged; to tell, all of them are hashed."""
        if fault := first_fault(files, hashed_below=None):
            raise self._damaged(fault) from error

    def _damaged(self, fault: str) -> DamagedCache:
        command = self._environ.get("WARM_COMMAND") or "python -m warmup"
        return DamagedCache(f"{self.model} is damaged in the model cache: {fault}. Warm it again: {command}")


def _not_one_of(name: str, value: object, choices: tuple[str, ...]) -> str | None:
    return None if value in choices else f"`{name}={value!r}`: write one of {', '.join(choices)}"
