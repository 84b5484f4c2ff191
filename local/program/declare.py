"""Runs the Pulumi program for the local stack and takes from it what it declares."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from hf_lambda.records import Json
from local.program.functions import Program

STACK = "local"


class ProgramError(Exception):
    """The program stopped; the text is its own."""


def declare(root: Path) -> Program:
    """Run `root`/__main__.py under Pulumi's mock monitor, in a process of its own. Raises ProgramError."""
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "program.json"
        command = [sys.executable, "-m", "local.program.monitor", str(root), str(written)]
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if run.returncode:
            raise ProgramError(run.stderr.strip())
        return Program.from_json(json.loads(written.read_text()))


def project_name(root: Path) -> str:
    """As Pulumi.yaml has it: whoever makes a project of this one (`pulumi new`) gives it another name."""
    return str(yaml.safe_load((root / "Pulumi.yaml").read_text())["name"])


def read_config(
    root: Path, stack: str = STACK, stand_in: Callable[[Sequence[str | int]], Json] | None = None
) -> dict[str, Json]:
    """Config by full key: the defaults in Pulumi.yaml and, over them, the file of the stack, as in the CLI.

    Only the CLI could decrypt a secret: `stand_in` is given the path to it, in the config, and says what to
    take in its place. Raises ProgramError for a secret without it.
    """
    project = yaml.safe_load((root / "Pulumi.yaml").read_text())
    config = {}
    for key, entry in (project.get("config") or {}).items():
        value = entry.get("value", entry.get("default")) if isinstance(entry, Mapping) else entry
        if value is not None:
            config[_full_key(project["name"], key)] = value
    own = root / f"Pulumi.{stack}.yaml"
    given = _config_in(own) if own.exists() else {}
    for key, value in given.items():
        if stand_in:
            value = _in_place_of_secrets(value, (key,), stand_in)
        if _is_encrypted(value):
            hint = "; the local stack takes the Hub's token from the variable HF_TOKEN"
            raise ProgramError(f"{own.name}: {key} is encrypted; remove it{hint if 'hfToken' in key else ''}")
        if (inside := _encrypted_within(value)) is not None:
            only = "; only the CLI could decrypt it, so write a value for this machine"
            raise ProgramError(f"{own.name}: {key} holds an encrypted value ({inside}){only}")
        config[_full_key(project["name"], key)] = value
    return config


def _config_in(path: Path) -> Mapping[str, Json]:
    """Raises ProgramError where `path` is no file of a stack."""
    try:
        document = yaml.safe_load(path.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise ProgramError(f"{path.name}{line} is not YAML; `pulumi config` writes such files") from error
    config = (document.get("config") or {}) if isinstance(document, dict) else None
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise ProgramError(f"{path.name}: must be an object with `config`, an object of keys and values")
    return config


def _encrypted_within(value: Json) -> str | None:
    """The key, at any depth, whose value is encrypted."""
    if not isinstance(value, Mapping):
        return None
    for key, each in value.items():
        if _is_encrypted(each):
            return str(key)
        if (found := _encrypted_within(each)) is not None:
            return found
    return None


def _is_encrypted(value: Json) -> bool:
    return isinstance(value, Mapping) and value.keys() == {"secure"}


def _in_place_of_secrets(
    value: Json, path: Sequence[str | int], stand_in: Callable[[Sequence[str | int]], Json]
) -> Json:
    if _is_encrypted(value):
        return stand_in(path)
    if isinstance(value, Mapping):
        return {key: _in_place_of_secrets(each, (*path, key), stand_in) for key, each in value.items()}
    if isinstance(value, list):
        return [_in_place_of_secrets(each, (*path, index), stand_in) for index, each in enumerate(value)]
    return value


def _full_key(project: str, key: str) -> str:
    return key if ":" in key else f"{project}:{key}"
