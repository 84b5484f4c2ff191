"""The Hub as a source of models, through huggingface_hub."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.hf_api import RepoFile

from ..errors import Stopped, WarmupError
from .hub_errors import Asked, told_apart
from .plan import RemoteFile

Result = TypeVar("Result")
_DEFAULT_ENDPOINT = "https://huggingface.co"


class HubSource:
    """Asks the Hub at `endpoint` (None: huggingface.co) in the name of `token` (None: nobody).

    `note` is told why a call has to wait. Methods raise WarmupError with the fix, and Stopped once `stop`
    is set.
    """

    def __init__(self, endpoint: str | None, token: str | None, note: Callable[[str], None]) -> None:
        self.endpoint = (endpoint or _DEFAULT_ENDPOINT).rstrip("/")
        self._token: str | bool = token or False
        self._note = note

    def resolve(self, model: str, revision: str | None, stop: threading.Event) -> str:
        """The commit that `revision` (None: main) names now."""
        api = HfApi(endpoint=self.endpoint, token=self._token)
        info = self._asked(
            lambda: api.model_info(model, revision=revision, timeout=20), model, revision, stop
        )
        return str(info.sha)

    def tree(self, model: str, commit: str, stop: threading.Event) -> list[RemoteFile]:
        """Every file of `commit`."""
        api = HfApi(endpoint=self.endpoint, token=self._token)
        entries = self._asked(
            lambda: list(api.list_repo_tree(model, revision=commit, recursive=True)), model, commit, stop
        )
        return [
            RemoteFile(entry.path, entry.size, entry.blob_id, entry.lfs.sha256 if entry.lfs else None)
            for entry in entries
            if isinstance(entry, RepoFile)
        ]

    def download(
        self,
        model: str,
        commit: str,
        file: RemoteFile,
        hub_cache: Path,
        received: Callable[[int], None],
        stop: threading.Event,
    ) -> None:
        """Put `file` into `hub_cache` (blob, then pointer); `received` is told of every chunk's bytes."""

        def download() -> str:
            return hf_hub_download(
                model,
                file.path,
                revision=commit,
                cache_dir=hub_cache,
                endpoint=self.endpoint,
                token=self._token,
                tqdm_class=_reporter(received, stop),
            )

        self._asked(download, model, commit, stop, path=file.path)

    def _asked(
        self,
        call: Callable[[], Result],
        model: str,
        revision: str | None,
        stop: threading.Event,
        path: str | None = None,
    ) -> Result:
        asked = Asked(model, revision, self.endpoint, bool(self._token), path)
        attempt = 0
        while not stop.is_set():
            try:
                return call()
            except (OSError, ValueError, httpx2.HTTPError) as error:
                verdict = told_apart(error, asked, attempt)
                if isinstance(verdict, WarmupError):
                    raise verdict from error
            attempt += 1
            self._note(verdict.why)
            stop.wait(verdict.after_s)
            self._note("")
        raise Stopped


def _reporter(received: Callable[[int], None], stop: threading.Event) -> Any:
    """A class with the part of tqdm's interface that huggingface_hub's downloads call."""

    class Reporter:
        def __init__(self, *_: Any, **__: Any) -> None:
            pass

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def update(self, n: float | None = 1) -> None:
            if stop.is_set():  # ends the transfer; the client removes its partial file
                raise Stopped
            received(int(n or 0))

        def update_transfer(self, n: float | None = 1) -> None:
            """Bytes on the wire; bytes on disk are what counts here."""

        def close(self) -> None:
            pass

        def refresh(self) -> None:
            pass

        def set_postfix_str(self, *_: object, **__: object) -> None:
            pass

        def set_transfer_postfix_str(self, *_: object, **__: object) -> None:
            pass

    return Reporter
