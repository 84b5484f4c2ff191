"""Whether loads may run code of a repository: no, unless the script says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import transformers

from ..errors import EngineUnavailable
from ..records import Json
from ..remote_code import Consent, names_code

_CONSENT: ContextVar[Consent | None] = ContextVar("consent to a repository's code", default=None)


@contextmanager
def consent_to_code(consent: Consent | None) -> Iterator[None]:
    """Loads inside may run code of the repository where there is `consent`."""
    token = _CONSENT.set(consent)
    try:
        yield
    finally:
        _CONSENT.reset(token)


def code_options() -> dict[str, Json]:
    """What every load says about code."""
    consent = _CONSENT.get()
    if consent is None:
        return {"trust_remote_code": False}
    pinned = {} if consent.code_revision is None else {"code_revision": consent.code_revision}
    return {"trust_remote_code": True, **pinned}


def check_code(snapshot: Path) -> None:
    """Raises EngineUnavailable where nothing but the repository's own code can load it, and may not."""
    if _CONSENT.get() is None and needs_code(snapshot):
        raise EngineUnavailable(NEEDS_CODE)


def needs_code(snapshot: Path) -> bool:
    """Whether transformers does not know the model's type, and the repository names code for it."""
    if not names_code(snapshot):
        return False
    config, _ = transformers.PreTrainedConfig.get_config_dict(str(snapshot), local_files_only=True)
    return config.get("model_type") not in transformers.CONFIG_MAPPING


NEEDS_CODE = (
    "transformers does not know the model's type, and the repository brings code of its own for it, which "
    "runs only where the script says trust_remote_code=True, names a whole commit as revision, and the stack "
    "has allowRemoteCode: true. Read the code first, or take a model that needs none"
)
