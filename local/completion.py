"""`python -m local completion bash`: completes our commands in a shell, as shtab reads their parsers."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping
from pathlib import Path

import shtab

SHELLS = ("bash", "zsh", "fish")
_FILES = ("--outputs", "--report")
_FOLDERS = ("--models",)


def completion(shell: str, modules: Mapping[str, argparse.ArgumentParser], root: Path, python: Path) -> str:
    """The script to source. `modules`: module -> the parser of `python -m module`.

    It makes `hf-<module>`, which runs the module in `root`, and completes that; in bash and zsh it completes
    `python -m <module>` too.
    """
    parts = []
    for module, parser in modules.items():
        _complete_values(parser, root)
        parser.prog = f"hf-{module}"
        parts += [_function(shell, module, root, python), shtab.complete(parser, shell)]
    if shell in _DISPATCH:
        parts.append(
            _DISPATCH[shell].replace("@patterns@", "|".join(modules)).replace("@names@", " ".join(modules))
        )
    return "\n".join(parts) + "\n"


def _complete_values(parser: argparse.ArgumentParser, root: Path) -> None:
    """Names of stacks, scripts, files and folders, wherever an option or argument takes one."""
    folder = shlex.quote(str(root))
    stacks = shtab.cmd(f"cd {folder} && ls Pulumi.*.yaml 2>/dev/null | cut -d. -f2; echo local")
    scripts = shtab.cmd(f"cd {folder}/inference && ls *.py 2>/dev/null | cut -d. -f1")
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action.choices.values():
                _complete_values(each, root)
        elif "--stack" in action.option_strings:
            action.complete = stacks  # type: ignore[attr-defined]
        elif action.dest == "function" or (action.dest == "name" and not action.option_strings):
            action.complete = scripts  # type: ignore[attr-defined]
        elif {*_FILES} & {*action.option_strings}:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif {*_FOLDERS} & {*action.option_strings}:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]


def _function(shell: str, module: str, root: Path, python: Path) -> str:
    """Runs the module where its files are; paths on the line stay those of the folder that one is in."""
    run = f"PYTHONPATH={shlex.quote(str(root))} {shlex.quote(str(python))} -m {module}"
    if shell == "fish":
        return f"function hf-{module}; {run} $argv; end"
    return f'hf-{module}() {{ {run} "$@"; }}'


_DISPATCH = {
    "bash": """_hf_python() {
  if [ "${COMP_WORDS[1]}" = -m ] && [ "$COMP_CWORD" -ge 3 ]; then
    case ${COMP_WORDS[2]} in
      @patterns@)
        local module=${COMP_WORDS[2]}
        COMP_WORDS=("hf-$module" "${COMP_WORDS[@]:3}")
        COMP_CWORD=$((COMP_CWORD - 2))
        "_shtab_hf_$module"
        return;;
    esac
  fi
  if [ "${COMP_WORDS[1]}" = -m ] && [ "$COMP_CWORD" = 2 ]; then
    COMPREPLY=($(compgen -W "@names@" -- "${COMP_WORDS[2]}"))
  fi
}
complete -o filenames -o bashdefault -o default -F _hf_python python python3""",
    "zsh": """_hf_python() {
  if [[ ${words[2]} == -m && ${words[3]} == (@patterns@) && $CURRENT -ge 4 ]]; then
    local module=${words[3]}
    words=("hf-$module" "${words[@]:3}")
    (( CURRENT -= 2 ))
    "_shtab_hf_$module"
  elif [[ ${words[2]} == -m && $CURRENT -eq 3 ]]; then
    compadd @names@
  else
    _files
  fi
}
compdef _hf_python python python3""",
}
