"""The gate between an image and its requests: a new version that waits is asked, tried and let serve."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from time import time as now

from botocore.exceptions import BotoCoreError, ClientError

from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.outputs import LOCAL, GatedRelease
from ..protocol.records import Json
from ..protocol.reports import Released
from .stack import StackClient, unqualified
from .versions import AliasMovedError, Serving, Versions, rollback_target

WATCH_SECONDS = 15.0
"""Between two looks at what a new version logs."""
_FAILED_REQUESTS = (
    # As the alarms count them, and what Lambda and its runtime write of a function that fails itself.
    '{ $.event = "request" && $.status >= 500 }',
    '?"Task timed out" ?"Runtime exited" ?"Runtime.ExitError" ?"[ERROR]"',
)
Say = Callable[[str, str], None]
"""(endpoint, what happens to it)"""
Failures = Callable[[str, str, float], int]
"""(endpoint, version, since when) -> how many requests it failed."""


@dataclass(frozen=True)
class Waiting:
    """A version that is published and does not serve."""

    endpoint: str
    version: str
    serving: Serving


class Releases:
    """Of a stack with `release: gated`.

    failures: how a version fared; by default its log says so. time_left: seconds that canaries may be
    watched; `under_way_since` then says when those began that are left to somebody else.
    """

    under_way_since: float | None = None

    def __init__(
        self,
        client: StackClient,
        gated: GatedRelease,
        say: Say,
        failures: Failures | None = None,
        time_left: Callable[[], float] = lambda: inf,
    ) -> None:
        self._client, self._gated, self._say = client, gated, say
        self._versions = Versions(client)
        self._failures = failures or (lambda *asked: failures_in_log(client, *asked))
        self._time_left = time_left

    def waiting(self, endpoints: Sequence[str], *, also_rolled_back: bool = False) -> list[Waiting]:
        """Those of `endpoints` whose newest version does not serve, or as a canary alone.

        One that somebody went back from is not released again by itself.
        """
        found = []
        for endpoint in endpoints:
            if newest := self._gated.versions.get(endpoint):
                serving = self._versions.serving(endpoint)
                if serving.rolled_back == newest and not also_rolled_back:
                    self._say(endpoint, f"version {newest} was rolled back; --force releases it again")
                elif serving.version != newest:
                    found.append(Waiting(endpoint, newest, serving))
        return found

    def at_their_versions(self, waiting: Sequence[Waiting]) -> StackClient:
        """A client that asks the versions that wait, by their numbers."""
        arns = {each.endpoint: self._versions.arn(each.endpoint, each.version) for each in waiting}
        outputs = self._client.outputs
        return StackClient(replace(outputs, functions={**outputs.functions, **arns}), self._client.access)

    def release(
        self, waiting: Sequence[Waiting], held: Mapping[str, str], *, since: float | None = None
    ) -> tuple[Released, ...]:
        """Let serve what is not `held` (by endpoint, with the reason), after its canary.

        since: when the canaries of `waiting` began, which are under way.
        """
        found = [self._kept(each, held[each.endpoint]) for each in waiting if each.endpoint in held]
        ready = [each for each in waiting if each.endpoint not in held]
        # The local stack has no requests but its owner's.
        if self._gated.canary and self._client.outputs.stack != LOCAL:
            found += self._after_canary(ready, since)
        else:
            found += [self._moved(each, each.serving) for each in ready]
        return tuple(sorted(found, key=lambda released: released.name))

    def _after_canary(self, ready: Sequence[Waiting], since: float | None) -> Iterator[Released]:
        weight, minutes = self._gated.canary / 100, self._gated.canary_minutes
        began = now() if since is None else since
        trying: dict[str, tuple[Waiting, Serving]] = {}
        try:
            for each in ready:
                if since is not None:
                    trying[each.endpoint] = each, each.serving
                    continue
                try:
                    tried = self._versions.move(
                        each.endpoint,
                        each.serving.version,
                        weights={each.version: weight},
                        seen=each.serving,
                        before=each.serving.before,
                    )
                except AliasMovedError:
                    yield _moved_by_another(each)
                    continue
                trying[each.endpoint] = each, tried
                what = f"version {each.version} gets {self._gated.canary} % of the requests for {minutes} min"
                self._say(each.endpoint, what)
            pause, last = threading.Event(), False
            while trying and not last:
                if self._time_left() <= 0:
                    self.under_way_since, trying = began, {}
                    return
                pause.wait(min(WATCH_SECONDS, max(0.0, began + 60 * minutes - now())))
                last = now() >= began + 60 * minutes
                for each, tried in [*trying.values()]:
                    if failed := self._failures(each.endpoint, each.version, began):
                        del trying[each.endpoint]
                        count = f"{failed} requests" if failed > 1 else "a request"
                        yield self._back(each, tried, f"it failed {count} of its {self._gated.canary} %")
            for each, tried in [*trying.values()]:
                del trying[each.endpoint]
                yield self._moved(each, tried)
        finally:
            # Interrupted, or AWS refused something: nobody watches the new version any more.
            for each, tried in trying.values():
                self._back(each, tried, "the release was interrupted")

    def _moved(self, each: Waiting, seen: Serving) -> Released:
        try:
            self._versions.move(each.endpoint, each.version, seen=seen, before=each.serving.version)
        except AliasMovedError:
            return _moved_by_another(each)
        self._say(each.endpoint, f"version {each.version} serves")
        return Released(each.endpoint, each.version, each.serving.version)

    def _kept(self, each: Waiting, reason: str) -> Released:
        """Held: also from the requests that a canary of an earlier run gave it."""
        if each.version in each.serving.weights:
            return self._back(each, each.serving, reason)
        self._say(each.endpoint, f"version {each.serving.version} serves on")
        return Released(each.endpoint, each.version, each.serving.version, reason)

    def _back(self, each: Waiting, tried: Serving, reason: str) -> Released:
        try:
            self._versions.move(each.endpoint, each.serving.version, seen=tried, before=each.serving.before)
        except AliasMovedError:
            return _moved_by_another(each)
        self._say(each.endpoint, f"version {each.serving.version} serves alone again")
        return Released(each.endpoint, each.version, each.serving.version, reason)


def roll_back(client: StackClient, endpoints: Sequence[str]) -> tuple[Released, ...]:
    """Let the version before serve, of each endpoint; a canary that is under way ends. Downloads nothing."""
    versions, found = Versions(client), []
    for endpoint in endpoints:
        serving = versions.serving(endpoint)
        # A newer one that gets a share is a canary. AWS gives weights of its own to older ones, while
        # instances that are kept move: https://github.com/hashicorp/terraform-provider-aws/pull/48116
        canary = next((each for each in serving.weights if int(each) > int(serving.version)), None)
        to = serving.version if canary else rollback_target(versions.published(endpoint), serving)
        left = canary or serving.version
        if to is None:
            found.append(Released(endpoint, left, left, "there is no version before it"))
            continue
        try:
            versions.move(endpoint, to, seen=serving, rolled_back=left)
        except AliasMovedError:
            found.append(Released(endpoint, to, left, MOVED_BY_ANOTHER))
            continue
        found.append(Released(endpoint, to, left))
    return tuple(found)


def failures_in_log(client: StackClient, endpoint: str, version: str, since: float) -> int:
    """Requests that a version failed, by what it logged.

    The name of a log stream holds the version in brackets:
    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
    """
    arn = unqualified(client.outputs.functions[endpoint])
    try:
        configuration = client.lambda_client(60).get_function_configuration(FunctionName=arn)
        pages = client.access.client("logs").get_paginator("filter_log_events")
        count = 0
        for pattern in _FAILED_REQUESTS:
            asked: dict[str, Json] = {
                "logGroupName": configuration["LoggingConfig"]["LogGroup"],
                "startTime": int(since * 1000),
                "filterPattern": pattern,
            }
            for page in pages.paginate(**asked):
                count += sum(f"[{version}]" in event["logStreamName"] for event in page["events"])
    except (BotoCoreError, ClientError) as error:
        raise client.access.problem(error) or WarmupError(
            ErrorKind.INVOKE, f"cannot read the log of {endpoint}: {error}"
        ) from error
    return count


MOVED_BY_ANOTHER = "`live` was moved by somebody else meanwhile"


def _moved_by_another(each: Waiting) -> Released:
    return Released(each.endpoint, each.version, each.serving.version, MOVED_BY_ANOTHER)
