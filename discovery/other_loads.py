"""What else loads models: the Hub's client, sentence-transformers, and what nobody can read beforehand."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from hf_lambda.records import Json

from .imports import ANY_TASK
from .literals import NotLiteralError
from .module import Declared, ParsedModule

_DOWNLOADS = ("snapshot_download", "hf_hub_download")
_SENTENCE_TRANSFORMERS = {
    "SentenceTransformer": ("sentence-transformers", ANY_TASK),
    "CrossEncoder": ("cross-encoder", "text-classification"),
    "SparseEncoder": ("sparse-encoder", ANY_TASK),
    "MultiVectorEncoder": (None, ANY_TASK),
}
"""Class -> the organisation that it puts before a name without one, and the task."""
_LOADERS = (
    *("adapters", "auto_gptq", "bertopic", "chronos", "colbert", "ctransformers", "ctranslate2", "datasets"),
    *("diffusers", "doctr", "easyocr", "espnet2", "evaluate", "fairseq", "fastai", "fastembed"),
    *("faster_whisper", "fasttext", "FlagEmbedding", "flair", "gensim", "gliner", "langchain_huggingface"),
    *("llama_cpp", "llama_index", "model2vec", "nemo", "nltk", "onnx_asr", "open_clip", "optimum"),
    *("paddleocr", "peft", "pyannote", "rembg", "setfit", "spacy", "span_marker", "speechbrain", "stanza"),
    *("tensorflow_hub", "timm", "TTS", "ultralytics", "whisper"),
)
"""Packages that fetch models or data by ways of their own."""
_HIDDEN_CALLS = {"exec", "eval", "__import__", "importlib.import_module", "runpy.run_path", "torch.hub.load"}
_LOADING_NAMES = {
    *("transformers.pipeline", "transformers.pipelines.pipeline"),
    *("hf_lambda.pipeline", "hf_lambda.pipeline.pipeline"),
    *(f"huggingface_hub.{name}" for name in _DOWNLOADS),
    *(f"sentence_transformers.{name}" for name in _SENTENCE_TRANSFORMERS),
}


def read_download(module: ParsedModule, call: ast.Call) -> list[Declared] | None:
    """A call of the Hub's client, of its functions or of an HfApi's methods; None: another call."""
    name = (
        call.func.attr if isinstance(call.func, ast.Attribute) else (module.imports.dotted(call.func) or "")
    )
    kind = name.rpartition(".")[2]
    of_client = isinstance(call.func, ast.Attribute) or name.startswith("huggingface_hub.")
    if kind not in _DOWNLOADS or not of_client:
        return None
    order = ("repo_id",) if kind == "snapshot_download" else ("repo_id", "filename")
    keys = (*order, "subfolder", "repo_type", "revision", "allow_patterns", "ignore_patterns")
    given = _literals(module, call, order, keys, f"{kind}(...)")
    if given is None:
        return []
    if given["repo_type"] not in (None, "model"):
        module.note_unseen(
            call.lineno, f"{kind} takes a {given['repo_type']}, and the cache holds models alone"
        )
        return []
    files = _patterns(given["allow_patterns"]) or ("*",)
    if kind == "hf_hub_download":
        files = ("/".join(filter(None, (given["subfolder"], str(given["filename"])))),)
    return _declared(
        module,
        call,
        given["repo_id"],
        given["revision"],
        ANY_TASK,
        files,
        _patterns(given["ignore_patterns"]),
    )


def read_sentence_transformer(module: ParsedModule, call: ast.Call) -> list[Declared] | None:
    """`SentenceTransformer("org/name", revision=...)` and its relatives; None: another call."""
    owner, _, name = (module.imports.dotted(call.func) or "").rpartition(".")
    if owner.partition(".")[0] != "sentence_transformers" or name not in _SENTENCE_TRANSFORMERS:
        return None
    keys = ("model_name_or_path", "model_name", "revision")
    given = _literals(module, call, keys[:1], keys, f"{name}(...)")
    if given is None:
        return []
    model = given["model_name_or_path"] or given["model_name"]  # the former name of CrossEncoder's
    if model is None:
        return []  # made of modules, each of which loads what it needs
    organisation, task = _SENTENCE_TRANSFORMERS[name]
    if isinstance(model, str) and "/" not in model and organisation:
        model = f"{organisation}/{model}"
    keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    consent = module.consent(call.lineno, keywords, given["revision"], "torch")
    found = _declared(module, call, model, given["revision"], task, None, ())
    return [replace(each, **consent) for each in found]


def note_unseen(module: ParsedModule) -> None:
    """Note in `module.unseen` what may load a model without saying here which one."""
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    called = {id(node.func) for node in calls}
    called |= {id(each) for node in calls if _is_type_check(node) for each in ast.walk(node)}
    annotations = {id(each) for node in ast.walk(module.tree) for each in _annotations(node)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            _note_import(module, node)
        elif isinstance(node, ast.Call):
            _note_call(module, node)
        elif isinstance(node, ast.Name | ast.Attribute) and id(node) not in called | annotations:
            _note_reference(module, node)


def _note_import(module: ParsedModule, node: ast.Import | ast.ImportFrom) -> None:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    if isinstance(node, ast.ImportFrom) and node.level:
        return
    for name in dict.fromkeys(name.partition(".")[0] for name in names):
        if name in _LOADERS:
            module.note_unseen(
                node.lineno, f"{name} may load models or data that the warm-up does not know of"
            )


def _note_call(module: ParsedModule, call: ast.Call) -> None:
    name = module.imports.dotted(call.func) or (call.func.id if isinstance(call.func, ast.Name) else "")
    if name in _HIDDEN_CALLS and not (call.args and _is_harmless(name, call)):
        module.note_unseen(call.lineno, f"what {name}(...) runs or loads is not known before the script runs")
    elif name == "getattr" and call.args and _loads(module.imports.dotted(call.args[0])):
        module.note_unseen(call.lineno, f"`{ast.unparse(call)}` is not known before the script runs")
    elif (
        isinstance(call.func, ast.Attribute)
        and call.func.attr in ("from_pretrained", "from_single_file")
        and module.imports.loader_task(call) is None
        and id(call) not in module.fetched
        and (name.partition(".")[0] not in _LOADERS)  # its import is noted already
    ):
        text = f"`{_short(call)}` loads with a class that is not known to be transformers'"
        module.note_unseen(call.lineno, text)


def _note_reference(module: ParsedModule, node: ast.Name | ast.Attribute) -> None:
    """A function that loads, handed on instead of called: by another name, with arguments of elsewhere."""
    if not isinstance(getattr(node, "ctx", None), ast.Load):
        return
    name = module.imports.dotted(node) or ""
    is_method = (
        isinstance(node, ast.Attribute)
        and node.attr == "from_pretrained"
        and (module.imports.dotted(node.value) or "").startswith("transformers.")
    )
    if name in _LOADING_NAMES or is_method:
        text = f"`{_short(node)}` is handed on: what it is called with is not known before the script runs"
        module.note_unseen(node.lineno, text)


def _literals(
    module: ParsedModule, call: ast.Call, order: tuple[str, ...], keys: tuple[str, ...], what: str
) -> dict[str, Json] | None:
    """The values of `keys` by name, None where not given; None in all, and noted, where one is unknown."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    given = {**dict(zip(order, call.args, strict=False)), **keywords}
    spread = any(isinstance(argument, ast.Starred) for argument in call.args)
    try:
        if spread or any(keyword.arg is None for keyword in call.keywords):
            raise NotLiteralError
        return {key: module.constants.value(given[key]) if key in given else None for key in keys}
    except NotLiteralError:
        module.note_unseen(call.lineno, f"what {what} loads is not known before the script runs")
        return None


def _declared(
    module: ParsedModule,
    call: ast.Call,
    model: Json,
    revision: Json,
    task: str,
    files: tuple[str, ...] | None,
    left_out: tuple[str, ...],
) -> list[Declared]:
    if isinstance(model, str) and model.startswith(("/", ".")):
        return []  # a folder that the image brings
    module.check_model(call.lineno, model, revision)
    return [
        Declared(
            task, model, revision, "torch", "auto", call.lineno, plain=True, files=files, left_out=left_out
        )
    ]


def _patterns(given: Json) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(map(str, given or ()))


def _loads(name: str | None) -> bool:
    return (name or "").partition(".")[0] in ("transformers", "sentence_transformers", "huggingface_hub")


def _is_harmless(name: str, call: ast.Call) -> bool:
    """`import_module("json")`: a literal that no package of models has."""
    argument = call.args[0]
    return (
        name in ("__import__", "importlib.import_module")
        and isinstance(argument, ast.Constant)
        and str(argument.value).partition(".")[0] not in (*_LOADERS, "transformers", "sentence_transformers")
    )


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    """Every part of the annotations at `node`: a type is no load."""
    parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    for part in filter(None, parts):
        yield from ast.walk(part)


def _is_type_check(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in ("isinstance", "issubclass")


def _short(node: ast.AST) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 60 else f"{text[:57]}..."
