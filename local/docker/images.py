"""Builds the images on this machine, also where no image registry can be reached."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.docker import package_index
from local.docker.engine import ContainerEngine, EngineError

ROOT = Path(__file__).resolve().parents[2]
OFFICIAL_BASE = "python:3.11-slim-bookworm"
"""The Dockerfile's own default."""
OWN_BASE = "hf-lambda-base:bookworm"
"""Debian's Python as a base image, made here where the official one cannot be had."""
TARGETS = ("slim", "full")
OF_LOCAL_STACK = (
    "local/Dockerfile",
    "local/install.py",
    *(f"requirements/{name}.txt" for name in ("dev", "model", "torch", "emulator")),
)
"""What the image is made of that the local stack runs in."""
PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def tag(target: str) -> str:
    return f"hf-lambda:{target}"


def models_tag(endpoint: str) -> str:
    """Of the image that has the models of `endpoint` in it."""
    return tag(f"models-{endpoint}")


def build(
    engine: ContainerEngine,
    target: str,
    *,
    root: Path = ROOT,
    base: str | None = None,
    name: str | None = None,
    log: Path,
) -> str:
    """Build `target` from `root` and return the image's name; what the builder printed is in `log`.

    Raises EngineError with the builder's last lines.
    """
    name = name or tag(target)
    arguments = [
        "build",
        "--progress",
        "plain",
        "--file",
        str(root / "inference/Dockerfile"),
        "--target",
        target,
    ]
    arguments += [
        "--tag",
        name,
        "--build-arg",
        f"BASE_IMAGE={base or base_image(engine)}",
        "--network",
        "host",
    ]
    with packages(root) as options:
        _run(engine, [*arguments, *options, str(root)], f"the {target} image", log)
    return name


def build_with_models(
    engine: ContainerEngine,
    endpoint: str,
    models: Path,
    args: Mapping[str, str],
    *,
    root: Path = ROOT,
    name: str | None = None,
    log: Path,
) -> str:
    """Build the image of `endpoint` from `models`, the folder that was fetched for it; its name.

    `args`: of inference/models.Dockerfile. Raises EngineError with the builder's last lines.
    """
    name = name or models_tag(endpoint)
    arguments = ["build", "--progress", "plain", "--file", str(root / "inference/models.Dockerfile")]
    arguments += ["--network", "none", *(f"--build-arg={key}={value}" for key, value in args.items())]
    _run(engine, [*arguments, "--tag", name, str(models)], f"the image of {endpoint}", log)
    return name


def build_local_stack(engine: ContainerEngine, say: Callable[[str], None], *, root: Path, log: Path) -> str:
    """Build the image that the local stack runs in, unless it was built of the same files; its name.

    Raises EngineError with the builder's last lines.
    """
    base = base_image(engine)
    made_of = [base.encode(), *((root / name).read_bytes() for name in OF_LOCAL_STACK)]
    name = f"hf-lambda-local:{hashlib.sha256(bytes(1).join(made_of)).hexdigest()[:12]}"
    if engine.has(name):
        return name
    say("building the image that the local stack runs in: some minutes, once ...")
    arguments = ["build", "--progress", "plain", "--file", str(root / OF_LOCAL_STACK[0]), "--tag", name]
    arguments += ["--build-arg", f"BASE_IMAGE={base}", "--network", "host"]
    with packages(root) as options:
        _run(engine, [*arguments, *options, str(root)], "the image of the local stack", log)
    return name


def _run(engine: ContainerEngine, arguments: Sequence[str], what: str, log: Path) -> None:
    done = engine.run(*arguments, check=False)
    log.parent.mkdir(parents=True, exist_ok=True)
    printed = (done.stdout + done.stderr).decode(errors="replace")
    log.write_text(printed)
    if done.returncode:
        raise EngineError(f"{what} does not build; see {log}:\n" + "\n".join(printed.splitlines()[-25:]))


@contextmanager
def packages(root: Path) -> Iterator[list[str]]:
    """Options that let a build install packages as this machine does; secrets stay out of every layer."""
    pip = package_index.this_machine()
    package_index.lay_torch_wheel(pip, root / "inference/requirements-torch.txt", root / "build/wheels")
    bundle = package_index.ca_bundle(pip)
    options = [f"--build-arg={name}" for name in PROXIES if os.environ.get(name)]
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as conf:
        conf.write(package_index.pip_conf(pip, has_ca=bundle is not None))
        conf.flush()
        options.append(f"--secret=id=pip.conf,src={conf.name}")
        if bundle:
            options.append(f"--secret=id=ca.pem,src={bundle}")
        yield options


def base_image(engine: ContainerEngine) -> str:
    """$BASE_IMAGE, else the official image, else one made from Debian's packages. Raises EngineError."""
    if given := os.environ.get("BASE_IMAGE"):
        return given
    for name in (OFFICIAL_BASE, OWN_BASE):
        if engine.has(name):
            return name
    pulled = engine.run("pull", "--quiet", OFFICIAL_BASE, check=False)
    if pulled.returncode == 0:
        return OFFICIAL_BASE
    script = Path(__file__).with_name("base_image.sh")
    made = subprocess.run(["bash", str(script), engine.client, OWN_BASE], capture_output=True, text=True)
    if made.returncode:
        refused = pulled.stderr.decode(errors="replace").strip()
        raise EngineError(
            f"no base image: {OFFICIAL_BASE} cannot be pulled ({refused}), and none can be made here "
            f"({made.stderr.strip()}); set BASE_IMAGE to an image with Python 3.11 and venv that is here"
        )
    return OWN_BASE
