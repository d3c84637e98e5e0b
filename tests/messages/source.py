"""Messages of errors, read from Python sources without running them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Kinds", "Message", "messages", "text_of"]

_LINKED = ("code", "error_code", "detail", "reason")


@dataclass(frozen=True, order=True)
class Message:
    """One thing that people can be told. `{name}` in the text stands for what differs from time to time."""

    file: str
    """Relative to the repository."""
    text: str
    code: str
    """The word for programs; empty where there is none."""
    number: int
    """Exit code of the command, or HTTP status of the answer; 0 where there is neither."""


@dataclass(frozen=True)
class Kinds:
    """The classes of errors by name, with what each says of its own accord."""

    code: dict[str, str]
    number: dict[str, int]
    """Exit code, or HTTP status of those that have one."""
    message: dict[str, str]
    """Said where nothing else is."""

    @classmethod
    def read(cls, files: Iterable[Path], *, roots: Iterable[str]) -> Kinds:
        """Of every class in `files` that stands, through however many others, on one of `roots`."""
        found = {node.name: node for file in files for node in ast.walk(_tree(file)) if isinstance(node, ast.ClassDef)}
        kinds = cls({}, {}, {})
        for root in roots:
            kinds._add(root, found, "", 0)
        return kinds

    def _add(self, name: str, found: dict[str, ast.ClassDef], code: str, number: int) -> None:
        if name in found:
            for line in found[name].body:
                if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant):
                    target = line.targets[0].id if isinstance(line.targets[0], ast.Name) else ""
                    code = str(line.value.value) if target == "code" else code
                    if target in ("exit_code", "status") and isinstance(line.value.value, int):
                        number = line.value.value
                if isinstance(line, ast.FunctionDef) and line.name == "__init__" and line.args.defaults:
                    self.message[name] = text_of(line.args.defaults[0], {})
        self.code[name], self.number[name] = code, number
        for child, node in found.items():
            if child not in self.code and any(isinstance(base, ast.Name) and base.id == name for base in node.bases):
                self._add(child, found, code, number)


def messages(file: Path, repo: Path, kinds: Kinds) -> Iterator[Message]:
    """Every error that `file` makes with words of its own; what only hands another's words on is not among them.
    With no kinds at all: the words and lines that a job ends with."""
    where = file.relative_to(repo).as_posix()
    tree = _tree(file)
    for scope in [
        tree,
        *(node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))),
    ]:
        known = _texts(scope)
        for node in _within(scope):
            if isinstance(node, ast.Call):
                yield from _of_call(node, where, kinds, known) if kinds.code else _of_ending(node, where, known)
            if isinstance(node, ast.Tuple) and not kinds.code:
                yield from _of_pair(node, where)


def _of_call(node: ast.Call, where: str, kinds: Kinds, known: dict[str, ast.expr]) -> Iterator[Message]:
    name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    given = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg in _LINKED}
    if name in kinds.code:
        arguments, code = list(node.args), kinds.code[name]
        # A runner's error has its word first.
        if len(arguments) > 1 and isinstance(arguments[0], ast.Constant) and not kinds.number[name]:
            code = str(arguments.pop(0).value)  # type: ignore[attr-defined]
        if isinstance(given.get("code"), ast.Constant):
            code = str(given["code"].value)  # type: ignore[attr-defined]
        texts = [text_of(part, known) for part in _choices(arguments[0], known)] if arguments else []
        for text in texts or [kinds.message.get(name, "")]:
            if _says_something(text):
                yield Message(where, text, code, kinds.number[name])


def _of_ending(node: ast.Call, where: str, known: dict[str, ast.expr]) -> Iterator[Message]:
    """A job that is ended: `error_code` and `error` of the call that does it."""
    given = {keyword.arg: keyword.value for keyword in node.keywords}
    if "error_code" in given and "error" in given:
        codes = [part.value for part in _choices(given["error_code"], known) if isinstance(part, ast.Constant)]
        for part in _choices(given["error"], known):
            if _says_something(text := text_of(part, known)):
                yield Message(where, text, " or ".join(map(str, codes)), 0)


def _of_pair(node: ast.Tuple, where: str) -> Iterator[Message]:
    """A word and its line, on their way to the call that ends a job."""
    if len(node.elts) == 2 and isinstance(node.elts[0], ast.Constant) and isinstance(node.elts[0].value, str):
        word, text = node.elts[0].value, text_of(node.elts[1], {})
        if re.fullmatch(r"[a-z]+(_[a-z]+)*", word) and " " in text and _says_something(text):
            yield Message(where, text, word, 0)


def _choices(node: ast.expr, known: dict[str, ast.expr]) -> list[ast.expr]:
    """The texts that an expression may be: both sides of a choice, what a local name was given."""
    if isinstance(node, ast.Name) and node.id in known:
        return _choices(known[node.id], {name: value for name, value in known.items() if name != node.id})
    if isinstance(node, ast.IfExp):
        return _choices(node.body, known) + _choices(node.orelse, known)
    if isinstance(node, ast.BoolOp):
        return [part for value in node.values for part in _choices(value, known)]
    return [node]


def text_of(node: ast.expr, known: dict[str, ast.expr]) -> str:
    """The text as it is said, with `{name}` for what is not known here."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part, known) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        inner = node.value
        if isinstance(inner, ast.Constant):
            return str(inner.value)
        if isinstance(inner, ast.Name) and isinstance(known.get(inner.id), (ast.Constant, ast.JoinedStr)):
            text = text_of(known[inner.id], {})
            return text if _says_something(text) else "{" + inner.id + "}"
        return "{" + _name(inner) + "}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return text_of(node.left, known) + text_of(node.right, known)
    return "{" + _name(node) + "}"


def _name(node: ast.expr) -> str:
    """A word for what an expression gives."""
    match node:
        case ast.Name():
            return node.id.strip("_").lower()
        case ast.Attribute():
            return node.attr.strip("_")
        case ast.Subscript(slice=ast.Constant(value=str(key))):
            return key
        case ast.Subscript() | ast.Starred():
            return _name(node.value)
        case ast.Call(func=ast.Name(id="len" | "sum")) | ast.BinOp():
            return "number"
        case ast.Call(args=[first, *_]):
            return _name(first)
        case ast.Call(func=ast.Attribute() as function):
            return _name(function.value)
        case ast.BoolOp() | ast.IfExp():
            return _name(node.values[0] if isinstance(node, ast.BoolOp) else node.body)
        case ast.GeneratorExp() | ast.ListComp():
            return _name(node.generators[0].iter)
        case _:
            return "…"


def _says_something(text: str) -> bool:
    return re.search(r"[a-z]{2}", re.sub(r"\{[^}]*\}", "", text)) is not None


def _texts(scope: ast.AST) -> dict[str, ast.expr]:
    """Local names that are given a text in this scope (the last one counts)."""
    return {
        target.id: node.value
        for node in _within(scope)
        if isinstance(node, ast.Assign) and isinstance(node.value, (ast.Constant, ast.JoinedStr, ast.IfExp, ast.BinOp))
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _within(scope: ast.AST) -> Iterator[ast.AST]:
    """All of a scope but the functions in it, which are scopes of their own."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
            yield from _within(child)


def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))
