"""Who is compared: the ancestor's handler, our three ways of serving, and a user's other choices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from string import Template

from bench.workloads import Workload

HANDLERS = Path(__file__).parent / "handlers"


@dataclass(frozen=True)
class Contender:
    """A handler module that serves a workload. `ours`: reads the model cache that the warm-up filled."""

    name: str
    module: str
    folder: Path
    needs_site: bool = False


def contenders(workload: Workload, generated: Path) -> list[Contender]:
    """The field for `workload`, the ancestor first; our scripts are written to `generated`."""
    kind = {"text-classification": "classification", "feature-extraction": "embeddings"}.get(
        workload.task, "summarization"
    )
    field = [Contender("ancestor", f"ancestor_{kind}", HANDLERS)]
    for engine, precision in (("torch", "auto"), ("onnx", "fp32"), ("onnx", "int8")):
        name = "torch" if engine == "torch" else precision
        module = f"ours_{kind}_{name}"
        (generated / f"{module}.py").write_text(_script(workload, engine, precision))
        field.append(Contender(f"hf-lambda {name}", module, generated))
    for rival in ("ctranslate2", "openvino", "sentence_transformers"):
        if (HANDLERS / f"{rival}_{kind}.py").exists():
            field.append(Contender(rival.replace("_", "-"), f"{rival}_{kind}", HANDLERS, needs_site=True))
    return field


_SCRIPT = Template('''"""The benchmark's endpoint."""

from serving import endpoint, pipeline

ask = pipeline("$task", model="$model", engine="$engine", precision="$precision"$options)


@endpoint
def handler($field: str | list[str]):
    return ask($field)
''')


def _script(workload: Workload, engine: str, precision: str) -> str:
    options = ', pooling="mean", normalize=True' if workload.task == "feature-extraction" else ""
    field = next(iter(next(iter(workload.events.values()))))
    return _SCRIPT.substitute(
        task=workload.task,
        model=workload.model,
        engine=engine,
        precision=precision,
        options=options,
        field=field,
    )
