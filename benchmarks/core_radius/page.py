"""The page, from the results alone: ``python -m benchmarks.core_radius.page``."""

from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template

from benchmarks.core_radius.settings import DATA, REGIME, SEEDS, SMALLEST_CORE, Run, cores, same_run
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
    """The result of a run that ``Run`` is built from."""
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
    """Scores of every core, of all seeds that there are."""
    rows = [
        [
            _setting(results, setting),
            _core(results, setting, core),
            *(
                _scores([_run(results, setting, core, data, seed=seed) for seed in SEEDS])
                for data in DATA
            ),
        ]
        for setting in _settings_of(results)
        for core in cores(setting)
    ]
    return TextTable(["setting", "core", *DATA], rows, 2).to_markdown()


def _settings_of(results: Results) -> list[str]:
    """B, the loss's defaults, is the first."""
    return sorted(results["settings"], reverse=True)


def _scores(found: list[dict[str, Any] | None]) -> str:
    each = [
        f"{entry['test'][PRIMARY_METRIC]:.3f} / {entry['test']['precision_at_1']:.3f}"
        for entry in found
        if entry is not None
    ]
    return ", ".join(each) or "not run"


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
    for data, weight_decay, plain_sum, clip in product(DATA, *[(False, True)] * 3):
        entry = _run(
            results,
            "B",
            SMALLEST_CORE,
            data,
            weight_decay=weight_decay,
            plain_sum=plain_sum,
            clip=clip,
        )
        if entry is not None and (data != "wrong labels" or weight_decay or plain_sum or clip):
            share = entry.get("share_of_gradient_beyond_clip")
            rows.append(
                [
                    data,
                    f"{REGIME['weight_decay']:g}" if weight_decay else "0",
                    "U" if plain_sum else "U / n",
                    f"at {REGIME['clip_value']:g}" if clip else "no",
                    _scores([entry]),
                    "–" if share is None else f"{share:.1%}",
                ]
            )
    titles = [
        "data",
        "weight decay",
        "loss",
        "clipping",
        "MAP@R / P@1",
        f"numbers beyond {REGIME['clip_value']:g}",
    ]
    return TextTable(titles, rows, 4).to_markdown()


if __name__ == "__main__":
    write_page()
