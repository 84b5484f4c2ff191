"""`make dev`: changes of scripts reach what they concern, mistakes are shown, nothing else starts anew."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from discovery import Script, read_scripts
from local.dev import Asked, Follower, is_watched, watched
from local.followed import problem_of
from local.program.declare import ProgramError
from local.program.functions import Program
from tests.local.functions_to_run import declare
from warmup.cli.stack import Invocation
from warmup.protocol.errors import ErrorKind, WarmupError

SCRIPT = """from hf_lambda import endpoint, pipeline
{more}
run = pipeline("text-classification", model="{model}")


@endpoint
def handler(text: str):
    return run(text)
"""


class Stack:
    """Remembers what was asked of it; scripts are really read."""

    def __init__(self, inference: Path) -> None:
        self.inference = inference
        self.served: list[tuple[bool, set[str], list[str]]] = []
        self.warmed: list[str] = []
        self.asked: list[str] = []
        self.installed = 0
        self.failing: dict[str, str] = {}
        self.cold: list[str] = []
        self.saved: dict[Path, str] = {}
        """What somebody saves while a model is warmed."""
        self.problem: str | None = None
        self.declared = 0

    def scripts(self) -> tuple[Script, ...]:
        return read_scripts(self.inference)

    def declare(self) -> Program:
        self.declared += 1
        if self.problem:
            raise ProgramError(self.problem)
        functions = [declare(each.name, command=f"{each.name}.handler") for each in self.scripts()]
        return Program((*functions, declare("warmup", command="warmup.worker.handler.handler")), {})

    def update(self, program: Program | None, changed: Collection[str], problems: Sequence[str]) -> None:
        self.served.append((program is not None, {*changed}, [*problems]))

    def install(self) -> None:
        self.installed += 1

    def warm(self, scripts: Sequence[Script], repo_ids: Sequence[str]) -> Sequence[str]:
        self.warmed += repo_ids
        if self.saved:
            path, text = self.saved.popitem()
            path.write_text(text)
            self.scripts()
        return [f"{each}: no such model" for each in repo_ids if each in self.cold]

    def ask(self, script: Script) -> Asked:
        self.asked.append(script.name)
        if self.failing.get(script.name) == "unreachable":
            raise WarmupError(ErrorKind.UNREACHABLE, "unreachable")
        return Asked('{"label": "POSITIVE"}', self.failing.get(script.name))


class Desk:
    """Somebody edits `inference/`, and the follower is told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, list[str]()
        self.write("sentiment.py", SCRIPT.format(more="", model="org/one"), told=False)
        self.write("other.py", SCRIPT.format(more="import _shared", model="org/two"), told=False)
        self.write("_shared.py", "", told=False)
        self.stack = Stack(folder)
        self.follower = Follower(self.stack, self.stack.declare(), self.said.append)

    def write(self, name: str, text: str, *, told: bool = True) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if told:
            self.tell(path)

    def remove(self, name: str) -> None:
        (self.folder / name).unlink()
        self.tell(self.folder / name)

    def tell(self, *paths: Path) -> None:
        self.stack.served.clear()
        self.stack.asked.clear()
        self.follower.follow([set(), {*paths}])

    @property
    def restarted(self) -> set[str]:
        return {name for _, changed, _ in self.stack.served for name in changed}

    @property
    def problems(self) -> list[str]:
        """That the page shows now."""
        return self.stack.served[-1][2]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "inference")


def test_an_edit_restarts_its_own_endpoint_and_asks_it(desk: Desk) -> None:
    desk.write("sentiment.py", SCRIPT.format(more="# edited", model="org/one"))
    assert desk.restarted == {"sentiment"} and desk.stack.asked == ["sentiment"]
    assert desk.stack.warmed == [] and desk.problems == [] and desk.stack.declared == 1
    assert 'sentiment: {"label": "POSITIVE"}' in desk.said


def test_shared_code_restarts_those_that_import_it(desk: Desk) -> None:
    desk.write("_shared.py", "A = 1\n")
    assert desk.restarted == {"other"}


def test_a_file_that_nobody_imports_may_be_anybody_s(desk: Desk) -> None:
    desk.write("words.txt", "a\n")
    assert desk.restarted == {"sentiment", "other"}


def test_another_model_is_warmed_before_its_endpoint_is_asked(desk: Desk) -> None:
    desk.write("sentiment.py", SCRIPT.format(more="", model="org/three"))
    assert desk.stack.warmed == ["org/three"] and desk.restarted == {"sentiment"}
    assert desk.stack.declared == 2


def test_a_script_that_is_added_appears_and_one_that_is_removed_goes(desk: Desk) -> None:
    desk.write("third.py", SCRIPT.format(more="", model="org/one"))
    assert desk.restarted == {"third"} and desk.stack.warmed == []
    desk.remove("third.py")
    assert desk.restarted == set() and desk.stack.asked == []
    assert any(declared for declared, _, _ in desk.stack.served) and "third: gone" in desk.said


def test_a_mistake_is_shown_in_both_places_until_it_is_mended(desk: Desk) -> None:
    desk.write("other.py", "def handler(")
    assert desk.restarted == set() and "other.py:1" in desk.problems[0]
    assert any("other.py:1" in line for line in desk.said)
    desk.write("_shared.py", "B = 1\n")  # the mistake is there still: nothing is served anew
    assert desk.restarted == set() and desk.problems
    desk.write("other.py", SCRIPT.format(more="import _shared", model="org/two"))
    assert desk.restarted == {"other"} and desk.problems == []


def test_what_the_program_refuses_is_shown_too(desk: Desk) -> None:
    desk.stack.problem = "1 mistake in stack local:\ntoo much memory"
    desk.write("sentiment.py", SCRIPT.format(more="", model="org/three"))
    assert desk.problems == ["1 mistake in stack local:", "too much memory"] and desk.restarted == set()
    desk.stack.problem = None
    desk.write("other.py", SCRIPT.format(more="import _shared", model="org/two"))
    assert desk.restarted == {"sentiment", "other"}


@pytest.mark.parametrize("problem", ["Runtime.ImportModuleError: No module named 'x'", "unreachable"])
def test_a_script_that_does_not_load_is_told_until_it_does(desk: Desk, problem: str) -> None:
    desk.stack.failing["sentiment"] = problem
    desk.write("sentiment.py", SCRIPT.format(more="import x", model="org/one"))
    expected = f"sentiment: {problem}"
    assert desk.problems == [expected] and expected in desk.said
    desk.write("_shared.py", "A = 1\n")
    assert desk.problems == [expected]  # of another endpoint
    del desk.stack.failing["sentiment"]
    desk.write("sentiment.py", SCRIPT.format(more="", model="org/one"))
    assert desk.problems == []


FRAMES = ["/opt/hf_lambda/endpoint.py:3 call", "/code/inference/a.py:7 handler", "/opt/x.py:1 f"]
LOGGED = json.dumps({"event": "request", "error": {"type": "KeyError", "frames": FRAMES}})


@pytest.mark.parametrize(
    ("body", "function_error", "log", "expected"),
    [
        ('{"statusCode": 200, "body": {"error": "x"}}', None, "", None),
        ('[{"label": "A"}]', None, LOGGED, None),
        ("", None, "", None),
        ('{"statusCode": 503, "body": {"error": {"message": "cold"}}}', None, "no JSON", "503: cold"),
        ('{"statusCode": 404, "body": "gone"}', None, "[1]\n{}", "404: gone"),
        (
            '{"statusCode": 500, "body": {"error": {"message": "see the log"}}}',
            None,
            f"START\n{LOGGED}\nREPORT",
            "500: see the log\n  KeyError\n  /code/inference/a.py:7 handler",
        ),
        (
            '{"errorType": "ImportError", "errorMessage": "No module named x"}',
            "Unhandled",
            "",
            "ImportError: No module named x",
        ),
    ],
)
def test_an_error_is_worded_with_its_place(
    body: str, function_error: str | None, log: str, expected: str | None
) -> None:
    assert problem_of(Invocation(body, function_error, log, 0.1)) == expected


def test_a_model_that_was_not_warmed_is_tried_again_with_the_next_change(desk: Desk) -> None:
    desk.stack.cold = ["org/three"]
    desk.write("sentiment.py", SCRIPT.format(more="", model="org/three"))
    assert desk.problems == ["org/three: no such model"]
    desk.stack.cold = []
    desk.write("_shared.py", "A = 1\n")
    assert desk.stack.warmed == ["org/three", "org/three"] and desk.problems == []


def test_a_mistake_that_is_saved_while_a_model_is_warmed_ends_nothing(desk: Desk) -> None:
    desk.stack.saved = {desk.folder / "other.py": "def handler("}
    desk.write("sentiment.py", SCRIPT.format(more="", model="org/three"))
    assert desk.stack.asked == ["sentiment"] and "other.py:1" in desk.problems[0]
    desk.tell(desk.folder / "other.py")
    desk.write("other.py", SCRIPT.format(more="import _shared", model="org/two"))
    assert desk.stack.warmed == ["org/three"] * 2 and desk.problems == []


def test_a_folder_of_a_model_that_changes_is_warmed_for_its_endpoint_alone(desk: Desk) -> None:
    desk.write("models/mine/config.json", "{}", told=False)
    desk.write("sentiment.py", SCRIPT.format(more="", model="./models/mine"))
    desk.write("models/mine/config.json", '{"a": 1}')
    assert desk.stack.warmed == ["./models/mine"] * 2 and desk.restarted == {"sentiment"}


def test_packages_are_installed_when_their_list_changes(desk: Desk) -> None:
    desk.write("requirements.txt", "six\n")
    assert desk.stack.installed == 1 and desk.restarted == {"sentiment", "other"}


@pytest.mark.parametrize(
    "name",
    [
        ".s3/models--a/x",
        "a/.hidden",
        "__pycache__/a.pyc",
        "a.pyc",
        "a.py~",
        ".a.py.swp",
        "a.swp",
        "a.tmp",
        ".",
    ],
)
def test_what_editors_and_python_leave_is_no_change(tmp_path: Path, name: str) -> None:
    assert not is_watched(tmp_path, tmp_path / name)
    assert is_watched(tmp_path, tmp_path / "a/b.py") and not is_watched(tmp_path / "a", tmp_path / "b.py")


@pytest.mark.timeout(60)
def test_files_that_are_really_written_come_as_changes(tmp_path: Path) -> None:
    changes = watched(tmp_path)
    next(changes)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.pyc").write_text("")
    (tmp_path / "a.py").write_text("")
    seen: set[Path] = set()
    while tmp_path / "a.py" not in seen:
        seen |= next(changes)
    assert seen == {tmp_path / "a.py"}
    (tmp_path / "a.py").unlink()
    while not (gone := next(changes)):
        pass
    assert gone == {tmp_path / "a.py"}
