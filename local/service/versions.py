"""The published versions of a function, and the alias that says which of them serves."""

import json
import random
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from local.program.functions import Function
from local.service.instances import Pool, Runtime
from local.service.lambda_api import VERSION, ApiError
from warmup.cli.versions import version_before
from warmup.protocol.records import Json, Key, Record, WrongShape


@dataclass(frozen=True)
class _Routing(Record):
    weights: Annotated[Mapping[str, float], Key("AdditionalVersionWeights")] = field(default_factory=dict)


@dataclass(frozen=True)
class Alias(Record):
    """As the API describes it."""

    name: Annotated[str, Key("Name")]
    version: Annotated[str, Key("FunctionVersion")]
    description: Annotated[str, Key("Description")] = ""
    routing: Annotated[_Routing, Key("RoutingConfig")] = _Routing()
    revision_id: Annotated[str, Key("RevisionId")] = ""

    @property
    def named(self) -> set[str]:
        """The versions that it serves, or that a rollback leads to."""
        return {self.version, *self.routing.weights, *filter(None, [version_before(self.to_json())])}


@dataclass(frozen=True)
class _Update(Record):
    version: Annotated[str | None, Key("FunctionVersion")] = None
    description: Annotated[str | None, Key("Description")] = None
    routing: Annotated[_Routing | None, Key("RoutingConfig")] = None
    revision_id: Annotated[str | None, Key("RevisionId")] = None


class Versions:
    """Of one function: the instances of each, and one alias. `moved` hears of every change of it."""

    def __init__(
        self,
        published: Sequence[Function],
        runtime: Runtime,
        *,
        alias: Alias,
        moved: Callable[[Alias], None] = lambda alias: None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`published`: the oldest first. The newest is also what no qualifier means.

        An alias of a version that is not there any more names the newest.
        """
        self.newest = published[-1]
        there = {each.version or VERSION for each in published}
        newest = self.newest.version or VERSION
        self.alias = alias if {alias.version, *alias.routing.weights} <= there else Alias(alias.name, newest)
        self.pools = {each.version or VERSION: Pool(each, runtime.start) for each in published}
        self._moved, self._draw, self._lock = moved, draw, threading.Lock()

    def pool(self, qualifier: str | None) -> Pool:
        """The instances that answer a request. Raises ApiError."""
        if qualifier in (None, VERSION):
            return self.pools[self.newest.version or VERSION]
        if qualifier == self.alias.name:
            return self.pools[self._drawn()]
        if qualifier in self.pools:
            return self.pools[str(qualifier)]
        known = ", ".join([*self.pools, self.alias.name])
        message = f"Function not found: {self.newest.arn}:{qualifier}; there are: {known}"
        raise ApiError(404, "ResourceNotFoundException", message)

    def configure(self, function: Function) -> None:
        """Another configuration of what no qualifier means, and here of the newest version."""
        self.newest = function
        self.pool(None).replace(function)

    def describe(self, name: str) -> dict[str, Json]:
        """GetAlias. Raises ApiError."""
        if name != self.alias.name:
            message = f"Cannot find alias arn: {self.newest.arn}:{name}"
            raise ApiError(404, "ResourceNotFoundException", message)
        return {**self.alias.to_json(), "AliasArn": f"{self.newest.arn}:{name}"}

    def update(self, name: str, body: bytes) -> dict[str, Json]:
        """UpdateAlias. Raises ApiError."""
        self.describe(name)
        try:
            given = _Update.from_json(json.loads(body or b"{}"))
        except (ValueError, WrongShape) as error:
            raise ApiError(400, "InvalidParameterValueException", str(error)) from None
        with self._lock:
            alias = self.alias
            if given.revision_id not in (None, alias.revision_id):
                message = "The Revision Id provided does not match the latest Revision Id."
                raise ApiError(412, "PreconditionFailedException", message)
            changed = replace(
                alias,
                version=alias.version if given.version is None else given.version,
                description=alias.description if given.description is None else given.description,
                routing=alias.routing if given.routing is None else given.routing,
                revision_id=str(uuid.uuid4()),
            )
            self._check(changed)
            self.alias = changed
            self._moved(changed)
        return self.describe(name)

    def _check(self, alias: Alias) -> None:
        """https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html"""
        for version in (alias.version, *alias.routing.weights):
            if version not in self.pools:
                message = f"Function not found: {self.newest.arn}:{version}"
                raise ApiError(404, "ResourceNotFoundException", message)
        weights = alias.routing.weights
        if len(weights) > 1 or alias.version in weights or not all(0 <= w <= 1 for w in weights.values()):
            message = "An alias takes one other version, with a weight from 0 to 1"
            raise ApiError(400, "InvalidParameterValueException", message)

    def _drawn(self) -> str:
        alias = self.alias
        drawn = self._draw()
        for version, weight in alias.routing.weights.items():
            if drawn < weight:
                return version
        return alias.version
