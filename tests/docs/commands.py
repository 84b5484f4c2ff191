"""The commands that the documents show, and whether each is one.

`python -m tests.docs.commands README.md "On one machine"` prints those of a section, a line each, to run;
without a section those above the first.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import botocore.session
import yaml
from botocore import xform_name

from infra.keys import keys_of
from infra.settings import EndpointSettings

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_MAKEFILE = (ROOT / "Makefile").read_text()
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_OF_OURS = re.compile(r"(make [a-z]|pulumi [a-z]|(\.venv/bin/)?python -m |pytest )")
_PULUMI = {
    ("up",): {"--replace", "--yes", "--stack"},
    ("preview",): set(),
    ("destroy",): {"--yes", "--stack"},
    ("login",): {"--local"},
    ("new",): {"--generate-only", "--name"},
    ("stack", "init"): set(),
    ("stack", "select"): {"--create"},
    ("stack", "output"): {"--json", "--stack"},
    ("config", "set"): {"--secret", "--path"},
}
"""Subcommands and options that `tests/engine` runs or pulumi.com documents."""
_OTHERS = {"echo", "curl", "docker", "eval", "git", "jq", "openssl", "bash", "rm", "source"}
"""Not ours: no test needs to know how they are called."""


def shown(text: str, *, spans: bool = True) -> Iterator[str]:
    """Every command of a document: lines that begin with `$ ` in its consoles, and code in its sentences."""
    for language, block in _BLOCK.findall(text):
        if language == "console":
            yield from (line[2:] for line in block.replace("\\\n", " ").splitlines() if line.startswith("$ "))
    for code in _SPAN.findall(_BLOCK.sub("", text)) if spans else ():
        one_line = " ".join(code.split())
        if _OF_OURS.match(one_line):
            yield one_line


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next one of its level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        raise ValueError(f"no heading {title!r}")
    return found[1]


def problems(line: str) -> list[str]:
    """What is wrong with a command line; each part of a chain is looked at, and commands in `$(...)` too."""
    found = [each for inner in re.findall(r"\$\(([^()]*)\)", line) for each in problems(inner)]
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    for token in [*lexer, ";"]:
        if token.strip("|&;<>"):
            words.append(token)
        elif token.strip("<>"):  # what follows `>` stays behind as a word, and is a file
            found += _problems(words)
            words = []
    return [f"{line}: {each}" for each in found]


def _problems(words: list[str]) -> list[str]:
    match words:
        case []:
            return []
        case ["make", target, *variables]:
            return _make(target, variables)
        case [".venv/bin/python" | "python", "-m", module, *arguments]:
            return _python(module, arguments)
        case ["pulumi", *arguments]:
            return _pulumi(arguments)
        case ["aws", "configure", "sso"] | ["aws", "login"]:
            return []
        case ["aws", service, operation, *arguments]:
            return _aws(service, operation, arguments)
        case ["pytest", *paths]:
            return [f"no {path}" for path in paths if not path.startswith("-") and not (ROOT / path).exists()]
        case [program, *_]:
            return [] if program in _OTHERS else [f"{program} is known to no test; tests/docs/commands.py"]
    raise AssertionError(words)


def _make(target: str, variables: list[str]) -> list[str]:
    if target not in re.findall(r"^([a-z-]+):", _MAKEFILE, re.MULTILINE):
        return [f"the Makefile has no {target}"]
    named = [each.partition("=")[0] for each in variables if "=" in each]
    return [
        *(
            f"the Makefile reads no {name}"
            for name in named
            if not re.search(rf"\$\(.*\b{name}\b", _MAKEFILE)
        ),
        *(f"{each} is no variable" for each in variables if "=" not in each),
    ]


class _ParsedError(Exception):
    """Ends `main` once its arguments were taken."""


def _python(module: str, arguments: list[str]) -> list[str]:
    """Hands the arguments to the real parser, and runs no further."""
    parse = argparse.ArgumentParser.parse_args

    def parse_alone(
        parser: argparse.ArgumentParser, given: list[str] | None = None, _: object = None
    ) -> argparse.Namespace:
        parse(parser, given)
        raise _ParsedError

    try:
        found = importlib.import_module(f"{module}.__main__")
    except ModuleNotFoundError as error:
        if error.name not in (module, f"{module}.__main__"):
            raise
        source = ROOT / f"{module.replace('.', '/')}.py"
        is_there = source.exists() and "__main__" in source.read_text()
        return [] if is_there and not arguments else [f"nothing to run in {module}"]
    if "parse_args" not in Path(str(found.__file__)).read_text():  # it would run
        return [] if not arguments else [f"{module} takes no arguments"]
    arguments = [re.sub(r"^<\w+>$", "a-name", each) for each in arguments]
    if arguments in (["add"], ["remove"], ["--stack"]):  # named alone, what goes with them is said beside
        arguments = [*arguments, "a-name"]
    if arguments == ["fetch"]:
        arguments += ["--into", "a-folder"]
    with (
        mock.patch.object(argparse.ArgumentParser, "parse_args", parse_alone),
        mock.patch.object(sys, "argv", [module, *arguments]),
    ):
        try:
            found.main(*([] if found.main.__code__.co_argcount == 0 else [arguments]))
        except _ParsedError:
            return []
        except SystemExit as error:
            return [f"{module} does not take {' '.join(arguments)} ({error.code})"]
    return [f"{module} reads no arguments"]


def _pulumi(arguments: list[str]) -> list[str]:
    verbs = next((known for known in _PULUMI if tuple(arguments[: len(known)]) == known), None)
    if verbs is None:
        return [f"pulumi {' '.join(arguments[:2])} is known to no test; tests/docs/commands.py"]
    rest = arguments[len(verbs) :]
    options = [each for each in rest if each.startswith("--")]
    found = [f"pulumi {' '.join(verbs)} {each}" for each in options if each not in _PULUMI[verbs]]
    if verbs == ("config", "set"):
        key = next(each for each in rest if not each.startswith("--"))
        found += _config_key(key, is_path="--path" in rest)
    return found


def _config_key(key: str, *, is_path: bool) -> list[str]:
    if key == "KEY" or key.startswith("aws:"):
        return []
    parts = re.split(r"[.\[]", key) if is_path else [key]
    found = [] if parts[0] in _keys() else [f"no setting {parts[0]}"]
    if parts[0] == "endpoints" and len(parts) > 2 and parts[2] not in keys_of(EndpointSettings):
        found.append(f"no setting {parts[2]} of an endpoint")
    return found


def _aws(service: str, operation: str, arguments: list[str]) -> list[str]:
    """By AWS's own description of the operation, from which the AWS CLI makes its options."""
    model = botocore.session.get_session().get_service_model(service)
    shape = next(
        (
            model.operation_model(each).input_shape
            for each in model.operation_names
            if xform_name(each, "-") == operation
        ),
        None,
    )
    if shape is None:
        return [f"aws {service} has no {operation}"]
    known = {f"--{xform_name(each, '-')}": each for each in shape.members}
    given = {each for each in arguments if each.startswith("--")}
    missing = {name for name, member in known.items() if member in shape.required_members} - given
    return [f"aws {service} {operation}: {each}" for each in sorted((given - {*known}) | missing)]


@cache
def _keys() -> set[str]:
    return {*yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]}


if __name__ == "__main__":
    document, *titles = sys.argv[1:]
    text = (ROOT / document).read_text()
    for command in shown(section(text, titles[0]) if titles else text.partition("\n## ")[0], spans=False):
        sys.stdout.write(command + "\n")
