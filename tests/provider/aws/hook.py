"""Puts the refusals before every call that moto answers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from moto.core.common_types import TYPE_RESPONSE
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.s3.responses import S3Response

from tests.provider.aws.calls import Limits, read_call
from tests.provider.aws.refusals import refused


class RefusedError(ServiceException):  # type: ignore[misc] # moto has no types here
    """Of a module of ours: moto finds the service of an exception by its module, else by the call."""


def refuse_calls(limits: Limits, without: Collection[str] = ()) -> None:
    """From now on moto's answer comes second. `limits`: of every account; `without`: names of rules."""
    call_action, bucket_response = BaseResponse.call_action, S3Response._bucket_response

    def answer(self: BaseResponse) -> TYPE_RESPONSE:
        return _refusal(self, limits, without) or call_action(self)

    def answer_of_s3(self: S3Response, request: Any, full_url: str) -> str | TYPE_RESPONSE:
        # S3 has a way of its own through moto.
        return _refusal(self, limits, without) or bucket_response(self, request, full_url)

    BaseResponse.call_action = answer
    S3Response._bucket_response = answer_of_s3


def _refusal(response: BaseResponse, limits: Limits, without: Collection[str]) -> TYPE_RESPONSE | None:
    """The answer of AWS, in the protocol of the service; None where nothing is refused."""
    call = read_call(response, limits)
    refusal = refused(call, without) if call else None
    if refusal is None:
        return None
    error = RefusedError(refusal.code, refusal.message)
    status, headers, body = response.serialized(ActionResult(error))
    return status, {**headers, "status": str(status)}, body
