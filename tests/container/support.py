"""What the container tests share: a tree to build from, functions as the program declares them, runs."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from local.program.functions import Function
from local.service.container import Container, Containers

ROOT = Path(__file__).parents[2]
BINARY = ROOT / ".local/bin/aws-lambda-rie"
MOUNT = "/mnt/hf_models_cache"


@dataclass(frozen=True)
class Supervised(Containers):
    """Containers of one test; `stop_all` ends what the test did not."""

    started: list[Container] = field(default_factory=list)

    def start(self, function):
        self.started.append(super().start(function))
        return self.started[-1]

    def stop_all(self):
        for instance in self.started:
            instance.stop()


def copy_tree(into):
    for name in ("inference", "hf_lambda", "discovery", "warmup", "requirements", "infra", "local"):
        shutil.copytree(ROOT / name, into / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (".dockerignore", "__main__.py", *(path.name for path in ROOT.glob("Pulumi*.yaml"))):
        shutil.copy2(ROOT / path, into / path)
    for example in (ROOT / "examples").glob("*.py"):
        shutil.copy2(example, into / "inference" / example.name)
    shutil.copy2(Path(__file__).with_name("probe.py"), into / "inference/probe.py")
    return into


def declare(
    name="probe", *, command=None, target="slim", memory_mb=512, timeout_s=30, writes=False, **environment
):
    """A function as the program would declare it."""
    return Function(
        name=name,
        function_name=f"hf-lambda-{name}",
        arn=f"arn:aws:lambda:us-east-1:123456789012:function:hf-lambda-{name}",
        command=command or f"{name}.handler",
        environment={"MODEL_CACHE": MOUNT, "HF_HOME": "/tmp/hf", "ENDPOINT_NAME": name, **environment},
        memory_mb=memory_mb,
        timeout_s=timeout_s,
        mount=MOUNT,
        writes=writes,
        target=target,
    )


def run(engine, image, *command, entrypoint="python", options=()):
    """What a command prints in a fresh container without network, as a user that no image knows."""
    sandbox = [
        "--rm",
        "--network",
        "none",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "--ipc",
        "none",
        "--user",
        "54321:54321",
    ]
    return engine.text("run", *sandbox, *options, "--entrypoint", entrypoint, image, *command)
