"""What a step of a loss costs, beside the alternatives: ``python -m benchmarks.loss_step``.

Measures time and memory of forward and backward passes, each in a process of its own, prints a table,
and writes ``docs/results/loss_step.json``, ``docs/images/loss_step.png`` and ``docs/speed.md``.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from jinja2 import StrictUndefined, Template

from benchmarks.loss_step_case import PROXY_LEARNING_RATE, TRAINING_STEPS, Case
from pml_potential.benchmark.files import read_json, write_json, write_text
from pml_potential.benchmark.report.environment import describe_environment

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results" / "loss_step.json"
ELSEWHERE = DOCS / "results" / "loss_step_xeon.json"
"""What the same command wrote on another processor."""

PLOT = DOCS / "images" / "loss_step.png"
PAGE = DOCS / "speed.md"
TEMPLATE = Path(__file__).with_suffix(".md.j2")

OURS, DENSE, BRUTE = "PotentialFieldLoss", "X @ X.T", "brute force"
PROXY_ANCHOR, SOFT_TRIPLE, KEOPS = "ProxyAnchorLoss", "SoftTripleLoss", "KeOps"

CUB = Case(OURS, "random", classes=100, proxies_per_class=15, width=512)
SOP = Case(OURS, "random", classes=11_318, proxies_per_class=2, width=512)
HUGE = Case(OURS, "clustered", classes=100_000, proxies_per_class=2, width=128)
MEAN_FIELDS = Case(
    "MeanFieldClassWiseMultiSimilarityLoss",
    "random",
    classes=100_000,
    proxies_per_class=1,
    width=128,
)
SCALES = {"CUB-like": CUB, "SOP-like": SOP, "100,000 classes": HUGE, "mean fields": MEAN_FIELDS}

GROWTH_CLASSES = (200, 800, 3200, 12_800)
"""Numbers of classes in the plot, with two proxies each."""

_BRUTE_FORCE_POINTS = 7000
"""Points beyond which the brute force needs more than 3 GiB."""


def cases() -> dict[str, list[Case]]:
    """All that is measured: the rows of the table, and the points of the plot."""
    # All states cost the brute force of KeOps the same.
    keops = [replace(CUB, method=KEOPS)] if find_spec("pykeops") else []
    table = [
        replace(CUB, method=method, state=state)
        for state in ("random", "clustered", "collapsed")
        for method in (DENSE, OURS, BRUTE, PROXY_ANCHOR, SOFT_TRIPLE)
    ]
    table += [
        replace(SOP, method=method, state=state)
        for state in ("random", "clustered")
        for method in (DENSE, OURS, PROXY_ANCHOR, SOFT_TRIPLE)
    ]
    table += [
        replace(SOP, method=method, state=state, training=True)
        for state in ("random", "clustered")
        for method in (OURS, PROXY_ANCHOR)
    ]
    table += [*keops, HUGE, MEAN_FIELDS]
    growing = [
        replace(SOP, method=method, state="clustered", classes=classes)
        for classes in GROWTH_CLASSES
        for method in (DENSE, OURS, BRUTE, PROXY_ANCHOR)
    ]
    plot = [case for case in growing if case.method != BRUTE or case.points < _BRUTE_FORCE_POINTS]
    return {"table": table, "plot": plot}


def measure(case: Case) -> dict[str, Any]:
    """Measure a case in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.loss_step_case", json.dumps(asdict(case))]
    # What goes wrong is printed where the user sees it: only the result is taken out of the output.
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    print(f"{case.state:10} {case.points:7} points  {case.method:22} {_cost(result)}", flush=True)
    return result


@dataclass(frozen=True)
class Goal:
    """What the engine has to show.

    Args:
        title: of the case.
        case: what is measured.
        most: largest cost allowed: a ratio, or MiB where ``beside`` is None.
        quantity: seconds or peak_mib.
        beside: method whose cost is the unit.
    """

    title: str
    case: Case
    most: float
    quantity: str = "seconds"
    beside: str | None = None

    def text(self) -> str:
        """The goal in words."""
        if self.beside is None:
            return f"at most {self.most:g} MiB above the inputs"
        quantity = {"seconds": "time", "peak_mib": "memory"}[self.quantity]
        return f"at most {self.most:g} x the {quantity} of `{self.beside}`"

    def measured(self, rows: list[dict[str, Any]]) -> float:
        """What the rows of a table say."""
        cost = float(_row_of(rows, self.case)[self.quantity])
        if self.beside is None:
            return cost
        return cost / float(_row_of(rows, replace(self.case, method=self.beside))[self.quantity])


def goals() -> list[Goal]:
    """All goals, in the order of the page."""
    listed = []
    for state in ("random", "clustered"):
        cub, sop = replace(CUB, state=state), replace(SOP, state=state)
        listed += [
            Goal(f"CUB-like, {state}", cub, 0.8, beside=DENSE),
            Goal(f"CUB-like, {state}", cub, 0.2, beside=BRUTE),
            Goal(f"SOP-like, {state}", sop, 0.25, beside=DENSE),
            Goal(f"SOP-like, {state}", sop, 256, "peak_mib"),
            Goal(
                f"SOP-like, {state}, steps of training",
                replace(sop, training=True),
                1.5,
                beside=PROXY_ANCHOR,
            ),
        ]
    collapsed = replace(CUB, state="collapsed")
    return [
        *listed,
        Goal("CUB-like, collapsed", collapsed, 2, beside=BRUTE),
        Goal("CUB-like, collapsed", collapsed, 1, "peak_mib", BRUTE),
        Goal("100,000 classes x 2, clustered", HUGE, 1536, "peak_mib"),
        Goal("100,000 mean fields, MFCWMS", MEAN_FIELDS, 512, "peak_mib"),
    ]


def _row_of(rows: list[dict[str, Any]], case: Case) -> dict[str, Any]:
    wanted = asdict(case)
    (found,) = [row for row in rows if all(row[key] == wanted[key] for key in wanted)]
    return found


def page(results: dict[str, Any], elsewhere: dict[str, Any]) -> str:
    """Write the documentation's page from the results of two machines; the tables are the first's."""
    template = Template(TEMPLATE.read_text(), undefined=StrictUndefined, keep_trailing_newline=True)
    rendered: str = template.render(
        environment=results["environment"],
        elsewhere=elsewhere["environment"],
        batch_size=SOP.batch_size,
        width=SOP.width,
        proxy_learning_rate=PROXY_LEARNING_RATE,
        training_steps=TRAINING_STEPS,
        goals="\n".join(_goal_line(goal, results["table"], elsewhere["table"]) for goal in goals()),
        scales=[
            (name, _table([row for row in results["table"] if _is_of_scale(row, case)]))
            for name, case in SCALES.items()
        ],
    )
    return rendered


def _goal_line(goal: Goal, *tables: list[dict[str, Any]]) -> str:
    measured = [goal.measured(rows) for rows in tables]
    cells = [f"{value:.3g}" if value <= goal.most else f"**{value:.3g}, missed**" for value in measured]
    return f"| {goal.title} | {goal.text()} | {' | '.join(cells)} |"


def plot(results: dict[str, Any], path: Path) -> None:
    """Draw time and memory against the number of points."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (time_axes, memory_axes) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for method in (BRUTE, DENSE, PROXY_ANCHOR, OURS):
        rows = [row for row in results["plot"] if row["method"] == method]
        points = [row["points"] for row in rows]
        time_axes.loglog(points, [row["seconds"] for row in rows], "o-", label=method)
        memory_axes.loglog(points, [row["peak_mib"] for row in rows], "o-", label=method)
    time_axes.set(xlabel="points", ylabel="seconds for a step")
    memory_axes.set(xlabel="points", ylabel="MiB above the inputs")
    for axes in (time_axes, memory_axes):
        axes.grid(which="both", alpha=0.3)
    time_axes.legend()
    figure.savefig(path, dpi=120)


def _is_of_scale(row: dict[str, Any], scale: Case) -> bool:
    return all(row[key] == getattr(scale, key) for key in ("classes", "proxies_per_class", "width"))


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["| points | step | method | time | memory above the inputs |", "|---|---|---|---|---|"]
    for row in rows:
        step = f"{row['state']}, training" if row["training"] else row["state"]
        seconds, memory = _cost(row).split(", ")
        lines.append(f"| {row['points']:,} | {step} | `{row['method']}` | {seconds} | {memory} |")
    return "\n".join(lines)


def _cost(row: dict[str, Any]) -> str:
    seconds = row["seconds"]
    duration = f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
    return f"{duration}, {row['peak_mib']:.0f} MiB"


def _machine(environment: dict[str, Any]) -> str:
    """The processor and what torch makes of it."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{environment['processor']}, {os.cpu_count()} cores, {environment['threads']} threads, "
        f"{gibibytes:.0f} GiB, torch {torch.__version__}"
    )


def write_documents(results: dict[str, Any]) -> None:
    """Write the page and its picture."""
    plot(results, PLOT)
    write_text(PAGE, page(results, read_json(ELSEWHERE)))


if __name__ == "__main__":
    environment = describe_environment()
    environment["machine"] = _machine(environment)
    measured = {name: [measure(case) for case in group] for name, group in cases().items()}
    write_json(RESULTS, {"environment": environment, **measured})
    write_documents(read_json(RESULTS))
    print(*(_goal_line(goal, measured["table"]) for goal in goals()), sep="\n")
