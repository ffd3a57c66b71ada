"""Writes the page on architecture: the rooms and their imports, read from the code."""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grimp
from jinja2 import Environment, FileSystemLoader, StrictUndefined

PACKAGE = "pml_potential"
ROOT = Path(__file__).parents[1]
_WIDTH, _BOX, _GAP, _MARGIN, _PASSAGE = 760, 54, 30, 10, 120


@dataclass(frozen=True)
class Room:
    """A package, or a module beside packages.

    Attributes:
        name: last part of its dotted name.
        purpose: first line of its docstring.
        imports: names of the rooms beside it that it imports from.
    """

    name: str
    purpose: str
    imports: frozenset[str]


def architecture_page() -> str:
    """Fill the template with the rooms of the package and of its benchmark."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    values: dict[str, Any] = {}
    for name, parent in (("package", PACKAGE), ("benchmark", f"{PACKAGE}.benchmark")):
        rooms = rooms_of(parent)
        values |= {name: rooms, f"{name}_picture": picture(rooms), f"{name}_table": import_table(rooms)}
    return environment.get_template("architecture.md.j2").render(**values)


def rooms_of(parent: str) -> list[Room]:
    """The rooms of a package, the outermost first."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    names = sorted(child.rpartition(".")[2] for child in graph.find_children(parent))
    rooms = []
    for name in names:
        module = f"{parent}.{name}"
        imported = {
            other
            for other in names
            if other != name
            and graph.find_shortest_chains(module, f"{parent}.{other}", as_packages=True)
            and _imports_directly(graph, module, f"{parent}.{other}")
        }
        rooms.append(Room(name, _purpose(module), frozenset(imported)))
    floors = floors_of(rooms)
    shown = [room for room in rooms if not room.name.startswith("__")]
    return sorted(shown, key=lambda room: (-floors[room.name], room.name))


def floors_of(rooms: Sequence[Room]) -> dict[str, int]:
    """The floor of each room: one above the highest room that it imports from."""
    by_name = {room.name: room for room in rooms}
    floors: dict[str, int] = {}

    def floor(name: str) -> int:
        if name not in floors:
            below = [floor(other) for other in by_name[name].imports if other in by_name]
            floors[name] = 1 + max(below, default=0)
        return floors[name]

    for name in by_name:
        floor(name)
    return floors


def import_table(rooms: Sequence[Room]) -> str:
    """The imports as a table in Markdown, the outermost room first."""
    lines = ["| room | imports from |", "|---|---|"]
    for room in rooms:
        names = [f"`{other.name}`" for other in rooms if other.name in room.imports]
        lines.append(f"| `{room.name}` | {', '.join(names) or 'no other room'} |")
    return "\n".join(lines)


def picture(rooms: Sequence[Room]) -> str:
    """The floors as an SVG, with an arrow for each import that no other import implies."""
    floors = floors_of(rooms)
    top = max(floors.values())
    # Floors that an arrow passes leave room for it at their right.
    passed = {
        floor for source, target in reduced(rooms) for floor in range(floors[target] + 1, floors[source])
    }
    places: dict[str, tuple[float, float, float]] = {}
    for floor in range(1, top + 1):
        on_it = [room.name for room in rooms if floors[room.name] == floor]
        free = _WIDTH - 2 * _MARGIN - (_PASSAGE if floor in passed else 0)
        width = (free - _GAP * (len(on_it) - 1)) / len(on_it)
        for place, name in enumerate(on_it):
            left = _MARGIN + place * (width + _GAP)
            places[name] = (left, _MARGIN + (top - floor) * (_BOX + _GAP), width)
    height = 2 * _MARGIN + top * _BOX + (top - 1) * _GAP
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{_description(rooms)}" '
        'style="max-width: 100%; color: var(--md-typeset-color)">',
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="currentColor"/></marker></defs>',
    ]
    for room in rooms:
        left, upper, width = places[room.name]
        parts.append(
            f'<rect x="{left:g}" y="{upper:g}" width="{width:g}" height="{_BOX}" rx="6" fill="none" '
            'stroke="currentColor"/>'
            f'<text x="{left + 12:g}" y="{upper + 22:g}" font-size="15" font-weight="700" '
            f'fill="currentColor">{room.name}</text>'
            f'<text x="{left + 12:g}" y="{upper + 42:g}" font-size="12.5" '
            f'fill="currentColor">{_fitting(room.purpose, width)}</text>'
        )
    for source, target in reduced(rooms):
        is_long = floors[source] - floors[target] > 1
        parts.append(_arrow(places[source], places[target], is_long))
    return "".join(parts) + "</svg>"


def reduced(rooms: Sequence[Room]) -> list[tuple[str, str]]:
    """The imports between rooms without those that follow from others."""
    by_name = {room.name: room for room in rooms}

    def reach(name: str) -> set[str]:
        below = {other for other in by_name[name].imports if other in by_name}
        return below.union(*(reach(other) for other in below)) if below else set()

    return [
        (room.name, other)
        for room in rooms
        for other in sorted(room.imports & by_name.keys())
        if not any(other in reach(between) for between in room.imports & by_name.keys())
    ]


def _imports_directly(graph: grimp.ImportGraph, importer: str, imported: str) -> bool:
    sources = {importer, *graph.find_descendants(importer)}
    targets = {imported, *graph.find_descendants(imported)}
    return any(graph.find_modules_directly_imported_by(each) & targets for each in sources)


def _purpose(module: str) -> str:
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def _fitting(text: str, width: float) -> str:
    """As many words as fit into a box; the list below the picture has all of them."""
    letters = int(width / 7.2)
    if len(text) <= letters:
        return text
    return text[: text.rindex(" ", 0, letters - 1)].rstrip(",:;") + " …"


def _arrow(source: tuple[float, float, float], target: tuple[float, float, float], is_long: bool) -> str:
    left, upper, width = source
    other_left, other_upper, other_width = target
    low, high = max(left, other_left), min(left + width, other_left + other_width)
    across = high - _PASSAGE / 2 if is_long else (low + high) / 2
    return (
        f'<path d="M{across:g} {upper + _BOX:g}V{other_upper - 2:g}" stroke="currentColor" '
        'stroke-width="1.5" fill="none" marker-end="url(#head)"/>'
    )


def _description(rooms: Sequence[Room]) -> str:
    arrows = "; ".join(f"{source} imports from {target}" for source, target in reduced(rooms))
    return f"Rooms from the outermost to the innermost: {arrows}"
