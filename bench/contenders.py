"""Who is compared: the ancestor's handler, our three ways of serving, and a user's other choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from bench.rivals import has_llama_cpp
from bench.workloads import Workload
from infra.function import CACHE_ENVIRONMENT

HANDLERS = Path(__file__).parent / "handlers"
_OURS = {name: CACHE_ENVIRONMENT[name] for name in ("OPENBLAS_NUM_THREADS", "ORT_DISABLE_TELEMETRY")}


@dataclass(frozen=True)
class Contender:
    """A handler module that serves a workload, with the environment that it runs in (see `environments`).

    is_converted: reads a model that was converted for it; the others read the cache that the warm-up filled.
    variables: what its function's environment has beside what everybody's has.
    """

    name: str
    module: str
    folder: Path
    environment: str
    is_converted: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)


def contenders(workload: Workload, generated: Path) -> list[Contender]:
    """The field for `workload`, the ancestor first; our scripts are written to `generated`."""
    kind = _KINDS[workload.task]
    named = {"BENCH_MODEL": workload.model}
    found = [Contender("ancestor", f"ancestor_{kind}", HANDLERS, "plain", variables=named)]
    for engine, precision in (("torch", "auto"), *(("onnx", each) for each in precisions(workload))):
        name = "torch" if engine == "torch" else precision
        module = f"ours_{kind}_{name}"
        (generated / f"{module}.py").write_text(_script(workload, engine, precision))
        image = "full" if engine == "torch" else "slim"
        found.append(Contender(f"hf-lambda {name}", module, generated, image, variables=_OURS))
    for rival in ("ctranslate2", "llama-cpp", "openvino", "sentence-transformers"):
        module = f"{rival.replace('-', '_')}_{kind}"
        if (HANDLERS / f"{module}.py").exists() and (rival != "llama-cpp" or has_llama_cpp()):
            found.append(Contender(rival, module, HANDLERS, rival, is_converted=True, variables=named))
    return found


def precisions(workload: Workload) -> tuple[str, str]:
    """What our prepared model is measured in."""
    return ("int4", "int8") if workload.task == "text-generation" else ("fp32", "int8")


_KINDS = {
    "text-classification": "classification",
    "feature-extraction": "embeddings",
    "summarization": "summarization",
    "text-generation": "generation",
}

_SCRIPT = Template('''"""The benchmark's endpoint."""

from hf_lambda import endpoint, pipeline

ask = pipeline("$task", model="$model", engine="$engine", precision="$precision"$options)


@endpoint
def handler($field: str | list[str]):
    return ask($field)
''')

_GENERATION = Template('''"""The benchmark's endpoint."""

from hf_lambda import endpoint, pipeline

ask = pipeline("$task", model="$model", engine="$engine", precision="$precision")


@endpoint
def handler(prompt: str | list[str], max_new_tokens: int):
    return ask(
        prompt, max_new_tokens=max_new_tokens, min_new_tokens=max_new_tokens, do_sample=False
    )
''')


def _script(workload: Workload, engine: str, precision: str) -> str:
    options = ', pooling="mean", normalize=True' if workload.task == "feature-extraction" else ""
    if workload.task == "text-generation":
        return _GENERATION.substitute(
            task=workload.task, model=workload.model, engine=engine, precision=precision
        )
    parameter = next(iter(next(iter(workload.events.values()))))
    return _SCRIPT.substitute(
        task=workload.task,
        model=workload.model,
        engine=engine,
        precision=precision,
        options=options,
        field=parameter,
    )
