"""Which imported thing an expression means, through aliases."""

from __future__ import annotations

import ast
from typing import Literal

from hf_lambda.tasks import REFUSED, TASKS, task_of_architecture

_HF_LAMBDA = {"hf_lambda.pipeline", "hf_lambda.pipeline.pipeline"}
_TRANSFORMERS = {"transformers.pipeline", "transformers.pipelines.pipeline"}
_OPENAI = {"hf_lambda.openai", "hf_lambda.openai_api.openai"}
_TEI = {"hf_lambda.tei", "hf_lambda.tei_api.tei"}
_ENDPOINTS = {"hf_lambda.endpoint", "hf_lambda.endpoint.endpoint"}

ANY_TASK = "feature-extraction"
"""Stands for a model, tokenizer or config that is loaded without a head that tells the task."""

_STARRED: dict[str, tuple[str, ...] | None] = {
    "transformers": None,
    "hf_lambda": ("Audio", "Image", "endpoint", "openai", "pipeline", "tei"),
    "huggingface_hub": ("HfApi", "hf_hub_download", "snapshot_download"),
    "sentence_transformers": ("CrossEncoder", "MultiVectorEncoder", "SentenceTransformer", "SparseEncoder"),
}
"""What `from module import *` brings; None: whatever the script uses and defines nowhere."""


class Imports:
    """Local name -> dotted name of everything that a script imports, at any depth."""

    def __init__(self, tree: ast.Module) -> None:
        self._names: dict[str, str] = {}
        self._starred: list[str] = []
        self._own = _defined(tree)
        self.modules: set[str] = set()
        """Dotted names of the modules that are imported, or may be: `from a import b` counts as a and a.b."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self.modules.add(alias.name)
                    top = alias.name.partition(".")[0]
                    self._names[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                self.modules.add(node.module)
                if node.names[0].name == "*":
                    self._starred.append(node.module)
                    continue
                for alias in node.names:
                    self.modules.add(f"{node.module}.{alias.name}")
                    self._names[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def dotted(self, node: ast.expr) -> str | None:
        """`t.pipeline` after `import transformers as t` -> "transformers.pipeline"; None: not imported."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id) or self._from_star(node.id)
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value)
            return f"{owner}.{node.attr}" if owner else None
        return None

    def pipeline_kind(self, call: ast.Call) -> Literal["hf_lambda", "transformers"] | None:
        name = self.dotted(call.func)
        return "hf_lambda" if name in _HF_LAMBDA else "transformers" if name in _TRANSFORMERS else None

    def is_endpoint(self, decorator: ast.expr) -> bool:
        node = decorator.func if isinstance(decorator, ast.Call) else decorator
        return self.dotted(node) in _ENDPOINTS

    def is_openai(self, node: ast.expr | None) -> bool:
        """Whether `node` is a call of `hf_lambda.openai`."""
        return isinstance(node, ast.Call) and self.dotted(node.func) in _OPENAI

    def is_tei(self, node: ast.expr | None) -> bool:
        """Whether `node` is a call of `hf_lambda.tei`."""
        return isinstance(node, ast.Call) and self.dotted(node.func) in _TEI

    def loader_task(self, call: ast.Call) -> str | None:
        """The task of `SomeClass.from_pretrained(...)` of transformers; None for every other call."""
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "from_pretrained":
            return None
        owner = self.dotted(call.func.value)
        if owner is None or not owner.startswith("transformers."):
            return None
        task = task_of_architecture(owner)
        return task if task is not None and (task in TASKS or task in REFUSED) else ANY_TASK

    def defines(self, name: str) -> bool:
        return name in self._names

    def _from_star(self, name: str) -> str | None:
        """What `name` is where the script imports it by `*` alone; the last such import counts."""
        if name in self._own:
            return None
        for module in reversed(self._starred):
            known = _STARRED.get(module, ())
            if known is None or name in known:
                return f"{module}.{name}"
        return None


def _defined(tree: ast.Module) -> set[str]:
    """Names that the script itself binds, at any depth: no `import *` is meant by these."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and not _is_read(node)}
    found |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return found | {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def _is_read(node: ast.Name) -> bool:
    return isinstance(node.ctx, ast.Load)
