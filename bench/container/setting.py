"""What the measurement runs on: three images, a warmed cache, and how each image's function is started."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from local import models
from local.docker import images
from local.docker.engine import ContainerEngine
from local.hub import Hub, serve
from local.program.functions import Function
from local.service.container import Containers

ROOT = Path(__file__).resolve().parents[2]
MODEL = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
COMMIT = "714eb0fa89d2f80546fda750413ed43d93601a13"
MOUNT = "/mnt/hf_models_cache"
MEMORY_MB = 3008
SCRIPTS = {"slim": "sentiment", "full": "by_torch", "plain": "plain"}


@dataclass(frozen=True)
class Setting:
    """Images by name, over one cache."""

    containers: Containers
    tree: Path
    """What the images were built from."""
    work: Path

    def function(self, way: str) -> Function:
        """The sentiment endpoint, served the given way."""
        script = SCRIPTS[way]
        return Function(
            name=script,
            function_name=f"hf-lambda-{script}",
            arn=f"arn:aws:lambda:us-east-1:123456789012:function:hf-lambda-{script}",
            command=f"{script}.handler",
            environment={
                "MODEL_CACHE": MOUNT,
                "HF_HUB_CACHE": f"{MOUNT}/hub",
                "HF_HOME": "/tmp/hf",
                "HF_HUB_OFFLINE": "1",
                "ENDPOINT_NAME": script,
            },
            memory_mb=MEMORY_MB,
            timeout_s=120,
            mount=MOUNT,
            writes=False,
            target=way,
        )


def warmed(engine: ContainerEngine, work: Path) -> Setting:
    """Build the images and warm a cache in `work`."""
    tree = _tree(work / "tree")
    names = {
        target: images.build(engine, target, root=tree, name=f"hf-lambda-bench:{target}", log=work / target)
        for target in images.TARGETS
    }
    names["plain"] = _plain(engine, tree)
    cache = work / "cache"
    cache.mkdir(parents=True)
    _warm(cache, work / "models")
    containers = Containers(engine, cache, work, ROOT / ".local/bin/aws-lambda-rie", images=names)
    containers.adopt_cache()
    work.chmod(0o755)
    return Setting(containers, tree, work)


def _tree(into: Path) -> Path:
    for name in ("inference", "hf_lambda", "discovery", "warmup", "requirements", "bench/container"):
        shutil.copytree(ROOT / name, into / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / ".dockerignore", into)
    shutil.copy2(ROOT / "bench/container/scripts/by_torch.py", into / "inference")
    return into


def _plain(engine: ContainerEngine, tree: Path) -> str:
    """The image as the ancestor sample builds its own, from the same wheels and the same base."""
    name, dockerfile = "hf-lambda-bench:plain", tree / "bench/container/plain.Dockerfile"
    (tree / "build/wheels").mkdir(parents=True, exist_ok=True)
    (tree / ".dockerignore").rename(tree / ".dockerignore.aside")  # that one is for our images
    try:
        with images.packages(tree) as options:
            base = f"BASE_IMAGE={images.base_image(engine)}"
            files = ["--file", str(dockerfile), "--tag", name]
            engine.run("build", *files, "--network", "host", "--build-arg", base, *options, str(tree))
    finally:
        (tree / ".dockerignore.aside").rename(tree / ".dockerignore")
    return name


def _warm(cache: Path, served: Path) -> None:
    models.build(served)
    names = {"MODEL_CACHE": str(cache), "HF_HUB_CACHE": str(cache / "hub"), "HF_HOME": str(served / ".home")}
    os.environ.update(names)
    with serve(Hub(served)) as hub:
        os.environ["HF_ENDPOINT"] = hub.url
        from warmup.worker.handler import handler

        order = {"model": MODEL, "revision": COMMIT, "task": "text-classification"}
        event = {"action": "warm", "models": [{**order, "engine": "onnx", "precision": "auto"}]}
        document = handler(event, None)
    if document["state"] != "done":
        raise RuntimeError(f"the cache was not warmed: {document}")
