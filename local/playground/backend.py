"""What the page can ask of a stack, and what both kinds of stack say of their endpoints."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from discovery import Declared, Script
from hf_lambda import schema
from hf_lambda.manifest import DEFAULT_REVISION, requested_of
from hf_lambda.repo_id import is_repo_id
from hf_lambda.tasks import head_of
from local.playground.records import Answered, Edition, Ended, EndpointInfo, ModelInfo, StackInfo, Update
from warmup.protocol.answers import CacheStatus, WarmedModel
from warmup.protocol.records import Json

HUB = "https://huggingface.co"
_OPENAI_PATHS = {"messages": "/v1/chat/completions", "prompt": "/v1/completions", "input": "/v1/embeddings"}
_TEI_PATHS = {"inputs": "/embed", "query": "/rerank", "input": "/v1/embeddings"}


class BackendError(Exception):
    """What kept a stack from answering; `status` as HTTP has it, the text says what to do."""

    def __init__(self, message: str, status: int = 502) -> None:
        super().__init__(message)
        self.status = status


class Backend(Protocol):
    """One stack. Every method raises BackendError; those that read scripts ScriptError too."""

    def stack(self) -> StackInfo:
        """Its endpoints, with what is known of their models."""

    def scripts(self) -> tuple[Script, ...]:
        """Those of the checkout. Raises ScriptError."""

    def url(self, name: str) -> str | None:
        """The endpoint's own address, where it has one."""

    def cache(self) -> CacheStatus:
        """What is in its cache."""

    def invoke(self, name: str, event: bytes) -> Answered:
        """One request, answered whole."""

    def stream(self, name: str, event: bytes) -> AbstractContextManager[Iterator[bytes | Ended]]:
        """One request, answered while it is made: pieces, then how it ended. Leaving the block stops it."""

    def logs(self, name: str) -> Sequence[str]:
        """The last lines that the endpoint wrote."""

    def edition(self) -> Edition | None:
        """Of the scripts, where somebody follows their changes."""

    def update(self, update: Update) -> None:
        """Serve the scripts as they are now."""

    def retire(self, name: str) -> int:
        """End its idle instances, so that the next request is a cold start; returns how many these were."""


def endpoint_info(
    script: Script,
    arn: str,
    cache: CacheStatus | None,
    *,
    memory_mb: int | None,
    url: str | None,
    is_signed: bool,
    has_keys: bool,
) -> EndpointInfo:
    """cache: None where nobody could look into it. is_signed: its address takes signed requests alone."""
    speaks = _speaks(script)
    return EndpointInfo(
        name=script.name,
        summary=script.summary,
        arn=arn,
        url=url,
        models=tuple(_model_info(each, cache) for each in script.pipelines),
        image=script.image,
        memory_mb=memory_mb,
        streams=script.streams,
        speaks=speaks,
        path=_path(script, speaks),
        fields=script.fields,
        example=script.example,
        url_needs="signature" if is_signed else "key" if has_keys and script.checks_keys else None,
    )


def openapi(script: Script, url: str | None) -> dict[str, Json]:
    """The endpoint's OpenAPI document, with an example and its address."""
    speaks = _speaks(script)
    path = _path(script, speaks)
    streams = script.streams and speaks is None
    made = schema.document(
        script.name, dict(script.fields), path=path, example=script.example, streams=streams
    )
    return {**made, "servers": [{"url": url.rstrip("/")}]} if url else made


def _speaks(script: Script) -> Literal["openai", "tei"] | None:
    return "openai" if script.speaks_openai else "tei" if script.speaks_tei else None


def _path(script: Script, speaks: str | None) -> str:
    paths = {"openai": _OPENAI_PATHS, "tei": _TEI_PATHS}.get(speaks or "", {})
    return next((path for name, path in paths.items() if name in script.example), "/")


def _model_info(declared: Declared, cache: CacheStatus | None) -> ModelInfo:
    revision = declared.revision or DEFAULT_REVISION
    warmed = next(
        (
            each
            for each in (cache.models if cache else ())
            if isinstance(each, WarmedModel) and (each.repo_id, each.revision) == (declared.model, revision)
        ),
        None,
    )
    link = f"{HUB}/{declared.model}/tree/{revision}" if is_repo_id(declared.model) else None
    if warmed is None:
        return ModelInfo(
            *(declared.model, declared.task, revision, link, None, None),
            *(declared.engine, None, {}, None if cache is None else "not in the cache: run the warm-up"),
        )
    head = _head(declared.task)
    requested = requested_of(declared.precision, declared.adapter, declared.adapter_revision)
    made = next((each for each in warmed.prepared if (each.head, each.requested) == (head, requested)), None)
    reasons = [
        *(each.reason for each in warmed.refused if each.task in ("", declared.task)),
        *(each.reason for each in warmed.not_prepared if (each.head, each.requested) == (head, requested)),
    ]
    engine = "torch" if declared.plain or declared.engine == "torch" or made is None else "onnx"
    return ModelInfo(
        repo_id=declared.model,
        task=declared.task,
        revision=revision,
        link=link,
        commit=warmed.commit,
        bytes=warmed.bytes,
        engine=engine,
        precision=made.precision if made and engine == "onnx" else None,
        agreement=_plain(made.agreement) if made and engine == "onnx" else {},
        reason=made.reason if made else next(iter(reasons), None),
    )


def _head(task: str) -> str | None:
    try:
        return head_of(task)
    except (ValueError, KeyError):  # of a plain script, which may do anything
        return None


def _plain(agreement: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {precision: dict(each) for precision, each in agreement.items()}
