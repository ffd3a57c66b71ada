"""The page, from the results alone: ``python -m benchmarks.core_radius.page``."""

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template

from benchmarks.core_radius.settings import (
    DATA,
    NEAR,
    REGIME,
    REPLICATES,
    SMALLEST_CORE,
    Run,
    cores,
    same_run,
)
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.files import read_json, write_text
from pml_potential.benchmark.report.text_table import TextTable

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "results" / "core_radius.json"
PAGE = DOCS / "core_radius.md"
TEMPLATE = Path(__file__).with_name("page.md.j2")

Results = dict[str, Any]
"""What ``docs/results/core_radius.json`` holds."""


def page(results: Results) -> str:
    """Write the page."""
    template = Template(TEMPLATE.read_text(), undefined=StrictUndefined, keep_trailing_newline=True)
    rendered: str = template.render(
        regime=results["regime"],
        settings=results["settings"],
        adam={(row["setting"], row["core_radius"]): row for row in results["adam"]},
        run=partial(_run, results),
        gains=partial(_gains, results),
        start=results["before_training"],
        near=NEAR,
        summary={name: _summary(results, name) for name in results["settings"]},
        runs=len(results["runs"]),
        cores_table=_cores_table(results),
        adam_table=_adam_table(results),
        scale_table=_scale_table(results),
    )
    return rendered


def write_page() -> None:
    """Write the page from the committed results."""
    write_text(PAGE, page(read_json(RESULTS)))


def _run(results: Results, *values: Any, **named: Any) -> dict[str, Any] | None:
    """The result of the run with these arguments of ``Run``."""
    return same_run(Run(*values, **named), results["runs"])


def _setting(results: Results, name: str) -> str:
    setting = results["settings"][name]
    return f"{name}: alpha {setting['alpha']:g}, delta {setting['delta']:g}"


def _core(results: Results, setting: str, core: float) -> str:
    """A core in words: the distance, and the share of delta where it is a round one."""
    quotient = results["settings"][setting]["delta"] / core
    share = {1.0: "delta", 2.0: "delta / 2", 4.0: "delta / 4"}.get(round(quotient, 6))
    return f"{core:g}" if share is None else f"{core:g} = {share}"


def _cores_table(results: Results) -> str:
    """Scores of every core; only runs with the same seed and proxies are comparable in detail."""
    rows = []
    for setting, (replicate, same) in product(_settings_of(results), REPLICATES.items()):
        for core in cores(setting):
            found = [_run(results, setting, core, data, **same) for data in DATA]
            if any(found):
                each = [_scores(entry) for entry in found]
                rows.append([setting, replicate, _core(results, setting, core), *each])
    return TextTable(["setting", "random numbers", "core", *DATA], rows, 3).to_markdown()


def _settings_of(results: Results) -> list[str]:
    """B, the loss's defaults, comes first."""
    return sorted(results["settings"], reverse=True)


def _summary(results: Results, setting: str) -> dict[str, dict[str, Any] | None]:
    """Runs with the same random numbers: the smallest core on clean data, and two cores on copies."""
    same = REPLICATES[{"A": "seed 0, other proxies", "B": "seed 0"}[setting]]
    half = results["settings"][setting]["delta"] / 2
    return {
        "clean": _run(results, setting, SMALLEST_CORE, **same),
        "smallest": _run(results, setting, SMALLEST_CORE, "copies", **same),
        "half": _run(results, setting, half, "copies", **same),
    }


def _gains(results: Results, share: float, over: float | None, *data: str) -> list[float]:
    """Gain in MAP@R of one core over another, for each pair of runs with the same random numbers.

    Args:
        results: of all runs.
        share: the core, as a share of delta.
        over: the other core, as a share of delta, or None for the smallest.
        data: the kinds of training data.
    """
    gains = []
    for setting, kind, same in product(results["settings"], data, REPLICATES.values()):
        delta = results["settings"][setting]["delta"]
        other = SMALLEST_CORE if over is None else over * delta
        pair = [_run(results, setting, core, kind, **same) for core in (share * delta, other)]
        scores = [entry["test"][PRIMARY_METRIC] for entry in pair if entry is not None]
        if len(scores) == len(pair):
            gains.append(scores[0] - scores[1])
    return gains


def _scores(entry: dict[str, Any] | None) -> str:
    if entry is None:
        return "–"
    return f"{entry['test'][PRIMARY_METRIC]:.4f} / {entry['test']['precision_at_1']:.3f}"


def _adam_table(results: Results) -> str:
    rows = [
        [
            _setting(results, row["setting"]),
            _core(results, row["setting"], row["core_radius"]),
            f"{row['gradient']:,.1f}" if row["gradient"] < 1000 else f"{row['gradient']:,.0f}",
            f"{row['smallest_share']:.1%}",
            f"{row['share_after_3000']:.1%}",
            f"{row['steps_to_half']:,}",
        ]
        for row in sorted(results["adam"], key=lambda row: str(row["setting"]), reverse=True)
    ]
    titles = ["setting", "core", "gradient", "smallest step", "step 3,000 later", "steps below half"]
    return TextTable(titles, rows, 2).to_markdown()


def _scale_table(results: Results) -> str:
    """U and U / n, with and without clipping and weight decay."""
    rows = []
    for data, replicate in product(("clean", "copies"), REPLICATES):
        for weight_decay, plain_sum, clip in product((False, True), repeat=3):
            changes = {"weight_decay": weight_decay, "plain_sum": plain_sum, "clip": clip}
            entry = _run(results, "B", SMALLEST_CORE, data, **changes, **REPLICATES[replicate])
            if entry is not None:
                share = entry.get("share_of_gradient_beyond_clip")
                rows.append(
                    [
                        f"{data}, {replicate}",
                        f"{REGIME['weight_decay']:g}" if weight_decay else "0",
                        "U" if plain_sum else "U / n",
                        f"at {REGIME['clip_value']:g}" if clip else "no",
                        _scores(entry),
                        "–" if share is None else f"{share:.1%}",
                    ]
                )
    beyond = f"beyond {REGIME['clip_value']:g}"
    titles = ["data", "weight decay", "loss", "clipping", "MAP@R / P@1", beyond]
    return TextTable(titles, rows, 4).to_markdown()


if __name__ == "__main__":
    write_page()
