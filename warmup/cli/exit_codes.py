"""How a command ends: what went wrong on stderr, and a code that says of which kind it was."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from discovery import ScriptError

from ..protocol.errors import ErrorKind, WarmupError

DONE, FAILED, USAGE = 0, 1, 2
EPILOG = "Exit codes: 0 all is well, 1 something failed (named on stderr), 2 usage."


def exit_code(command: Callable[[], int], *, interrupted: str) -> int:
    """Run `command`, which returns its code; `interrupted` is said where somebody stops it."""
    try:
        return command()
    except ScriptError as error:
        return say(error.problems, USAGE)
    except WarmupError as error:
        return say([str(error)], USAGE if error.kind is ErrorKind.USAGE else FAILED)
    except KeyboardInterrupt:
        return say([interrupted], FAILED)


def say(lines: Sequence[str], code: int = DONE) -> int:
    for line in lines:
        sys.stderr.write(f"warmup: {line}\n")
    return code
