"""Reads scripts for other servers (hf_lambda/custom_handler.py): what they are, the model of their path.

Both kinds get the folder of a model as an argument. What they load from it is read as if they named the
repository itself, which the script's HF_MODEL_ID says.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from hf_lambda.custom_handler import CLASS, FUNCTIONS, LOAD, MODEL_ID, REVISION, path_default
from hf_lambda.parameters import POSITIONAL
from hf_lambda.records import Json

from .imports import ANY_TASK
from .literals import NotLiteralError
from .module import Declared, ParsedModule, Skip

_FOLDER = "./"
"""Stands for a folder that needs no warm-up, or that is declared otherwise."""
_PROCESSORS = ("tokenizer", "feature_extractor", "image_processor", "processor", "config")
"""Arguments of a pipeline that are in the repository of its model."""


@dataclass(frozen=True)
class CustomHandler:
    """What a script for another server loads from its path."""

    line: int
    model: str | None
    revision: str | None
    uses_all: bool
    """Whether it reads its path in ways that do not tell which files."""

    def declared(self, found: tuple[Declared, ...]) -> tuple[Declared, ...]:
        """`found`, and the whole repository where these are not all that is read of it.

        The function asks the cache for the model whether or not it reads it.
        """
        if self.model is None:
            return found
        is_named = any((each.model, each.revision) == (self.model, self.revision) for each in found)
        if is_named and not self.uses_all:
            return found
        whole = Declared(
            ANY_TASK, self.model, self.revision, "torch", line=self.line, plain=True, files=("*",)
        )
        return (*found, whole)


def read(module: ParsedModule) -> CustomHandler | None:
    """None: the script is none. In `module` loads from its path then name the repository instead."""
    tops = {getattr(node, "name", ""): node for node in module.tree.body}
    if "handler" in tops or module.constants.node("handler") or module.imports.defines("handler"):
        return None
    if isinstance(made := tops.get(CLASS), ast.ClassDef):
        return _resolved(module, made, _of_class(module, made))
    functions = {
        name: node
        for name, node in tops.items()
        if name in FUNCTIONS and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    if not functions:
        return None
    _check_functions(module, functions)
    loaded = functions.get(LOAD)
    first = loaded or next(iter(functions.values()))
    return _resolved(module, first, loaded if isinstance(loaded, ast.FunctionDef) else None)


def _of_class(module: ParsedModule, made: ast.ClassDef) -> ast.FunctionDef | None:
    """The method __init__; notes what of the two methods is missing."""
    methods = {
        node.name: node for node in made.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    called, init = methods.get("__call__"), methods.get("__init__")
    if isinstance(called, ast.AsyncFunctionDef):
        module.problem(called.lineno, "Lambda does not await: write `def __call__`, without async")
    elif called is None and not made.bases:
        module.problem(made.lineno, f"{CLASS} answers nothing: write `def __call__(self, data): ...` in it")
    return init if isinstance(init, ast.FunctionDef) else None


def _check_functions(
    module: ParsedModule, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]
) -> None:
    first = next(iter(functions.values()))
    if LOAD not in functions:
        module.problem(
            first.lineno, f"no {LOAD}: write `def {LOAD}(model_dir): ...`, which returns the model"
        )
    others = [name for name in functions if name not in (LOAD, "transform_fn")]
    if "transform_fn" in functions and others:
        text = f"transform_fn stands for {', '.join(others)}: write it alone, or these"
        module.problem(functions["transform_fn"].lineno, text)
    for name, node in functions.items():
        if isinstance(node, ast.AsyncFunctionDef):
            module.problem(node.lineno, f"Lambda does not await: write `def {name}`, without async")
        expected, given = FUNCTIONS[name], node.args
        count = len(given.posonlyargs) + len(given.args)
        if not given.vararg and count not in (len(expected), len(expected) + 1):
            text = f"{name} takes {count} arguments: write `def {name}({', '.join(expected)})`"
            module.problem(node.lineno, text)


def _resolved(module: ParsedModule, scope: ast.stmt, load: ast.FunctionDef | None) -> CustomHandler:
    """With what `load` reads of its first argument, and in `scope`, as the repository's."""
    parameters = [*load.args.posonlyargs, *load.args.args] if load else []
    if isinstance(scope, ast.ClassDef):
        parameters = parameters[1:]  # self
    model = revision = None
    try:
        default = _default(module, load, parameters[0]) if load and parameters else None
        model, revision = _named(module, default)
    except Skip:
        return CustomHandler(scope.lineno, None, None, uses_all=False)
    if load is None or not parameters:
        return CustomHandler(scope.lineno, model, revision, uses_all=False)
    path = parameters[0].arg
    in_load = _Paths(module, {path}, model, revision)
    in_load.read(load)
    attributes = {name for name in in_load.names if "." in name}
    in_scope = _Paths(module, attributes, model, revision)
    if isinstance(scope, ast.ClassDef) and attributes:
        for node in scope.body:
            if node is not load:
                in_scope.read(node)
    line = in_load.first_use or in_scope.first_use
    if line is not None and model is None:
        module.problem(
            line,
            f"`{path}` is the folder of a model that the script does not name: write "
            f'{MODEL_ID} = "org/name" and {REVISION} = "<commit>" above it',
        )
    return CustomHandler(scope.lineno, model, revision, in_load.uses_all or in_scope.uses_all)


def _named(module: ParsedModule, default: Json) -> tuple[str | None, str | None]:
    """The model and its revision as the script names them. Raises Skip, and notes why."""
    values: list[Json] = []
    for name, example in ((MODEL_ID, "org/name"), (REVISION, "<commit>")):
        node = module.constants.node(name)
        try:
            values.append(None if node is None else module.constants.value(node))
        except NotLiteralError:
            text = f"`{name} = {ast.unparse(node) if node else ''}` is not known before the script runs"
            raise module.refuse(node.lineno if node else 1, f'{text}: write {name} = "{example}"') from None
    model, revision = values
    model = model or path_default(default)
    if model is not None:
        node = module.constants.node(MODEL_ID)
        module.check_model(node.lineno if node else 1, model, revision)
    return model, revision


def _default(module: ParsedModule, load: ast.FunctionDef, parameter: ast.arg) -> Json:
    positional = [*load.args.posonlyargs, *load.args.args]
    index = positional.index(parameter) - (len(positional) - len(load.args.defaults))
    if index < 0:
        return None
    try:
        return module.constants.value(load.args.defaults[index])
    except NotLiteralError:
        return None


class _Paths(ast.NodeTransformer):
    """Puts the repository's name where a path is handed to what loads models."""

    def __init__(
        self, module: ParsedModule, names: set[str], model: str | None, revision: str | None
    ) -> None:
        self._module, self._model, self._revision = module, model, revision
        self.names = names
        """Variables and attributes that hold the path, as the source has them."""
        self.uses_all = False
        self.first_use: int | None = None

    def read(self, scope: ast.stmt) -> None:
        before = -1
        while before != len(self.names):  # `a = path`, `self.b = a`
            before = len(self.names)
            for node in ast.walk(scope):
                if isinstance(node, ast.Assign) and self._is_path(node.value):
                    self.names |= {ast.unparse(target) for target in node.targets}
                elif isinstance(node, ast.AnnAssign) and node.value and self._is_path(node.value):
                    self.names.add(ast.unparse(node.target))
        self.visit(scope)

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        return node if self._is_path(node.value) else self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        return node if node.value and self._is_path(node.value) else self.generic_visit(node)

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        return node

    def visit_Call(self, call: ast.Call) -> ast.AST:
        imports = self._module.imports
        kind = imports.pipeline_kind(call)
        owner = (imports.dotted(call.func) or "").partition(".")[0]
        if (
            kind == "transformers"
            or imports.loader_task(call) is not None
            or owner == "sentence_transformers"
        ):
            return self._named(call, is_pipeline=kind is not None)
        if isinstance(call.func, ast.Attribute) and call.func.attr == "from_pretrained" and self._has(call):
            self._module.fetched.add(id(call))
        return self.generic_visit(call)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self._used(node)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        return self._used(node) if self._is_path(node) else self.generic_visit(node)

    def _used(self, node: ast.Name | ast.Attribute) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and self._is_path(node):
            self.uses_all = True
            self.first_use = self.first_use or node.lineno
        return node

    def _named(self, call: ast.Call, *, is_pipeline: bool) -> ast.AST:
        is_model = False
        for index, argument in enumerate(call.args):
            name = POSITIONAL[index] if is_pipeline and index < len(POSITIONAL) else ""
            call.args[index], found = self._argument(argument, name)
            is_model |= found
        for keyword in call.keywords:
            keyword.value, found = self._argument(keyword.value, keyword.arg if is_pipeline else "")
            is_model |= found
        if is_model and self._revision and not any(each.arg == "revision" for each in call.keywords):
            value = ast.copy_location(ast.Constant(self._revision), call)
            call.keywords.append(ast.keyword("revision", value))
        return call

    def _argument(self, node: ast.expr, name: str | None) -> tuple[ast.expr, bool]:
        """What stands for the argument `name`, and whether it is the model."""
        if not self._has(node):
            visited = self.visit(node)
            return (visited if isinstance(visited, ast.expr) else node), False
        self.first_use = self.first_use or node.lineno
        is_model = self._is_path(node) and name not in _PROCESSORS
        if not self._is_path(node):
            self.uses_all = True  # a folder in it
        value = self._model if is_model and self._model else _FOLDER
        return ast.copy_location(ast.Constant(value), node), is_model and self._model is not None

    def _has(self, node: ast.AST) -> bool:
        return any(self._is_path(each) for each in ast.walk(node) if isinstance(each, ast.expr))

    def _is_path(self, node: ast.expr) -> bool:
        match node:
            case ast.Name() | ast.Attribute():
                return ast.unparse(node) in self.names
            case ast.Call(func=ast.Name(id="str" | "Path"), args=[only], keywords=[]):
                return self._is_path(only)
            case ast.BoolOp(op=ast.Or(), values=[first, *_]):
                return self._is_path(first)
        return False
