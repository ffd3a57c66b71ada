"""The page, from the results alone: ``python -m benchmarks.core_radius.page``."""

from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template

from benchmarks.core_radius.settings import DATA
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
        runs=len(results["runs"]),
        commits=sorted({entry["commit"] for entry in results["runs"]}),
        cores=_cores(results),
        adam=_adam(results),
        scale=_scale(results),
    )
    return rendered


def write_page() -> None:
    """Write the page from the committed results."""
    write_text(PAGE, page(read_json(RESULTS)))


def _is_plain(run: dict[str, Any]) -> bool:
    return not (run["plain_sum"] or run["clip"] or run["weight_decay"])


def _core(results: Results, setting: str, core: float) -> str:
    """A core in words: the distance, and the share of delta where it is a round one."""
    quotient = results["settings"][setting]["delta"] / core
    shares = {1.0: "delta", 2.0: "delta / 2", 4.0: "delta / 4"}
    share = shares.get(round(quotient, 6))
    return f"{core:g}" if share is None else f"{core:g} = {share}"


def _setting(results: Results, name: str) -> str:
    setting = results["settings"][name]
    return f"{name}: alpha {setting['alpha']:g}, delta {setting['delta']:g}"


def _cores(results: Results) -> str:
    """Scores of every core; where there are several seeds, all of them."""
    rows = []
    for setting in sorted(results["settings"], reverse=True):
        plain = [
            entry
            for entry in results["runs"]
            if entry["run"]["setting"] == setting and _is_plain(entry["run"])
        ]
        for core in sorted({entry["run"]["core_radius"] for entry in plain}):
            row = [_setting(results, setting), _core(results, setting, core)]
            for data in DATA:
                found = [
                    entry["test"]
                    for entry in plain
                    if (entry["run"]["core_radius"], entry["run"]["data"]) == (core, data)
                ]
                row.append(_scores(found))
            rows.append(row)
    return TextTable(["setting", "core", *DATA], rows, 2).to_markdown()


def _scores(found: list[dict[str, float]]) -> str:
    each = [f"{scores[PRIMARY_METRIC]:.4f} / {scores['precision_at_1']:.3f}" for scores in found]
    return ", ".join(each) or "–"


def _adam(results: Results) -> str:
    rows = [
        [
            _setting(results, row["setting"]),
            _core(results, row["setting"], row["core_radius"]),
            f"{row['gradient']:.2g}",
            _percent(row["smallest_share"]),
            _percent(row["share_after_3000"]),
            "more than 19,940" if row["steps_to_half"] is None else f"{row['steps_to_half']:,}",
        ]
        for row in sorted(results["adam"], key=lambda row: row["setting"], reverse=True)
    ]
    titles = ["setting", "core", "gradient", "smallest step", "step 3,000 later", "steps until half"]
    return TextTable(titles, rows, 2).to_markdown()


def _percent(share: float) -> str:
    return f"{share:.3g}" if share < 1e-3 else f"{share:.1%}"


def _scale(results: Results) -> str:
    runs = {}
    for entry in results["runs"]:
        run = entry["run"]
        if (run["setting"], run["data"], run["core_radius"], run["seed"]) == ("B", "clean", 0.01, 0):
            runs[run["plain_sum"], run["weight_decay"], run["clip"]] = entry
    rows = []
    for (plain_sum, weight_decay, clip), entry in sorted(runs.items()):
        last = entry["history"][-1]
        rows.append(
            [
                "U" if plain_sum else "U / n",
                "1e-4" if weight_decay else "0",
                "at 10" if clip else "no",
                _scores([entry["test"]]),
                f"{last['trunk_step']:.2g}, {last['head_step']:.2g}, {last['proxies_step']:.2g}",
            ]
        )
    titles = ["loss", "weight decay", "clipping", "MAP@R / P@1", "last step of trunk, head, proxies"]
    return TextTable(titles, rows, 3).to_markdown()


if __name__ == "__main__":
    write_page()
