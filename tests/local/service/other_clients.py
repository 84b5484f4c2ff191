"""LangChain and LiteLLM, in an environment of their own, as their users have them."""

from __future__ import annotations

import json
import os
import subprocess
import venv
from dataclasses import dataclass
from pathlib import Path

from hf_lambda.records import Json

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class OtherClients:
    python: Path

    @classmethod
    def installed(cls, folder: Path) -> OtherClients:
        venv.create(folder, with_pip=True)
        command = [str(folder / "bin" / "pip"), "install", "-q", "--require-hashes", "-r"]
        subprocess.run([*command, str(ROOT / "requirements" / "clients.txt")], check=True)
        return cls(folder / "bin" / "python")

    def found(self, script: str, folder: Path, **names: object) -> Json:
        """What `script` leaves in `found`; it sees `names`."""
        program = folder / "program.py"
        lines = [f"{name} = {value!r}" for name, value in names.items()]
        program.write_text("\n".join([*lines, script, "import json", 'print("found", json.dumps(found))']))
        kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        # Else LiteLLM asks the internet for its list of prices.
        environment = {**kept, "HOME": str(folder), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        command = [self.python, program]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        line = next(each for each in done.stdout.splitlines() if each.startswith("found "))
        return json.loads(line.removeprefix("found "))
