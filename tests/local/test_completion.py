"""`python -m local completion`: what real shells complete with it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local import __main__ as local
from local.completion import SHELLS, completion
from warmup import __main__ as warmup

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in a folder with a space in its name."""
    folder = tmp_path_factory.mktemp("a project")
    (folder / "inference").mkdir()
    for path in ("Pulumi.yaml", "Pulumi.prod.yaml", "inference/names.py", "inference/topics.py"):
        (folder / path).touch()
    return folder


@pytest.fixture(scope="module")
def complete(root: Path):
    """`complete("hf-local logs n")` are the words that bash would offer for the last one."""
    modules = {"warmup": warmup.whole_parser(), "local": local._parser()}
    script = root / "completion.bash"
    script.write_text(completion("bash", modules, root, Path(sys.executable)))

    def words(line: str) -> set[str]:
        given = line.split(" ")
        function = "_hf_python" if given[0] == "python" else f"_shtab_{given[0].replace('-', '_')}"
        lines = [
            f'source "{script}"',
            f"COMP_WORDS=({' '.join(each or repr('') for each in given)})",
            f"COMP_CWORD={len(given) - 1}",
            f"{function} {given[0]} {given[-1] or repr('')}",
            'printf "%s\\n" "${COMPREPLY[@]}"',
        ]
        # What only a shell at work has: it changes how what was found is shown.
        command = ["bash", "-c", "\n".join(["compopt() { :; }", *lines])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0 and not done.stderr, done.stderr
        return {word.strip() for word in done.stdout.split("\n") if word.strip()}

    return words


@pytest.mark.parametrize("command", ["hf-local", "python -m local"])
def test_commands_and_their_options_are_completed(complete, command: str):
    assert {"up", "down", "doctor", "upgrade", "completion"} <= complete(f"{command} ")
    assert complete(f"{command} doc") == {"doctor"}
    assert {"--stack", "--json"} <= complete(f"{command} doctor --")
    assert complete(f"{command} completion z") == {"zsh"}


@pytest.mark.parametrize("command", ["hf-warmup", "python -m warmup"])
def test_the_warm_up_s_commands_are_completed_whichever_parser_they_are_of(complete, command: str):
    assert {"warm", "status", "verify", "prune", "add", "remove"} <= complete(f"{command} ")
    assert {"--task", "--force", "--json"} <= complete(f"{command} add --")
    assert {"--into", "--endpoint", "--hub"} <= complete(f"{command} fetch --")
    assert "--dry-run" in complete(f"{command} --d") and "--dry-run" in complete(f"{command} prune --d")


def test_names_of_stacks_and_scripts_are_those_of_the_project(complete):
    assert complete("hf-local doctor --stack ") == {"prod", "local"}
    assert complete("hf-local logs n") == {"names"}
    assert complete("hf-warmup remove t") == {"topics"}


def test_after_python_only_our_modules_are_ours(complete):
    assert complete("python -m ") == {"warmup", "local"}
    assert complete("python -m pytest ") == set()
    assert complete("python script.py ") == set()


@pytest.mark.slow
@pytest.mark.parametrize("shell", [shell for shell in SHELLS if shutil.which(shell)])
def test_each_shell_reads_its_script(shell: str, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert local.main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out)
    start = {"zsh": "autoload -U compinit && compinit -D -u; "}.get(shell, "")
    read = f"source {script}" if shell == "fish" else f'eval "$(cat {script})"'
    checked = f"{start}{read} && hf-local completion bash >/dev/null && echo works"
    # In another folder: what hf-local runs is found from anywhere.
    done = subprocess.run(
        [shell, "-c", checked], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout == "works\n" and not done.stderr, done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_is_in_the_script_of_every_shell(shell: str, root: Path):
    modules = {"warmup": warmup.whole_parser(), "local": local._parser()}
    text = completion(shell, modules, root, Path(sys.executable))
    for command in ("status", "prune", "add", "remove", "doctor", "upgrade", "hf-warmup", "hf-local"):
        assert command in text
