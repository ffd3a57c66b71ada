"""Results of an audit of a data set, as a file for programs and a sheet of the pictures."""

from pathlib import Path
from typing import Any

from pml_potential.benchmark.config.run_folder import RunFolder, audit_folder
from pml_potential.benchmark.data.datasets.audit import KINDS, Audit, Group, counts_of, in_words
from pml_potential.benchmark.data.feature_rows import FeatureRows
from pml_potential.benchmark.data.image_files import ImageFiles
from pml_potential.benchmark.data.images import Images
from pml_potential.benchmark.data.near_pictures import MOST_BITS, MOST_COLOUR
from pml_potential.benchmark.files import read_json_or_set_aside, write_json, write_text
from pml_potential.benchmark.report.environment import describe_environment
from pml_potential.benchmark.report.page import render_page
from pml_potential.benchmark.report.thumbnails import thumbnail

FORMAT = 1
"""Number of the layout of ``audit.json``."""

MOST_LISTED = 10_000
"""Near pairs that ``audit.json`` lists; all are counted."""

MOST_SHOWN = 60
"""Groups of a kind on the sheet."""

MOST_OF_A_GROUP = 8
"""Pictures of a group on the sheet."""


def write_audit(found: Audit, folder: Path) -> Path:
    """Write ``audit.json`` and ``index.html``, which is self-contained.

    Args:
        found: the audit.
        folder: where both go.

    Returns:
        Path of the sheet.
    """
    images = found.images
    written = {
        "format": FORMAT,
        "data": {
            "name": images.name,
            "sha256": images.sha256,
            "images": len(images.labels),
            "classes": len(images.class_names),
        },
        "sound": found.sound,
        "counts": {"equal": counts_of(found.equal), "near": counts_of(found.near)},
        "near_count": found.near_count,
        "near_limits": {"bits_of_256": MOST_BITS, "colour_of_255": MOST_COLOUR},
        "labels": found.labels,
        "files": found.files,
        "equal": [_listed(group, found) for group in found.equal],
        "near": [_listed(group, found) for group in found.near[:MOST_LISTED]],
        "environment": describe_environment(),
    }
    write_json(folder / "audit.json", written)
    sections = [
        {"title": title, "kind": kind, "groups": groups, "shown": _shown(groups, found)}
        for title, all_groups in (("Equal pictures", found.equal), ("Near pictures", found.near))
        for kind in KINDS
        if (groups := [group for group in all_groups if group.kind == kind])
    ]
    page = folder / "index.html"
    text = render_page(
        "audit.html.j2", audit=written, lines=found.lines(), sections=sections, kinds=KINDS
    )
    write_text(page, text)
    return page


def read_audit(folder: Path, sha256: str) -> dict[str, Any] | None:
    """Read the audit that ``write_audit`` wrote of a data set with this hash; None if there is none."""

    def understood(content: Any) -> dict[str, Any] | None:
        try:
            if content["format"] != FORMAT or content["data"]["sha256"] != sha256:
                return None
            found = {key: content["counts"][key] for key in ("equal", "near")}
            counts = {key: {kind: int(each[kind]) for kind in KINDS} for key, each in found.items()}
            labels = [[str(name) for name in names] for names in content["labels"]]
            files = [str(each) for each in content["files"]]
        except (KeyError, TypeError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        return {"sound": bool(content["sound"]), "counts": counts, "labels": labels, "files": files}

    found: dict[str, Any] | None = read_json_or_set_aside(folder / "audit.json", understood)
    return found


def audit_of_run(run: RunFolder, results: dict[str, Any]) -> dict[str, Any] | None:
    """Read the audit of the images that a run had, as ``read_audit`` does."""
    data = results["data"]
    return read_audit(audit_folder(run.path.parent, data["name"], data["sha256"]), data["sha256"])


def audit_in_words(audit: dict[str, Any] | None) -> str:
    """What an audit found, in a line.

    Examples:
        >>> audit_in_words(None)
        'none was made of these images'
    """
    if audit is None:
        return "none was made of these images"
    counts = audit["counts"]
    spellings = (f"one label in several spellings: {', '.join(names)}" for names in audit["labels"])
    found = [
        f"equal pictures: {in_words(counts['equal'])}",
        f"near pictures: {in_words(counts['near'])}",
        *spellings,
        *audit["files"],
    ]
    return "; ".join(found)


def called(images: Images, place: int) -> str:
    """Name of a picture or a row: its path, its id, or its place in a data set without either."""
    if isinstance(images, ImageFiles):
        return images.relative_path(place)
    return images.called(place) if isinstance(images, FeatureRows) else f"image {place}"


def _listed(group: Group, found: Audit) -> dict[str, Any]:
    images = [
        {
            "name": called(found.images, place),
            "class": found.images.class_names[found.images.labels[place]],
            "part": None if found.parts is None else str(found.parts[place]),
        }
        for place in group.images
    ]
    return {"kind": group.kind, "bits": group.bits, "images": images}


def _shown(groups: list[Group], found: Audit) -> list[dict[str, Any]]:
    return [
        {
            "bits": group.bits,
            "more": len(group.images) - MOST_OF_A_GROUP,
            "images": [
                listed | {"picture": thumbnail(found.images.image(place))}
                for place, listed in zip(
                    group.images[:MOST_OF_A_GROUP], _listed(group, found)["images"], strict=False
                )
            ],
        }
        for group in groups[:MOST_SHOWN]
    ]
