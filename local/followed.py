"""The stack of `make up`, as `make dev` changes it while it runs."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Collection, Sequence

from discovery import Script, read_scripts
from local import stack
from local.dev import Asked
from local.layout import Folder
from local.playground.records import Update
from local.playground.server import SECRET_HEADER
from local.program.declare import declare
from local.program.functions import Program
from local.report import complete, failures, notes, table
from warmup.cli.stack import Invocation, StackClient, access_to
from warmup.protocol.records import Json

_ANSWER_S = 30


class Followed:
    """`running`, by the ways that `make up` and `make invoke` have."""

    def __init__(
        self, folder: Folder, choices: stack.Choices, running: stack.RunningStack, say: stack.Say
    ) -> None:
        self._folder, self._choices, self._running, self._say = folder, choices, running, say
        self._used = _models(self.scripts())
        self.inference = folder.root / "inference"

    def scripts(self) -> tuple[Script, ...]:
        return read_scripts(self._folder.root / "inference")

    def declare(self) -> Program:
        program = declare(self._folder.root)
        for warning in program.warnings:
            if warning not in self._running.program.warnings:
                self._say(f"warning: {warning}")
        return program

    def update(self, program: Program | None, changed: Collection[str], problems: Sequence[str]) -> None:
        if program is not None:
            self._running = stack.follow(self._folder, self._running, program)
        self._tell(Update(program is not None, tuple(sorted(changed)), tuple(problems)))

    def install(self) -> None:
        stack.install_packages(self._folder, self._say)

    def warm(self, scripts: Sequence[Script], repo_ids: Sequence[str]) -> Sequence[str]:
        used = _models(scripts)
        if self._choices.hub is None and used - self._used:
            stack.serve_more(self._folder, self._choices, self._running.hub, self._say)
        self._used |= used
        hub, program = self._running.hub, self._running.program
        stack.lay_models(self._folder, program, hub, self._say, prepare=not self._choices.container)
        found: list[str] = []
        for repo_id in repo_ids:
            code, warmed = stack.warm(self._folder, repo_id)
            hub = self._running.hub
            report = complete(warmed, hub.source, hub.requests())
            for line in [*table(report), *notes(report)]:
                self._say(line)
            of_endpoints = failures(report)  # these are asked once more, by the follower
            found += [each for each in report.errors if each not in of_endpoints]
            if code and not report.errors:
                found.append(f"{repo_id} was not warmed; see above")
        return found

    def ask(self, script: Script) -> Asked:
        outputs = self._running.outputs
        client = StackClient(outputs, access_to(self._folder.root, outputs))
        invocation = client.ask(script.name, json.dumps(script.example).encode())
        return Asked(invocation.body, problem_of(invocation))

    def _tell(self, update: Update) -> None:
        """The gateway, at the page's address, with its secret. Raises StackError where it does not answer."""
        url, _, secret = self._folder.page.read_text().partition("/#")
        headers = {SECRET_HEADER: secret, "Content-Type": "application/json"}
        body = json.dumps(update.to_json()).encode()
        request = urllib.request.Request(f"{url}/api/edition", body, headers, method="POST")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_ANSWER_S):
                pass
        except (OSError, http.client.HTTPException) as error:  # also one that ends, or is silent, meanwhile
            log = self._folder.log("gateway")
            raise stack.StackError(f"the gateway does not take a change ({error}); see {log}") from error


def _models(scripts: Sequence[Script]) -> set[str]:
    return {each.model for script in scripts for each in script.pipelines}


def problem_of(invocation: Invocation) -> str | None:
    """What is wrong with an answer, and where in the script, as far as the log says it."""
    if invocation.failure:
        return invocation.failure
    payload = invocation.payload
    status = payload.get("statusCode") if isinstance(payload, dict) else None
    if not isinstance(status, int) or status < 400:
        return None
    body = payload.get("body")
    error = body.get("error", body) if isinstance(body, dict) else body
    message = error.get("message", error) if isinstance(error, dict) else error
    return "\n".join([f"{status}: {message}", *_where(invocation.log)])


def _where(log: str) -> list[str]:
    """Type and frames of the fault that was logged last, the script's own alone where it has some."""
    faults = [found for line in log.splitlines() if (found := _fault(line))]
    if not faults:
        return []
    frames = [str(each) for each in faults[-1].get("frames") or []]
    own = [each for each in frames if "/inference/" in each]
    return [f"  {faults[-1].get('type')}", *(f"  {each}" for each in own or frames[-1:])]


def _fault(line: str) -> dict[str, Json] | None:
    try:
        read = json.loads(line)
    except ValueError:
        return None
    found = read.get("error") if isinstance(read, dict) else None
    return found if isinstance(found, dict) and "frames" in found else None
