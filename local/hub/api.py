"""The Hub's HTTP API over repositories: model info, tree, paths-info and resolve."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs, quote, unquote

from hf_lambda.records import Json

from .access import Access
from .cards import architecture_of, card_of
from .repositories import DEFAULT_BRANCH, File, Repository
from .responses import (
    Response,
    entry_not_found,
    error,
    json_response,
    repository_not_found,
    revision_not_found,
)

_REPO = r"(?P<repo>[^/]+(?:/[^/]+)?)"


@dataclass(frozen=True)
class Request:
    """What was asked, with the client's prefix taken off the path."""

    method: str
    path: str
    """Still percent-encoded: a revision may hold an encoded slash."""
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    """Names in lower case."""
    base: str = ""
    """scheme://host[/as/client] under which the client reached this server: redirects go there."""
    body: bytes = b""


class Api:
    """Answers requests about a set of repositories. Knows nothing of sockets."""

    def __init__(self, repositories: Mapping[str, Repository], access: Access) -> None:
        self._repositories = repositories
        self._access = access
        self._routes: list[tuple[re.Pattern[str], Callable[..., Response]]] = [
            (re.compile(r"/api/whoami-v2"), self._whoami),
            (re.compile(rf"/api/models/{_REPO}/tree/(?P<rev>[^/]+)(?:/(?P<path>.*))?"), self._tree),
            (re.compile(rf"/api/models/{_REPO}/paths-info/(?P<rev>[^/]+)"), self._paths_info),
            (re.compile(rf"/api/models/{_REPO}/revision/(?P<rev>[^/]+)"), self._info),
            (re.compile(rf"/api/models/{_REPO}"), self._info),
            (re.compile(rf"/{_REPO}/resolve/(?P<rev>[^/]+)/(?P<path>.+)"), self._resolve),
            (re.compile(rf"/lfs/{_REPO}/resolve/(?P<rev>[0-9a-f]{{40}})/(?P<path>.+)"), self._lfs),
        ]

    def answer(self, request: Request) -> Response:
        """The Hub's answer, error answers included."""
        for pattern, route in self._routes:
            if match := pattern.fullmatch(request.path):
                parts = {
                    name: unquote(value) for name, value in match.groupdict().items() if value is not None
                }
                refusal = self._access.refusal(request, parts.get("repo"))
                return refusal or route(request, **parts)
        return error(404, None, f"Not served here: {request.path}")

    def _whoami(self, _request: Request) -> Response:
        return json_response({"type": "user", "name": "local", "auth": {"type": "access_token"}})

    def _info(self, request: Request, repo: str, rev: str = DEFAULT_BRANCH) -> Response:
        return self._with_commit(repo, rev, lambda found, commit: self._describe(request, found, commit))

    def _tree(self, request: Request, repo: str, rev: str, path: str = "") -> Response:
        def listing(found: Repository, commit: str) -> Response:
            entries = _entries(found.files())
            inside = {
                name: entry for name, entry in entries.items() if not path or name.startswith(f"{path}/")
            }
            if path and not inside:
                return entry_not_found(commit)
            depth = path.count("/") + 1 if path else 0
            recursive = _flag(request.query, "recursive")
            shown = [entry for name, entry in inside.items() if recursive or name.count("/") == depth]
            return json_response(shown, headers={"X-Repo-Commit": commit})

        return self._with_commit(repo, rev, listing)

    def _paths_info(self, request: Request, repo: str, rev: str) -> Response:
        asked = parse_qs(request.body.decode()).get("paths", [])

        def listing(found: Repository, _commit: str) -> Response:
            entries = _entries(found.files())
            return json_response([entries[path] for path in asked if path in entries])

        return self._with_commit(repo, rev, listing)

    def _resolve(self, request: Request, repo: str, rev: str, path: str) -> Response:
        def redirect_or_content(found: Repository, commit: str) -> Response:
            file = _named(found, path)
            if file is None:
                return entry_not_found(commit)
            if file.sha256 is None:
                return _content(file, commit, request.headers.get("range"))
            location = f"{request.base}/lfs/{repo}/resolve/{commit}/{quote(path)}"
            linked = {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
            common = {"X-Repo-Commit": commit, "ETag": f'"{file.blob_id}"', "Accept-Ranges": "bytes"}
            return Response(
                302, {"Location": location, **linked, **common}, f"Found. See {location}".encode()
            )

        return self._with_commit(repo, rev, redirect_or_content)

    def _lfs(self, request: Request, repo: str, rev: str, path: str) -> Response:
        # On the same host as the rest, so the client follows the redirect and reads the commit here.
        def content(found: Repository, commit: str) -> Response:
            file = _named(found, path)
            return _content(file, commit, request.headers.get("range")) if file else entry_not_found(commit)

        return self._with_commit(repo, rev, content)

    def _with_commit(self, repo: str, rev: str, then: Callable[[Repository, str], Response]) -> Response:
        found = self._repositories.get(repo)
        if found is None:
            return repository_not_found()
        commit = found.commit_of(rev)
        return then(found, commit) if commit else revision_not_found(rev)

    def _describe(self, request: Request, found: Repository, commit: str) -> Response:
        files = found.files()
        newest_s = max((file.source.stat().st_mtime for file in files), default=0.0)
        blobs = _flag(request.query, "blobs")
        card = card_of(files)
        return json_response(
            {
                "_id": commit[:24],
                "id": found.id,
                "modelId": found.id,
                "author": found.id.partition("/")[0] if "/" in found.id else None,
                "sha": commit,
                "lastModified": datetime.fromtimestamp(newest_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "private": found.id in self._access.private,
                "gated": "manual" if found.id in self._access.gated else False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                **({"cardData": card} if card else {}),
                **{key: card[key] for key in ("pipeline_tag", "library_name") if card.get(key)},
                **({"config": config} if (config := architecture_of(files)) else {}),
                "siblings": [_sibling(file, blobs) for file in files],
            },
            headers={"X-Repo-Commit": commit},
        )


def _flag(query: Mapping[str, list[str]], name: str) -> bool:
    return query.get(name, ["false"])[-1].lower() in {"true", "1"}


def _named(repository: Repository, path: str) -> File | None:
    return next((file for file in repository.files() if file.path == path), None)


def _sibling(file: File, blobs: bool) -> dict[str, Json]:
    if not blobs:
        return {"rfilename": file.path}
    lfs = (
        {"lfs": {"sha256": file.sha256, "size": file.size, "pointerSize": file.pointer_size}}
        if file.sha256
        else {}
    )
    return {"rfilename": file.path, "size": file.size, "blobId": file.blob_id, **lfs}


def _entries(files: list[File]) -> dict[str, dict[str, Json]]:
    """Files and folders by path, as the tree API lists them."""
    entries: dict[str, dict[str, Json]] = {}
    for file in files:
        parts = file.path.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            entries.setdefault(folder, {"type": "directory", "oid": "0" * 40, "size": 0, "path": folder})
        lfs = (
            {"lfs": {"oid": file.sha256, "size": file.size, "pointerSize": file.pointer_size}}
            if file.sha256
            else {}
        )
        entries[file.path] = {
            "type": "file",
            "oid": file.blob_id,
            "size": file.size,
            "path": file.path,
            **lfs,
        }
    return entries


def _content(file: File, commit: str, byte_range: str | None) -> Response:
    """The file, or the part of it that a Range header asks for."""
    headers = {"X-Repo-Commit": commit, "ETag": f'"{file.etag}"', "Accept-Ranges": "bytes"}
    if file.sha256:
        headers |= {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
    headers["Content-Type"] = "application/octet-stream" if file.sha256 else "text/plain; charset=utf-8"
    headers["Content-Disposition"] = f"inline; filename*=UTF-8''{quote(file.path.rpartition('/')[2])}"
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", byte_range or "")
    if not match or match.groups() == ("", ""):
        return Response(200, headers, source=file.source, length=file.size)
    first, last = match.groups()
    start = int(first) if first else max(file.size - int(last), 0)
    end = min(int(last), file.size - 1) if first and last else file.size - 1
    if start > end:
        return error(416, None, "Range Not Satisfiable", {"Content-Range": f"bytes */{file.size}"})
    partial = {**headers, "Content-Range": f"bytes {start}-{end}/{file.size}"}
    return Response(206, partial, source=file.source, start=start, length=end - start + 1)
