"""The map and the recipes name files and classes that are there, and the folders keep to it."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAP = (ROOT / "docs/architecture.md").read_text()
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
_PATH = re.compile(r"`((?:[\w.<>-]+/)*[\w.-]+(?:\.py|\.md|\.yaml|/))`|`(inference/Dockerfile)`")
IMPORTS = {
    "hf_lambda": {"warmup"},  # for coldDownload, whose image has both
    "discovery": {"hf_lambda"},
    "warmup": {"hf_lambda", "discovery"},
    "infra": {"hf_lambda", "discovery", "warmup"},
    "local": {"hf_lambda", "discovery", "warmup", "infra"},
}
"""Which folders may import which others."""


@pytest.mark.parametrize("document", [MAP, CONTRIBUTING], ids=["map", "recipes"])
def test_every_file_and_folder_that_is_named_is_there(document):
    named = {first or second for first, second in _PATH.findall(document)}
    assert len(named) > 15
    assert [path for path in sorted(named) if "<" not in path and not (ROOT / path).exists()] == []


def test_every_constant_of_the_recipes_is_in_each_file_that_it_is_said_to_be_in():
    path = r"`[\w/.]+\.py`"
    phrases = re.findall(rf"`([A-Z][A-Z_]+)` in ({path}(?:(?:,| or|, or|,? and)\s+{path})*)", CONTRIBUTING)
    named = [(name, each) for name, paths in phrases for each in re.findall(r"`([^`]+)`", paths)]
    items = re.findall(r"^\d\. `([\w/.]+\.py)`: (.*?)(?=^\d\. |^#|\Z)", CONTRIBUTING, flags=re.M | re.S)
    named += [(name, path) for path, text in items for name in re.findall(r"`([A-Z][A-Z_]+)`", text)]
    assert len(named) > 12
    assert [(name, path) for name, path in named if not _assigns((ROOT / path).read_text(), name)] == []


def test_every_dataclass_of_the_map_is_where_it_says():
    named = [
        (name, path)
        for names, path in re.findall(r"((?:`\w+`(?:, | and )?)+) in `([\w/.]+\.py)`", MAP)
        for name in re.findall(r"`(\w+)`", names)
    ]
    assert len(named) > 10
    missing = [(name, path) for name, path in named if not _defines((ROOT / path).read_text(), name)]
    assert missing == []


def test_constants_of_the_recipes_are_where_they_say():
    for name, path in re.findall(r"`([A-Z_]+)` in `([\w/]+\.py)`", CONTRIBUTING):
        assert re.search(rf"^{name}\b", (ROOT / path).read_text(), re.MULTILINE), (name, path)


@pytest.mark.parametrize("folder", IMPORTS)
def test_a_folder_imports_only_what_the_map_lets_it(folder):
    found = {
        imported
        for path in (ROOT / folder).rglob("*.py")
        for imported in _imported(ast.parse(path.read_text()))
        if imported in IMPORTS and imported != folder
    }
    assert found <= IMPORTS[folder]


def test_no_signature_and_no_field_says_any():
    """ANN401 of ruff sees a bare one alone. An array's `NDArray[Any]` is one of any number type."""
    found = [
        f"{path.relative_to(ROOT)}:{each.lineno}"
        for folder in (*IMPORTS, "bench", "requirements")
        for path in (ROOT / folder).rglob("*.py")
        if "Any" in (source := path.read_text())
        for each in _annotations(ast.parse(source))
        if _says_any(each)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "is_refused"),
    [
        ("def f(x: list[Any]) -> int: ...", True),
        ("def f(*x: dict[str, Any]) -> int: ...", True),
        ("async def f(x: int) -> tuple[str, typing.Any]: ...", True),
        ("class A:\n    def f(self, *, x: Callable[..., Any]) -> int: ...", True),
        ("class A:\n    x: int\n    y: Any | None", True),
        ("class A:\n    x: 'Queue[tuple[str, Any]]'", True),
        ("def f(x: NDArray[Any], y: type[Any]) -> Json: ...", False),
        ("class A:\n    x: Annotated[tuple[Any, ...], 'a list, for instance [1]']", True),
        ("class A:\n    x: Annotated[str, 'Any text']", False),
        ("def f(x: Literal['Any', 'One']) -> int: ...", False),
        ("def f(x: int) -> int:\n    y: Any = x\n    return y", False),
    ],
)
def test_any_is_found_where_it_crosses_a_boundary(source, is_refused):
    assert any(map(_says_any, _annotations(ast.parse(source)))) is is_refused


def test_the_map_has_a_diagram_and_contributing_leads_to_it():
    assert len(re.findall(r"^```mermaid$", MAP, re.MULTILINE)) == 1
    assert "(docs/architecture.md)" in CONTRIBUTING


def _defines(source: str, name: str) -> bool:
    return any(
        isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
        for node in ast.parse(source).body
    )


def _imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return {name.partition(".")[0] for name in names}


def _assigns(source: str, name: str) -> bool:
    return re.search(rf"^{name}(: .*)? = ", source, flags=re.M) is not None


def _annotations(tree):
    """Of parameters, results and fields; what a function calls its own values is its own business."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            yield from (each.annotation for each in every if each is not None and each.annotation)
            yield from [node.returns] if node.returns else []
        elif isinstance(node, ast.ClassDef):
            yield from (each.annotation for each in node.body if isinstance(each, ast.AnnAssign))


def _says_any(node):
    if isinstance(node, ast.Constant) and isinstance(node.value, str):  # an annotation in quotes
        return _says_any(ast.parse(node.value, mode="eval"))
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("NDArray", "type", "Literal"):
        return False
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Annotated":
        type_, *_ = ast.iter_child_nodes(node.slice)  # what follows is no type
        return _says_any(type_)
    is_any = isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in ("Any", "typing.Any")
    return is_any or any(map(_says_any, ast.iter_child_nodes(node)))
