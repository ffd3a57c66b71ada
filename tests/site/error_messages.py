"""Finds every message that the package can end with or warn of, by reading its source.

A message is text in ``raise``, ``warnings.warn`` or one of the package's own functions that report an
error, and the reason that such a text quotes. What an f-string fills in is a placeholder, ``<>``.
"""

import ast
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path

REPORTING = {"warn", "_fail", "fail", "error"}
REASONS = {"reason", "_reason", "_explain"}
_PLACEHOLDER = re.compile(r"<[^<>]*>")


def messages_in(source: str) -> set[str]:
    """All messages of a module."""
    texts = (text for node in ast.walk(ast.parse(source)) for text in _reported_by(node))
    found = {" ".join(text.split()) for text in texts}
    return {text for text in found if re.search("[a-z]", _PLACEHOLDER.sub("", text))}


def messages_below(folder: Path) -> dict[str, Path]:
    """All messages of a package, each with a module that holds it."""
    modules = sorted(folder.rglob("*.py"))
    return {message: module for module in modules for message in messages_in(module.read_text())}


def entries_of(page: str) -> dict[str, str]:
    """The entries of the page on error messages: each message, and what is said about it."""
    entries = re.findall(r"^(`+)(.+)\1\n:   (.+(?:\n    .+)*)", page, re.MULTILINE)
    return {_PLACEHOLDER.sub("<>", message.strip()): text for _, message, text in entries}


def _reported_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        yield from _first_texts(node.exc.args)
    elif isinstance(node, ast.Call) and _name(node.func) in REPORTING:
        yield from _first_texts(node.args)
    elif isinstance(node, ast.FunctionDef) and node.name in REASONS:
        returned = [each.value for each in ast.walk(node) if isinstance(each, ast.Return) and each.value]
        for value in returned:
            yield from _texts(value)
    elif isinstance(node, ast.Assign | ast.AugAssign) and node.value is not None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if any(_name(target) in REASONS for target in targets):
            yield from _texts(node.value)


def _first_texts(arguments: list[ast.expr]) -> list[str]:
    """The message among the arguments: the first that is a sentence, not the name of a column."""
    for argument in arguments:
        texts = _texts(argument)
        if any(" " in text for text in texts):
            return texts
    return []


def _texts(node: ast.expr) -> list[str]:
    """What an expression can be as text; more than one where it depends on a condition."""
    match node:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(each) for each in product(*map(_texts, parts))]
        case ast.IfExp(body=body, orelse=orelse):
            return [*_texts(body), *_texts(orelse)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [one + other for one, other in product(_texts(left), _texts(right))]
    return ["<>"]


def _name(node: ast.expr) -> str:
    match node:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
    return ""
