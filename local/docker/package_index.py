"""How this machine installs Python packages, as an image build can use it: settings, certificates, torch."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

CA_IN_BUILD = "/run/secrets/ca.pem"
"""Where the Dockerfile's secret `ca.pem` appears."""
CARRIED_OVER = ("index-url", "extra-index-url", "trusted-host", "timeout", "default-timeout", "retries")
CA_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
_SETTING = re.compile(r"^(?P<section>[\w.:-]+)\.(?P<key>[\w-]+)='(?P<value>.*)'$")


def settings(printed: str) -> dict[str, str]:
    """Settings that `pip config list` printed; the environment beats `install`, which beats `global`."""
    order = {"global": 0, "install": 1, ":env:": 2}
    found = [match for line in printed.splitlines() if (match := _SETTING.match(line.strip()))]
    ranked = sorted(
        (match for match in found if match["section"] in order), key=lambda match: order[match["section"]]
    )
    return {match["key"]: match["value"].replace("\\n", " ") for match in ranked}


def this_machine() -> dict[str, str]:
    """The settings of the pip that runs here; none if there is no pip."""
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True)
    return settings(asked.stdout) if asked.returncode == 0 else {}


def ca_bundle(pip: Mapping[str, str], environ: Mapping[str, str] = os.environ) -> Path | None:
    """The certificates that this machine was told to trust, if it was told."""
    named = [pip.get("cert", ""), *(environ.get(name, "") for name in CA_VARIABLES)]
    return next((Path(name) for name in named if name and Path(name).is_file()), None)


def pip_conf(pip: Mapping[str, str], *, has_ca: bool) -> str:
    """A pip.conf for the build: indexes that it reaches too, no folders that only this machine has."""
    lines = ["[global]"]
    for key in CARRIED_OVER:
        values = [value for value in pip.get(key, "").split() if not value.startswith(("file:", "/"))]
        if values:
            lines.append(f"{key} = {' '.join(values)}")
    if has_ca:
        lines.append(f"cert = {CA_IN_BUILD}")
    return "\n".join(lines) + "\n"


def lay_torch_wheel(pip: Mapping[str, str], requirements: Path, wheels: Path) -> Path | None:
    """Put the locked torch wheel into `wheels`, if one of pip's find-links folders holds it. Returns it."""
    locked = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", requirements.read_text()))
    for folder in (Path(link.removeprefix("file://")) for link in pip.get("find-links", "").split()):
        for wheel in sorted(folder.glob("torch-*.whl")):
            laid = wheels / wheel.name
            if laid.is_file() and laid.stat().st_size == wheel.stat().st_size:
                return laid
            if _sha256(wheel) in locked:
                wheels.mkdir(parents=True, exist_ok=True)
                return Path(shutil.copy2(wheel, laid))
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
