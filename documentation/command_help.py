"""Writes the reference of all commands from the command-line program itself."""

import inspect
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
from typer.models import ArgumentInfo, OptionInfo
from typer.utils import get_params_from_function

from pml_potential.benchmark.commands.app import app

_HEADER = """\
---
search: {boost: 0.5}
fold: 2
---

# Commands

What `--help` says about each command. `pml-potential` and `python -m pml_potential` are the same
program.

To complete commands, options and preset names with Tab, run this once and open a new shell:

```bash
pml-potential --install-completion
```

Exit codes: 0 for success, 1 if a run, check or download failed, 2 for a mistake in the command, 130
after Ctrl-C. Errors are lines that begin with `error:`.
"""
_PLACEHOLDERS = {int: "INTEGER", float: "NUMBER", Path: "PATH", str: "TEXT"}


def commands_page() -> str:
    """Write a section for each command, those of groups of commands included."""
    return "\n".join([_HEADER, *(_section(*command) for command in _commands(app, "pml-potential"))])


def _commands(program: typer.Typer, path: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    for command in program.registered_commands:
        if command.callback is not None:
            name = command.name or command.callback.__name__.replace("_", "-")
            yield f"{path} {name}", command.callback
    for group in program.registered_groups:
        if group.typer_instance is not None:
            yield from _commands(group.typer_instance, f"{path} {group.name}")


def _section(name: str, call: Callable[..., Any]) -> str:
    rows = [
        (_spelling(each.name, each.annotation, each.default), each.annotation, each.default)
        for each in get_params_from_function(call).values()
    ]
    arguments = [spelling for spelling, _, info in rows if isinstance(info, ArgumentInfo)]
    options = ["[OPTIONS]"] if len(arguments) < len(rows) else []
    text, _, examples = str(inspect.getdoc(call)).partition("\n\nExamples:\n")
    lines = [
        f"## {name}\n",
        f"{text}\n",
        f"**Usage:** `{' '.join([name, *arguments, *options])}`\n",
        f"```bash\n{textwrap.dedent(examples)}\n```\n",
    ]
    return "\n".join(lines + [_entry(*row) for row in rows])


def _spelling(name: str, kind: Any, info: ArgumentInfo | OptionInfo) -> str:
    """How a person types an argument or option."""
    if isinstance(info, ArgumentInfo):
        metavar = info.metavar or name.upper()
        return metavar if info.default is ... else f"[{metavar}]"
    flag = f"--{name.replace('_', '-')}"
    if bool in _plain_types(kind):
        return ", ".join(info.param_decls or [f"{flag} / --no-{flag[2:]}"])
    placeholder = info.metavar or _PLACEHOLDERS.get(_plain_types(kind)[0], "TEXT")
    return f"{', '.join(info.param_decls or [flag])} {placeholder}"


def _entry(spelling: str, kind: Any, info: ArgumentInfo | OptionInfo) -> str:
    notes = [info.help or ""]
    if info.min is not None:
        notes.append(f"At least {info.min}.")
    if _is_list(kind) and isinstance(info, OptionInfo):
        notes.append("Can be given several times.")
    default = "" if info.default in (None, ...) else f", by default `{info.default}`"
    return f"`{spelling}`{default}\n:   {' '.join(notes)}\n"


def _plain_types(kind: Any) -> list[Any]:
    """Types of single values, without lists, ``None`` and annotations around them."""
    inner = [each for each in get_args(kind) if each is not type(None)]
    return [plain for each in inner for plain in _plain_types(each)] if inner else [kind]


def _is_list(kind: Any) -> bool:
    return get_origin(kind) is list or any(_is_list(each) for each in get_args(kind))
