"""The page, from the results alone: ``python -m benchmarks.on_gpu.page``."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any

from jinja2 import StrictUndefined, Template

from benchmarks.loss_step import OURS
from benchmarks.on_gpu.kernels import ALLOWED
from benchmarks.on_gpu.plan import FINE_TUNING, KERNELS, LOSS_STEP
from benchmarks.on_gpu.settings import LOSSES, ON_GPU
from benchmarks.photographs.settings import CANDIDATES
from pml_potential.benchmark.evaluation import METRICS, PRIMARY_METRIC
from pml_potential.benchmark.files import read_json, write_text
from pml_potential.benchmark.report.formatting import interval, short_commit
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.report.text_table import TextTable

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "results" / "on_gpu"
PAGE = DOCS / "on_gpu.md"
TEMPLATE = Path(__file__).with_name("page.md.j2")

Rows = Mapping[str, dict[str, Any]]
"""Rows of a group of parts, by their names."""


def page(folder: Path) -> str:
    """Write the page from the results in a folder."""
    template = Template(TEMPLATE.read_text(), undefined=StrictUndefined, keep_trailing_newline=True)
    rendered: str = template.render(
        networks=ON_GPU.networks,
        changes=ON_GPU.changes,
        seeds=len(ON_GPU.seeds),
        losses=[CANDIDATES[preset].title for preset in LOSSES],
        allowed=" and ".join(
            f"{limit:.1e} in {str(dtype).removeprefix('torch.')}" for dtype, limit in ALLOWED.items()
        ),
        kernels=_tables(folder, KERNELS, _kernels_table),
        loss_steps=_tables(folder, LOSS_STEP, _loss_step_table),
        trainings=_tables(folder, FINE_TUNING, _training_tables),
    )
    return rendered


def write_page() -> None:
    """Write the page from the committed results."""
    write_text(PAGE, page(RESULTS))


def _tables(folder: Path, group: str, table: Any) -> list[str]:
    """The table of each machine, under the machine's name."""
    found = []
    for path in sorted(folder.glob(f"*-{group}.json")):
        rows: Rows = read_json(path)
        found.append(f"{_origin(rows)} ([JSON](results/on_gpu/{path.name})):\n\n{table(rows)}")
    return found


def _origin(rows: Rows) -> str:
    """Where the rows come from; those of one file have one machine, but maybe several versions."""
    origins = [row["origin"] for row in rows.values()]
    name = origins[0].get("gpu") or origins[0]["processor"]
    commits = dict.fromkeys(short_commit(origin["commit"]) for origin in origins)
    versions = dict.fromkeys(f"torch {o['torch']}, driver {o['driver'] or 'unknown'}" for o in origins)
    return f"{name}, {'; '.join(versions)}, commit {', '.join(commits)}"


def _kernels_table(rows: Rows) -> str:
    lines = []
    for name, row in rows.items():
        by_dtype: dict[str, list[dict[str, Any]]] = {}
        for check in row["checks"]:
            by_dtype.setdefault(check["dtype"], []).append(check)
        for dtype, checks in by_dtype.items():
            errors = [
                f"{max(check[key] for check in checks):.1e}" for key in ("value_error", "gradient_error")
            ]
            right = f"{sum(check['is_right'] for check in checks)} of {len(checks)}"
            lines.append([name, dtype, row["engine"].replace("_", " "), *errors, right])
    columns = [
        "loss",
        "embeddings",
        "computed by",
        "error of the value",
        "of the gradient",
        "within limits",
    ]
    return TextTable(columns, lines, 3).to_markdown()


def _loss_step_table(rows: Rows) -> str:
    lines = []
    for name, row in rows.items():
        for cost in row["costs"]:
            method = cost["method"]
            shown = f"{method}, delta {cost['delta']:g}" if method == OURS else method
            seconds = (mean if cost["training"] else median)(cost["all_seconds"])
            memory = f"{cost['peak_mib']:.0f} MiB"
            lines.append([name, f"{cost['points']:,}", shown, f"{1000 * seconds:.2f} ms", memory])
    return TextTable(["situation", "points", "method", "time", "memory"], lines, 3).to_markdown()


def _training_tables(rows: Rows) -> str:
    """Scores of the losses, a line for each network, share of wrong labels and loss."""
    lines = []
    for network, share in product(_networks(rows), ON_GPU.wrong_labels):
        for preset in LOSSES:
            asked = {"network": network, "wrong_labels": share, "preset": preset}
            found = [
                row
                for row in rows.values()
                if all(row["asked"][key] == value for key, value in asked.items())
            ]
            trained = [row for row in found if "failure" not in row]
            if not trained:
                continue
            scores = [
                interval(confidence_interval([row["test"][metric] for row in trained]))
                for metric in (PRIMARY_METRIC, "precision_at_1")
            ]
            seconds = f"{mean(row['seconds'] for row in trained):.0f}"
            labels = f"{share:.0%}"
            seeds = f"{len(trained)}" + (f" of {len(found)}" if len(trained) < len(found) else "")
            lines.append([network, labels, CANDIDATES[preset].title, *scores, seeds, seconds])
    titles = [METRICS[metric].title for metric in (PRIMARY_METRIC, "precision_at_1")]
    columns = ["network", "wrong labels", "loss", *titles, "seeds", "seconds"]
    data = next(iter(rows.values()))["data"]
    return (
        f"{TextTable(columns, lines, 3).to_markdown()}\n\n{data['classes']} classes; images: "
        f"{data['train']:,} to train, {data['validation']:,} to validate, {data['test']:,} to test."
    )


def _networks(rows: Rows) -> list[str]:
    return sorted({row["asked"]["network"] for row in rows.values()})


if __name__ == "__main__":
    write_page()
