"""Values that can be read from source without running it: literals and module constants."""

from __future__ import annotations

import ast

from hf_lambda.records import Json


class NotLiteralError(Exception):
    """The expression has no value before the script runs."""


class Constants:
    """Module-level names that are assigned once, each to a literal."""

    def __init__(self, tree: ast.Module) -> None:
        self._nodes: dict[str, ast.expr] = {}
        reassigned = set()
        for name, node in _assignments(tree):
            if name in self._nodes:
                reassigned.add(name)
            self._nodes[name] = node
        for name in reassigned:
            del self._nodes[name]

    def node(self, name: str) -> ast.expr | None:
        return self._nodes.get(name)

    def value(self, node: ast.expr) -> Json:
        """The value of a literal, a constant's name, or strings put together from these.

        Raises NotLiteralError.
        """
        return self._value(node, frozenset())

    def _value(self, node: ast.expr, seen: frozenset[str]) -> Json:
        match node:
            case ast.Constant(value=value):
                return value
            case ast.Name(id=name) if name in self._nodes and name not in seen:
                return self._value(self._nodes[name], seen | {name})
            case ast.List(elts=items):
                return [self._value(item, seen) for item in items]
            case ast.Tuple(elts=items):
                return tuple(self._value(item, seen) for item in items)
            case ast.Dict(keys=keys, values=values) if None not in keys:
                pairs = zip(keys, values, strict=True)
                return {self._value(key, seen): self._value(value, seen) for key, value in pairs if key}
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return self._negated(operand, seen)
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._sum(left, right, seen)
            case ast.JoinedStr(values=parts):
                return "".join(self._part(part, seen) for part in parts)
        raise NotLiteralError

    def _negated(self, operand: ast.expr, seen: frozenset[str]) -> int | float:
        value = self._value(operand, seen)
        if isinstance(value, int | float):
            return -value
        raise NotLiteralError

    def _sum(self, left: ast.expr, right: ast.expr, seen: frozenset[str]) -> str:
        values = self._value(left, seen), self._value(right, seen)
        if isinstance(values[0], str) and isinstance(values[1], str):
            return values[0] + values[1]
        raise NotLiteralError

    def _part(self, part: ast.expr, seen: frozenset[str]) -> str:
        if isinstance(part, ast.FormattedValue):
            if part.conversion != -1 or part.format_spec:
                raise NotLiteralError
            return str(self._value(part.value, seen))
        return str(self._value(part, seen))


def _assignments(tree: ast.Module) -> list[tuple[str, ast.expr]]:
    found = []
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=targets, value=value):
                found += [(target.id, value) for target in targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
                found.append((name, value))
    return found
