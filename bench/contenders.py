"""Who is compared: the ancestor's handler, our three ways of serving, and a user's other choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Template

from bench.rivals import has_llama_cpp
from bench.workloads import Workload
from infra.function import CACHE_ENVIRONMENT

HANDLERS = Path(__file__).parent / "handlers"
_OURS = {name: CACHE_ENVIRONMENT[name] for name in ("OPENBLAS_NUM_THREADS", "ORT_DISABLE_TELEMETRY")}


RIVALS = ("ctranslate2", "llama-cpp", "openvino", "sentence-transformers")
OPTIONAL = (*(f"hf-lambda {how}" for how in ("torch", "auto", "fp32", "int4", "int8")), *RIVALS)
"""Names of all but the ancestor, whom the others are compared with."""


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
    asked = _ASKED[workload.task]
    kind = asked.kind
    named = {"BENCH_MODEL": workload.model, "BENCH_TASK": workload.task}
    found = [Contender("ancestor", f"ancestor_{kind}", HANDLERS, asked.plain, variables=named)]
    for engine, precision in (("torch", "auto"), *(("onnx", each) for each in precisions(workload))):
        name = "torch" if engine == "torch" else precision
        module = f"ours_{kind}_{name}"
        (generated / f"{module}.py").write_text(_script(workload, engine, precision))
        image = "full" if engine == "torch" else "slim"
        found.append(Contender(f"hf-lambda {name}", module, generated, image, variables=_OURS))
    for rival in RIVALS:
        module = f"{rival.replace('-', '_')}_{kind}"
        if (HANDLERS / f"{module}.py").exists() and (rival != "llama-cpp" or has_llama_cpp()):
            found.append(Contender(rival, module, HANDLERS, rival, is_converted=True, variables=named))
    return found


def precisions(workload: Workload) -> tuple[str, str]:
    """What our prepared model is measured in; of Whisper "auto" too, which is int8 of the decoder alone."""
    tasks = {"text-generation": ("int4", "int8"), "automatic-speech-recognition": ("auto", "int8")}
    return tasks.get(workload.task, ("fp32", "int8"))


@dataclass(frozen=True)
class _Asked:
    """How a task is asked for: of modules named after `kind`, and of our script's handler.

    imports: what its parameters need of ours; arguments: what it calls the pipeline with; options: how it
    makes one. plain: the ancestor's environment.
    """

    kind: str
    parameters: str
    arguments: str
    imports: str = ""
    options: str = ""
    plain: str = "plain"


def _of_pictures(kind: str, more: str = "", arguments: str = "") -> _Asked:
    return _Asked(kind, f"image: Image{more}", f"image{arguments}", "Image, ", plain="plain-pictures")


_ASKED = {
    "text-classification": _Asked("classification", "text: str | list[str]", "text"),
    "feature-extraction": _Asked(
        "embeddings", "text: str | list[str]", "text", options=', pooling="mean", normalize=True'
    ),
    "summarization": _Asked("summarization", "article: str | list[str]", "article"),
    "text-generation": _Asked(
        "generation",
        "prompt: str | list[str], max_new_tokens: int",
        "prompt, max_new_tokens=max_new_tokens, min_new_tokens=max_new_tokens, do_sample=False",
    ),
    "text-ranking": _Asked("ranking", "query: str, documents: list[str]", "query=query, documents=documents"),
    "image-classification": _of_pictures("picture"),
    "object-detection": _of_pictures("picture"),
    "zero-shot-image-classification": _of_pictures(
        "picture_and_phrases", ", candidate_labels: list[str]", ", candidate_labels=candidate_labels"
    ),
    "automatic-speech-recognition": _Asked("speech", "audio: Audio", "audio", "Audio, "),
}

_SCRIPT = Template('''"""The benchmark's endpoint."""

from hf_lambda import ${imports}endpoint, pipeline

ask = pipeline("$task", model="$model", engine="$engine", precision="$precision"$options)


@endpoint
def handler($parameters):
    return ask($arguments)
''')


def _script(workload: Workload, engine: str, precision: str) -> str:
    asked = _ASKED[workload.task]
    return _SCRIPT.substitute(
        asdict(asked), task=workload.task, model=workload.model, engine=engine, precision=precision
    )
