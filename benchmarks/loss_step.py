"""What a step of a loss costs, compared with the alternatives: ``python -m benchmarks.loss_step``.

Measures forward and backward passes: time side by side in one process, memory of each in its own. Prints
a table; writes ``docs/results/loss_step.json``, ``docs/images/loss_step*.png`` and ``docs/speed.md``.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from jinja2 import StrictUndefined, Template

from benchmarks.loss_step_case import PROXY_LEARNING_RATE, TRAINING_STEPS, Case
from pml_potential.benchmark.files import read_json, write_json, write_text
from pml_potential.benchmark.report.environment import describe_environment

DOCS = Path(__file__).parents[1] / "docs"
RESULTS = DOCS / "results" / "loss_step.json"
PLOT = DOCS / "images" / "loss_step.png"
DELTA_PLOT = DOCS / "images" / "loss_step_delta.png"
PAGE = DOCS / "speed.md"
TEMPLATE = Path(__file__).with_suffix(".md.j2")

OURS, DENSE, FORMULA = "PotentialFieldLoss", "X @ X.T", "formula"
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
STATES = ("random", "clustered")

SOP_SHARES = {0.1: 0.25, 0.2: 0.25, 0.3: 0.35, 0.5: 0.6, 0.8: 1.0}
"""Largest cost of a step at a radius, as a share of one dense product."""

CUB_SHARES = {0.2: 0.9, 0.5: 1.1, 0.65: 1.2}
TRAINING_SHARES = {0.2: 1.0, 0.5: 1.8, 0.65: 2.5}
"""Largest cost of a training step at a radius, as a multiple of one of ``ProxyAnchorLoss``."""

SMALL = [
    replace(CUB, classes=classes, proxies_per_class=proxies, width=width)
    for classes, proxies in ((20, 5), (100, 5), (100, 15))
    for width in (64, 512)
]
"""Few points, where the search saves little: compared with ``SoftTripleLoss`` with as many proxies."""

GROWTH_CLASSES = (200, 800, 3200, 12_800)
"""Numbers of classes in the plot, with two proxies each."""

_MOST_POINTS_OF_FORMULA = 7000
"""Points beyond which the formula needs more than 3 GiB."""


def cases() -> dict[str, list[Case]]:
    """All cases: the rows of the tables, and the points of the plot."""
    table: list[Case] = []
    for state in (*STATES, "collapsed"):
        cub = replace(CUB, state=state)
        table += [replace(cub, method=name) for name in (DENSE, FORMULA, PROXY_ANCHOR, SOFT_TRIPLE)]
        table += [replace(cub, delta=delta) for delta in CUB_SHARES if state in STATES or delta == 0.2]
    for state in STATES:
        sop = replace(SOP, state=state)
        table += [replace(sop, method=name) for name in (DENSE, PROXY_ANCHOR, SOFT_TRIPLE)]
        table += [replace(sop, delta=delta) for delta in SOP_SHARES]
        for scale in (CUB, SOP):
            training = replace(scale, state=state, training=True)
            table += [replace(training, method=PROXY_ANCHOR)]
            table += [replace(training, delta=delta) for delta in TRAINING_SHARES]
    # All states cost KeOps the same.
    table += [replace(CUB, method=KEOPS)] if find_spec("pykeops") else []
    table += [HUGE, MEAN_FIELDS]
    known = set(table)
    table += [
        case
        for small in SMALL
        for case in (small, replace(small, method=SOFT_TRIPLE))
        if case not in known
    ]
    growing = [
        replace(SOP, method=method, state="clustered", classes=classes)
        for classes in GROWTH_CLASSES
        for method in (DENSE, OURS, FORMULA, PROXY_ANCHOR)
    ]
    plot = [case for case in growing if case.method != FORMULA or case.points < _MOST_POINTS_OF_FORMULA]
    return {"table": table, "plot": plot}


def measure(cases: list[Case]) -> list[dict[str, Any]]:
    """Measure cases, those of one situation side by side in one process."""
    situations: dict[Case, list[Case]] = {}
    for case in cases:
        situations.setdefault(replace(case, method="", delta=0.0), []).append(case)
    results: dict[Case, dict[str, Any]] = {}
    for together in situations.values():
        average = mean if together[0].training else median
        for case, seconds in zip(together, _measured("time", together), strict=True):
            results[case] = {
                **asdict(case),
                "points": case.points,
                "seconds": average(seconds),
                "all_seconds": seconds,
                "peak_mib": _measured("memory", [case])[0],
            }
            name = f"{case.method} {case.delta:g}" if case.method == OURS else case.method
            print(
                f"{case.state:10} {case.points:7} points  {name:22} {_cost(results[case])}", flush=True
            )
    return [results[case] for case in cases]


def _measured(quantity: str, cases: list[Case]) -> list[Any]:
    """The measurements of a separate process."""
    arguments = quantity, json.dumps([asdict(case) for case in cases])
    command = [sys.executable, "-m", "benchmarks.loss_step_case", *arguments]
    # Errors are printed where the user sees them: only the result is read from the output.
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: list[Any] = json.loads(output.splitlines()[-1])
    return result


@dataclass(frozen=True)
class Goal:
    """A performance target.

    Args:
        title: of the case.
        case: the case to measure.
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
        """The measured cost, from the rows of a table."""
        cost = float(_row_of(rows, self.case)[self.quantity])
        if self.beside is None:
            return cost
        # Other methods have no delta.
        other = replace(self.case, method=self.beside, delta=CUB.delta)
        return cost / float(_row_of(rows, other)[self.quantity])


def goals() -> list[Goal]:
    """All goals, in the order of the page."""
    listed: list[Goal] = []
    for state in STATES:
        cub, sop = replace(CUB, state=state), replace(SOP, state=state)
        for name, case, shares in (("SOP-like", sop, SOP_SHARES), ("CUB-like", cub, CUB_SHARES)):
            for delta, most in shares.items():
                at = replace(case, delta=delta)
                listed.append(Goal(f"{name}, {state}, delta {delta}", at, most, beside=DENSE))
            for delta, most in TRAINING_SHARES.items():
                at = replace(case, training=True, delta=delta)
                title = f"{name}, {state}, training, delta {delta}"
                listed.append(Goal(title, at, most, beside=PROXY_ANCHOR))
        listed.append(Goal(f"CUB-like, {state}", cub, 0.2, beside=FORMULA))
        listed.append(Goal(f"SOP-like, {state}", sop, 256, "peak_mib"))
    for small in SMALL:
        title = f"{small.points:,} points, d = {small.width}"
        listed.append(Goal(title, small, 2, beside=SOFT_TRIPLE))
    collapsed = replace(CUB, state="collapsed")
    return [
        *listed,
        Goal("CUB-like, collapsed", collapsed, 2, beside=FORMULA),
        Goal("CUB-like, collapsed", collapsed, 1, "peak_mib", FORMULA),
        Goal("100,000 classes x 2, clustered", HUGE, 1536, "peak_mib"),
        Goal("100,000 mean fields, MFCWMS", MEAN_FIELDS, 512, "peak_mib"),
    ]


def _row_of(rows: list[dict[str, Any]], case: Case) -> dict[str, Any]:
    wanted = asdict(case)
    (found,) = [row for row in rows if all(row[key] == wanted[key] for key in wanted)]
    return found


def page(results: dict[str, Any]) -> str:
    """Write the documentation's page from the results."""
    template = Template(TEMPLATE.read_text(), undefined=StrictUndefined, keep_trailing_newline=True)
    shares = [
        Goal("", replace(SOP, delta=d), 1, beside=DENSE).measured(results["table"]) for d in SOP_SHARES
    ]
    rendered: str = template.render(
        environment=results["environment"],
        batch_size=SOP.batch_size,
        width=SOP.width,
        points=SOP.points,
        shares=[f"{share:.2f}" for share in shares],
        proxy_learning_rate=PROXY_LEARNING_RATE,
        training_steps=TRAINING_STEPS,
        missed=[goal.title for goal in goals() if goal.measured(results["table"]) > goal.most],
        goals="\n".join(_goal_line(goal, results["table"]) for goal in goals()),
        scales=[
            (name, _table([row for row in results["table"] if _is_of_scale(row, case)]))
            for name, case in SCALES.items()
        ],
    )
    return rendered


def _goal_line(goal: Goal, rows: list[dict[str, Any]]) -> str:
    value = goal.measured(rows)
    cell = f"{value:.3g}" if value <= goal.most else f"**{value:.3g}, missed**"
    return f"| {goal.title} | {goal.text()} | {cell} |"


def plot(results: dict[str, Any], path: Path) -> None:
    """Draw time and memory against the number of points."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (time_axes, memory_axes) = pyplot.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    for method in (FORMULA, DENSE, PROXY_ANCHOR, OURS):
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


def plot_delta(results: dict[str, Any], path: Path) -> None:
    """Draw the cost of a step against the radius, as a share of one dense product."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
    for state in STATES:
        goals_of_state = [
            Goal("", replace(SOP, state=state, delta=d), 1, beside=DENSE) for d in SOP_SHARES
        ]
        measured = [goal.measured(results["table"]) for goal in goals_of_state]
        axes.plot(list(SOP_SHARES), measured, "o-", label=f"{state} points")
    axes.set(xlabel="delta (distance on the unit sphere)", ylabel="share of the time of X @ X.T")
    axes.set(title=f"A step of {SOP.points:,} points costs less than one product", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def _is_of_scale(row: dict[str, Any], scale: Case) -> bool:
    return all(row[key] == getattr(scale, key) for key in ("classes", "proxies_per_class", "width"))


def _table(rows: list[dict[str, Any]]) -> str:
    lines = ["| points | step | method | time | memory above the inputs |", "|---|---|---|---|---|"]
    for row in rows:
        step = f"{row['state']}, training" if row["training"] else row["state"]
        method = f"`{row['method']}`" + (f", delta {row['delta']}" if row["method"] == OURS else "")
        seconds, memory = _cost(row).split(", ")
        lines.append(f"| {row['points']:,} | {step} | {method} | {seconds} | {memory} |")
    return "\n".join(lines)


def _cost(row: dict[str, Any]) -> str:
    seconds = row["seconds"]
    duration = f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.1f} ms"
    return f"{duration}, {row['peak_mib']:.0f} MiB"


def _machine(environment: dict[str, Any]) -> str:
    """Processor, cores, threads, memory and torch version."""
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{environment['processor']}, {os.cpu_count()} cores, {environment['threads']} threads, "
        f"{gibibytes:.0f} GiB, torch {torch.__version__}"
    )


def write_documents(results: dict[str, Any]) -> None:
    """Write the page and its pictures."""
    plot(results, PLOT)
    plot_delta(results, DELTA_PLOT)
    write_text(PAGE, page(results))


if __name__ == "__main__":
    environment = describe_environment()
    environment["machine"] = _machine(environment)
    measured = {name: measure(group) for name, group in cases().items()}
    write_json(RESULTS, {"environment": environment, **measured})
    write_documents(read_json(RESULTS))
    print(*(_goal_line(goal, measured["table"]) for goal in goals()), sep="\n")
