"""The published versions of an endpoint, and the alias that says which of them serves."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from botocore.exceptions import BotoCoreError, ClientError

from ..protocol.errors import ErrorKind, WarmupError
from ..protocol.models import ModelRequest, models_of_json
from ..protocol.records import Json
from .access import Client
from .stack import POLL_TIMEOUT_SECONDS, StackClient, unqualified

ALIAS = "live"
"""Every endpoint is called through it, so that no address changes with what it serves."""
MODELS = "MODELS"
"""Variable of a function: the models of its script. A published version keeps it."""


_BEFORE, _ROLLED_BACK = "before: version ", "rolled back: version "
"""Notes in the description of the alias, which goes with it whoever asks."""


def models_text(models: Iterable[ModelRequest]) -> str:
    """The value of that variable."""
    named = [
        {"model": model.repo_id, "revision": model.revision, "task": model.uses[0].task} for model in models
    ]
    return json.dumps(named, separators=(",", ":"))


@dataclass(frozen=True)
class Serving:
    """What an alias says. weights: share of the requests, by each other version that gets some."""

    version: str
    weights: Mapping[str, float]
    revision_id: str
    """Of the alias: changes with it."""
    before: str | None = None
    """What served before it was released."""
    rolled_back: str | None = None
    """What served before somebody went back."""


@dataclass(frozen=True)
class Version:
    number: int
    models: tuple[ModelRequest, ...]


class AliasMovedError(Exception):
    """Somebody else moved the alias meanwhile."""


class Versions:
    """Of the endpoints of a stack. What AWS refuses is raised as WarmupError."""

    def __init__(self, client: StackClient) -> None:
        self._stack = client

    def serving(self, endpoint: str) -> Serving:
        said = self._ask(endpoint, "get_alias", Name=ALIAS)
        weights = (said.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
        return Serving(
            said["FunctionVersion"],
            dict(weights),
            said.get("RevisionId", ""),
            version_before(said),
            _noted(said, _ROLLED_BACK),
        )

    def published(self, endpoint: str) -> list[Version]:
        """The oldest first; none where the function is not there."""
        found: list[Version] = []
        marker: dict[str, str] = {}
        while True:
            try:
                page = self._ask(endpoint, "list_versions_by_function", **marker)
            except WarmupError as error:
                if error.kind is ErrorKind.NOT_DEPLOYED:
                    return []
                raise
            found += [
                Version(int(each["Version"]), _models(each))
                for each in page["Versions"]
                if each["Version"] != "$LATEST"
            ]
            if not page.get("NextMarker"):
                return sorted(found, key=lambda version: version.number)
            marker = {"Marker": page["NextMarker"]}

    def move(
        self,
        endpoint: str,
        version: str,
        *,
        seen: Serving,
        weights: Mapping[str, float] | None = None,
        before: str | None = None,
        rolled_back: str | None = None,
    ) -> Serving:
        """Let `version` serve, and others by their weights. Raises AliasMovedError unless it is as `seen`.

        before: what served until then, to be found by a rollback. rolled_back: what one went back from.
        """
        note = f"{_BEFORE}{before}" if before else f"{_ROLLED_BACK}{rolled_back}" if rolled_back else ""
        known = {"RevisionId": seen.revision_id} if seen.revision_id else {}
        routing: Json = {"AdditionalVersionWeights": dict(weights or {})}
        said = self._ask(
            endpoint,
            "update_alias",
            Name=ALIAS,
            FunctionVersion=version,
            Description=note,
            RoutingConfig=routing,
            **known,
        )
        return Serving(version, weights or {}, said.get("RevisionId", ""), before, rolled_back)

    def arn(self, endpoint: str, version: str) -> str:
        return f"{self._function(endpoint)}:{version}"

    @cached_property
    def _client(self) -> Client:
        return self._stack.lambda_client(POLL_TIMEOUT_SECONDS)

    def _function(self, endpoint: str) -> str:
        return unqualified(self._stack.outputs.functions[endpoint])

    def _ask(self, endpoint: str, operation: str, **given: Json) -> Json:
        function = self._function(endpoint)
        try:
            return getattr(self._client, operation)(FunctionName=function, **given)
        except (BotoCoreError, ClientError) as error:
            if isinstance(error, ClientError):
                code = error.response["Error"]["Code"]
                if code == "PreconditionFailedException":
                    raise AliasMovedError(endpoint) from error
                if code in ("AccessDeniedException", "AccessDenied"):
                    action = "".join(part.capitalize() for part in operation.split("_"))
                    message = f"you may not look at versions: lambda:{action} on {function} is needed"
                    raise WarmupError(ErrorKind.ACCESS_DENIED, message) from error
            raise self._stack.worded(error, function) from error


def version_before(alias: Mapping[str, Json]) -> str | None:
    """What served before the alias was moved, as its description has it."""
    return _noted(alias, _BEFORE)


def rollback_target(published: Sequence[Version], serving: Serving) -> str | None:
    """What served before, where it is still there, else the newest that is older; None without any."""
    if serving.before and any(str(each.number) == serving.before for each in published):
        return serving.before
    older = [each.number for each in published if each.number < int(serving.version)]
    return str(older[-1]) if older else None


def _noted(alias: Mapping[str, Json], what: str) -> str | None:
    said = str(alias.get("Description") or "")
    number = said.removeprefix(what)
    return number if said.startswith(what) and number.isdecimal() else None


def _models(configuration: Mapping[str, Json]) -> tuple[ModelRequest, ...]:
    """As its variable has it; a version of an earlier program says none."""
    text = ((configuration.get("Environment") or {}).get("Variables") or {}).get(MODELS)
    return models_of_json(json.loads(text)) if text else ()
