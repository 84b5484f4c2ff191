"""Scripts that were written for another server: a custom handler of Hugging Face's Inference Endpoints, or
the functions of a SageMaker inference script.

The first is a class EndpointHandler: made once with the folder of the model, called with each request's body,
an object with "inputs"; what it returns is the answer.
https://huggingface.co/docs/inference-endpoints/engines/toolkit, "Create a custom Inference Handler"; how
bodies that are no JSON and the query come in: huggingface/huggingface-inference-toolkit,
src/huggingface_inference_toolkit/webservice_starlette.py.

The second are model_fn(model_dir), input_fn(body, content_type), predict_fn(data, model) and
output_fn(prediction, accept), all but the first with a default, or transform_fn(model, body, content_type,
accept) in the place of the last three; each may take a context after these.
https://github.com/aws/sagemaker-huggingface-inference-toolkit, README, and
src/sagemaker_huggingface_inference_toolkit/handler_service.py.

In both servers variables name the model, HF_MODEL_ID and HF_MODEL_REVISION; here they are constants of the
script, so that the warm-up can read them. What goes wrong is answered as everywhere here: 400 where the
request is at fault, 500 without a word of the exception where the script is; there, always 400.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

from . import cold, events
from .background import Future
from .endpoint import LambdaHandler, RequestHandler
from .errors import BadRequest, ColdCache, ServingError
from .manifest import cache_of, read_manifest
from .records import Json
from .refused import naming
from .repo_id import is_repo_id
from .streaming import Stream

CLASS = "EndpointHandler"
MODEL_ID, REVISION = "HF_MODEL_ID", "HF_MODEL_REVISION"
LOAD = "model_fn"
FUNCTIONS = {
    LOAD: ("model_dir",),
    "input_fn": ("body", "content_type"),
    "predict_fn": ("data", "model"),
    "output_fn": ("prediction", "accept"),
    "transform_fn": ("model", "body", "content_type", "accept"),
}
"""Of a SageMaker inference script, with what each takes; a context may follow."""


class NotAcceptable(ServingError):  # noqa: N818 - as the other errors
    """406: the script made of the answer what cannot be sent."""

    status = 406


def handler_of(module: ModuleType, environ: Mapping[str, str] = os.environ) -> LambdaHandler | None:
    """The Lambda handler that `module` is in another server's words; None: it is none.

    Loading begins in the background.
    """
    if callable(made := getattr(module, CLASS, None)):
        served: _Served = _EndpointHandler(module, made, environ)
    elif callable(loaded := getattr(module, LOAD, None)):
        served = _SageMaker(module, loaded, environ)
    else:
        return None

    def handler(event: Json, context: object = None) -> Stream | dict[str, Json]:
        return served.answer(event, context)

    return handler


def path_default(parameter: object) -> str | None:
    """The repository that a loader names as the default of its path: `path="org/name"`."""
    return parameter if isinstance(parameter, str) and "/" in parameter and is_repo_id(parameter) else None


class _Served(RequestHandler):
    def __init__(self, module: ModuleType, load: Callable[..., Json], environ: Mapping[str, str]) -> None:
        super().__init__(module.__name__)
        self._module, self._environ = module, environ
        self._load = naming(load, environ)
        self._parameters = inspect.signature(load).parameters
        self._loaded = Future(self._made).start()

    def _model(self) -> Json:
        # A cache that was cold at init may be warm by now.
        return self._loaded.result(retry=ServingError)

    def _made(self) -> Json:
        if not self._parameters:
            return self._load()
        return self._load(str(self._folder()), *self._more())

    def _more(self) -> tuple[None, ...]:
        """Arguments after the folder."""
        return ()

    def _folder(self) -> Path:
        """Of the model in the cache; of the script where it names none."""
        first = next(iter(self._parameters.values()))
        model = getattr(self._module, MODEL_ID, None) or path_default(first.default)
        if model is None:
            return Path(self._module.__file__ or ".").parent
        cache, revision = cache_of(self._environ), getattr(self._module, REVISION, None)
        try:
            manifest = read_manifest(cache, model, revision, environ=self._environ)
        except ColdCache:
            if self._environ.get("COLD_DOWNLOAD") != "1":
                raise
            manifest = cold.download(cache, model, revision, self._environ)
        return manifest.snapshot_path(cache)


class _EndpointHandler(_Served):
    def _respond(self, event: Json, http: bool, request_id: str) -> Stream | Json:
        return self._model()(_inputs(event, http))


class _SageMaker(_Served):
    def _more(self) -> tuple[None, ...]:
        return _context(self._parameters, len(FUNCTIONS[LOAD]))

    def _respond(self, event: Json, http: bool, request_id: str) -> Stream | Json:
        read, predict, write, transform = (
            self._function(name) for name in ("input_fn", "predict_fn", "output_fn", "transform_fn")
        )
        if transform is not None:
            body = events.read_body(event)
            given = transform(self._model(), body.content, body.content_type, body.accept)
            return _written(given, body.accept, http)
        if read is not None:
            body = events.read_body(event)
            data = read(body.content, body.content_type)
        else:
            data = _inputs(event, http)
        model = self._model()
        prediction = predict(data, model) if predict is not None else _called(model, data)
        if write is None:
            return prediction
        accept = events.accept_of(event)
        return _written(write(prediction, accept), accept, http)

    def _function(self, name: str) -> Callable[..., Json] | None:
        function = getattr(self._module, name, None)
        if function is None:
            return None
        given = naming(function, self._environ)
        more = _context(inspect.signature(function).parameters, len(FUNCTIONS[name]))
        return lambda *arguments: given(*arguments, *more)


def _context(parameters: Mapping[str, inspect.Parameter], count: int) -> tuple[None, ...]:
    """What follows `count` arguments: a model server's context, which there is none of here."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return (None,) if sum(each.kind in kinds for each in parameters.values()) > count else ()


def _inputs(event: Json, http: bool) -> dict[str, Json]:
    """The object that both servers make of a request: "inputs", and the query as "parameters"."""
    request = events.read(event)
    if request.file is not None:
        data: dict[str, Json] = {"inputs": _decoded(request.file, event)}
    else:
        data = {} if request.is_text else dict(request.fields)
    if "inputs" not in data and "instances" not in data:
        raise BadRequest("inputs", "what the model is asked, as `inputs` of a JSON object", "nothing")
    query = events.query_of(event) if http else {}
    if query:
        data.setdefault("parameters", {name: _value(text) for name, text in query.items()})
    return data


def _decoded(file: bytes, event: Json) -> Json:
    """A picture as Pillow has it, everything else as its bytes."""
    if not events.headers_of(event).get("content-type", "").strip().lower().startswith("image/"):
        return file
    from .media.image import Image

    return Image(file).pillow()


def _value(text: Json) -> Json:
    """A parameter of the query: whole numbers and booleans are told by how they look."""
    if not isinstance(text, str):
        return text
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if text.isascii() and text.isdigit() and len(text) < _LONGEST_INTEGER else text


_LONGEST_INTEGER = 19


def _called(model: Json, data: dict[str, Json]) -> Json:
    """The default of predict_fn: what model_fn returned is a pipeline."""
    inputs = data.pop("inputs", data)
    return model(inputs, **(data.pop("parameters", None) or {}))


def _written(given: Json, accept: str, http: bool) -> Stream | Json:
    """What output_fn made: a text, bytes, or one of these with its content type."""
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], str):
        given, accept = given
    if isinstance(given, bytes | bytearray):
        try:
            given = given.decode()
        except UnicodeDecodeError:
            text = f"the answer as {accept} is no text, which alone is sent here: accept {events.JSON}"
            raise NotAcceptable(text) from None
    if not isinstance(given, str):
        return given
    if events.media_type_of(accept) == events.JSON:
        try:
            return json.loads(given)
        except ValueError:
            return given
    return Stream([given.encode()], http=http, headers={"content-type": accept})
