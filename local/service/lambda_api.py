"""The Lambda API: its paths, its errors, its descriptions of functions."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote

from hf_lambda.records import Json
from local.program.functions import Function

SYNC_LIMIT_BYTES = 6 * 1024 * 1024
ASYNC_LIMIT_BYTES = 1024 * 1024
LOG_TAIL_BYTES = 4096
VERSION = "$LATEST"
_FUNCTIONS = re.compile(r"/2015-03-31/functions/?")
_FUNCTION = re.compile(r"/2015-03-31/functions/(?P<name>[^/]+)(?P<what>/invocations|/configuration)?")
_CONCURRENCY = re.compile(r"/2019-09-30/functions/(?P<name>[^/]+)(?P<what>/concurrency)")
_VERSIONS = re.compile(r"/2015-03-31/functions/(?P<name>[^/]+)(?P<what>/versions|/aliases/(?P<alias>[\w-]+))")
_ARN = re.compile(
    r"(arn:[\w-]+:lambda:[\w-]*:\d*:function:|\d{12}:(function:)?|function:)?(?P<name>[\w-]+)(:(?P<qualifier>.+))?"
)


class ApiError(Exception):
    """An answer of the API other than success, named and worded as Lambda does."""

    def __init__(self, status: int, kind: str, message: str, **more: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.body = {"Type": "User" if status < 500 else "Service", "Message": message, **more}


class Pieces(Protocol):
    """A body that is sent while it is made."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """It was sent, or nobody wants the rest. Safe to repeat."""


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Pieces | None = None
    """The body as it comes, instead of `body`. Closed when it was sent, or cannot be."""


def parse_path(path: str) -> tuple[str | None, str]:
    """Function as given (None: all of them) and what is asked of it: "invocations", "configuration",
    "concurrency", "versions", "aliases/NAME" or "".

    Raises ApiError for any other address.
    """
    if _FUNCTIONS.fullmatch(path):
        return None, ""
    if found := _FUNCTION.fullmatch(path) or _CONCURRENCY.fullmatch(path) or _VERSIONS.fullmatch(path):
        return unquote(found["name"]), (found["what"] or "").strip("/")
    raise ApiError(
        404,
        "UnknownOperationException",
        f"{path} is not served here; this is Invoke, GetFunction, GetFunctionConcurrency, ListFunctions, "
        "ListVersionsByFunction, GetAlias, UpdateAlias",
    )


def find(functions: Mapping[str, Function], given: str) -> Function:
    """The function meant by a name, a partial or a whole ARN, qualified or not. Raises ApiError."""
    parsed = _ARN.fullmatch(given)
    function = functions.get(parsed["name"]) if parsed else None
    if function is None:
        raise ApiError(
            404,
            "ResourceNotFoundException",
            f"Function not found: {given}; there are: {', '.join(sorted(functions))}",
        )
    return function


def qualifier_of(given: str) -> str | None:
    """The version or alias that a name or an ARN ends with."""
    parsed = _ARN.fullmatch(given)
    return parsed["qualifier"] if parsed else None


def check_payload(payload: bytes, kind: str) -> None:
    """Raises ApiError where Lambda refuses a payload before any function sees it."""
    limit = ASYNC_LIMIT_BYTES if kind == "Event" else SYNC_LIMIT_BYTES
    if len(payload) > limit:
        message = (
            f"{len(payload)} byte payload is too large for the {kind} invocation type (limit {limit} bytes)"
        )
        raise ApiError(413, "RequestTooLargeException", message)
    try:
        json.loads(payload or b"{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        message = f"Could not parse request body into json: {error}"
        raise ApiError(400, "InvalidRequestContentException", message) from None


def _refuse_constant(name: str) -> None:
    """NaN and the infinities, which Python reads and JSON has not.

    Lambda takes no words but null, true and false: https://github.com/aws/aws-sdk-js/issues/1876. Whether it
    refuses an object with a key twice is documented nowhere; here the last one counts, as in the runtime.
    """
    raise ValueError(f"{name} is no JSON")


def throttled(function: Function) -> ApiError:
    reserved = function.max_instances is not None
    reason = ("ReservedFunction" if reserved else "") + "ConcurrentInvocationLimitExceeded"
    return ApiError(429, "TooManyRequestsException", "Rate Exceeded.", Reason=reason)


def concurrency(function: Function) -> dict[str, int]:
    """What GetFunctionConcurrency answers: nothing where none is reserved."""
    reserved = function.max_instances
    return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}


def configuration(function: Function) -> dict[str, Json]:
    """What GetFunctionConfiguration answers, as far as one machine knows it."""
    return {
        "FunctionName": function.function_name,
        "FunctionArn": function.arn,
        "PackageType": "Image",
        "ImageConfigResponse": {"ImageConfig": {"Command": [function.command]}},
        "MemorySize": function.memory_mb,
        "Timeout": function.timeout_s,
        "Environment": {"Variables": function.environment},
        "Version": function.version or VERSION,
        "State": "Active",
        "LastUpdateStatus": "Successful",
    }
