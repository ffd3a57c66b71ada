"""The page and its figures, from the results alone: ``python -m benchmarks.photographs.page``."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean, median
from typing import Any

from jinja2 import StrictUndefined, Template

from benchmarks.interval_plot import interval_plot
from benchmarks.photographs import figures, headline, plan
from benchmarks.photographs.cells import read_part
from benchmarks.photographs.claims import answers, claims
from benchmarks.photographs.settings import (
    CANDIDATES,
    CARS,
    FEW_IMAGES,
    FEW_WRONG_LABELS,
    FROM_SCRATCH,
    FROM_SCRATCH_WRONG_LABELS,
    QUESTIONS,
    SEEDS,
    TRIALS,
    VARIANTS,
    WRONG_LABEL_SETTINGS,
    WRONG_LABELS,
    base_config,
)
from documentation.small_picture import shrink
from pml_potential.benchmark.evaluation import METRICS, PRIMARY_METRIC
from pml_potential.benchmark.files import write_text
from pml_potential.benchmark.report.formatting import interval, number
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.report.pairwise_tests import pairwise_differences
from pml_potential.benchmark.report.text_table import TextTable

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "photographs.md"
TEMPLATE = Path(__file__).with_name("page.md.j2")

IMAGES = "8,144"

NUMBER_OF_QUESTIONS = sum(map(len, QUESTIONS.values())) + len(VARIANTS)

PLANNED = {
    "search": ("Search", TRIALS * len(CANDIDATES)),
    "comparison": ("Comparison with right labels", len(SEEDS) * len(CANDIDATES)),
    "wrong_labels": ("Wrong labels", len(SEEDS) * plan.MOST_ROBUST * len(WRONG_LABELS)),
    "wrong_label_settings": (
        "Settings of PotentialFieldLoss with wrong labels",
        len(SEEDS) * len(WRONG_LABEL_SETTINGS),
    ),
    "questions": ("Settings of PotentialFieldLoss", len(SEEDS) * NUMBER_OF_QUESTIONS),
    "few_images": ("Many classes of three pictures", len(SEEDS) * (len(FEW_IMAGES) + 1)),
    "from_scratch": (
        "A network from scratch",
        2 * len(FROM_SCRATCH) * len(FROM_SCRATCH_WRONG_LABELS),
    ),
    "few_wrong_labels": (
        "Few wrong labels",
        len(SEEDS) * plan.MOST_ROBUST * len(FEW_WRONG_LABELS),
    ),
}
"""Parts of the study in their order, each with its title and how many trainings it has."""

TITLES = {preset: candidate.title for preset, candidate in CANDIDATES.items()}

WORDS: Mapping[str, Mapping[Any, str]] = {
    "model.head.start": {"random": "random head", "pca": "pca head"},
    "loss.initialize_proxies_after_epoch": {None: "random proxies", 0: "data-initialised proxies"},
}
"""Names of some values."""

Rows = Mapping[str, Any]


def page() -> str:
    """Write the page from the results so far."""
    template = Template(TEMPLATE.read_text(), undefined=StrictUndefined, keep_trailing_newline=True)
    parts = {part: read_part(part) for part in PLANNED}
    protocol = base_config("contrastive", CARS, "DATA").protocol
    rendered: str = template.render(
        done=sum(map(len, parts.values())),
        planned=sum(count for _, count in PLANNED.values()),
        untrained={
            start: {name: f"{scores[name][PRIMARY_METRIC]:.3f}" for name in ("validation", "test")}
            for start, scores in read_part("untrained").items()
        },
        headline=" ".join(headline.sentences(parts)) if headline.table(parts) else "",
        claims=_claims(parts),
        comparison=_comparison(parts["comparison"]) if _is_comparable(parts["comparison"]) else "",
        differences=_differences(parts["comparison"]),
        noise=_noise(parts),
        pull=read_part("pull"),
        noise_settings=_noise_settings(parts),
        search=_search(parts["search"]),
        questions=_questions(parts),
        few_images=_few_images(parts["few_images"]),
        from_scratch=_from_scratch(parts["from_scratch"]),
        images=IMAGES,
        seeds=len(SEEDS),
        trials=TRIALS,
        steps=protocol.iterations_per_epoch,
        patience=protocol.patience,
        longest=protocol.max_epochs,
        minutes=_minutes(parts.values()),
        plan=_plan(parts),
        files=[f"{part}.json" for part in ("untrained", *PLANNED, "pull") if read_part(part)],
    )
    return rendered


def write_page() -> None:
    """Write page and figures from the committed results."""
    write_text(PAGE, page())
    search, parts = read_part("search"), {part: read_part(part) for part in PLANNED}
    drawn = {}
    if search:
        best = {preset: [row["history"]] for preset, row in _best(search).items()}
        steps = base_config("contrastive", CARS, "DATA").protocol.iterations_per_epoch
        message = "Best trial of each loss on the validation classes"
        drawn["photographs_curves"] = figures.curves(best, TITLES, steps, message)
    if _is_comparable(parts["comparison"]):
        clean = _scores(parts["comparison"].values())
        drawn["photographs_losses"] = interval_plot(
            {preset: confidence_interval(scores) for preset, scores in clean.items()},
            TITLES,
            "Photographs of cars, right labels",
            f"test MAP@R, mean and 95% interval over {len(SEEDS)} seeds",
            read_part("untrained")["pca"]["test"][PRIMARY_METRIC],
        )
    if lines := _lines(parts):
        message = "Photographs of cars: what wrong labels cost"
        drawn["photographs_wrong_labels"] = figures.wrong_labels(lines, TITLES, message)
    for name, figure in drawn.items():
        path = DOCS / "images" / f"{name}.png"
        figure.savefig(path, dpi=110)
        shrink(path)


def _best(search: Rows) -> dict[str, Any]:
    """For each loss its best trial so far."""
    found = {}
    for preset in CANDIDATES:
        rows = [row for row in search.values() if row["preset"] == preset and "validation" in row]
        if rows:
            found[preset] = max(rows, key=lambda row: row["validation"])
    return found


def _claims(parts: Mapping[str, Rows]) -> str:
    return "\n".join(
        f"| {each.claim} | {each.verdict} | {each.measured} "
        f"([JSON](results/photographs/{each.file}.json)) |"
        for each in claims(parts)
    )


def _scores(rows: Iterable[Mapping[str, Any]], metric: str = PRIMARY_METRIC) -> dict[str, list[float]]:
    """Test scores of each loss."""
    found: dict[str, list[float]] = {}
    for row in rows:
        if "test" in row:
            found.setdefault(row["preset"], []).append(row["test"][metric])
    return found


def _is_comparable(rows: Rows) -> bool:
    """Whether every loss has at least two seeds: a part of the losses would mislead."""
    scores = _scores(rows.values())
    return set(scores) == set(CANDIDATES) and min(map(len, scores.values())) > 1


def _comparison(rows: Rows) -> str:
    scores = {metric: _scores(rows.values(), metric) for metric in METRICS}
    order = sorted(scores[PRIMARY_METRIC], key=lambda preset: -mean(scores[PRIMARY_METRIC][preset]))
    lines = [
        [
            TITLES[preset],
            *(interval(confidence_interval(scores[metric][preset])) for metric in METRICS),
            _what(_best(read_part("search"))[preset]["changes"]),
        ]
        for preset in order
    ]
    columns = ["loss", *(metric.title for metric in METRICS.values()), "setting"]
    return _markdown(columns, lines) if lines else ""


def _differences(rows: Rows) -> str:
    groups = {TITLES[preset]: values for preset, values in _scores(rows.values()).items()}
    if len(groups) < 2 or min(map(len, groups.values())) < 2:
        return ""
    apart = [each for each in pairwise_differences(groups) if each.is_significant]
    if not apart:
        return "No pair of losses differs by more than chance (Welch's t, Holm's correction)."
    lines = "\n".join(f"- {each.first} over {each.second}: {each.mean:+.3f}" for each in apart)
    return f"More than chance (Welch's t, Holm's correction at 5%):\n\n{lines}"


def _lines(parts: Mapping[str, Rows]) -> dict[str, figures.Line]:
    """For each loss with wrong labels the interval at each share."""
    noisy: dict[float, list[Any]] = {}
    for row in (*parts["wrong_labels"].values(), *parts["few_wrong_labels"].values()):
        noisy.setdefault(row["changes"]["dataset.label_noise"], []).append(row)
    shares = {0.0: list(parts["comparison"].values()), **noisy}
    chosen = {row["preset"] for row in parts["wrong_labels"].values()}
    return {
        preset: {
            share: confidence_interval(scores)
            for share, rows in sorted(shares.items())
            if (scores := _scores(rows).get(preset))
        }
        for preset in CANDIDATES
        if preset in chosen
    }


def _noise(parts: Mapping[str, Rows]) -> str:
    lines = _lines(parts)
    shares = sorted({share for line in lines.values() for share in line})
    order = sorted(lines, key=lambda preset: -mean(each["mean"] for each in lines[preset].values()))
    rows = [
        [
            TITLES[preset],
            *(
                interval(dict(line[share])) if share in (line := lines[preset]) else "–"
                for share in shares
            ),
            _kept(lines[preset]),
        ]
        for preset in order
    ]
    columns = ["loss", *(f"{share:.0%}" for share in shares), "kept at the highest"]
    return _markdown(columns, rows) if rows else ""


def _kept(line: figures.Line) -> str:
    return f"{line[max(line)]['mean'] / line[min(line)]['mean']:.0%}" if len(line) > 1 else "–"


def _noise_settings(parts: Mapping[str, Rows]) -> str:
    """Test scores of PotentialFieldLoss with wrong labels, in several settings."""
    share = WRONG_LABELS[0]
    groups = {"as above": [row for row in parts["wrong_labels"].values() if _is_ours(row, share)]}
    for name in WRONG_LABEL_SETTINGS:
        rows = parts["wrong_label_settings"]
        groups[name] = [rows[f"{name}-{seed}"] for seed in SEEDS if f"{name}-{seed}" in rows]
    lines = [
        [
            name,
            interval(confidence_interval([row["validation"] for row in rows])),
            interval(confidence_interval(_of(rows, PRIMARY_METRIC))),
            str(len(rows)),
        ]
        for name, rows in groups.items()
        if rows
    ]
    shown = sorted(lines, key=lambda line: line[1], reverse=True)
    columns = ["setting", "validation MAP@R", "test MAP@R", "seeds"]
    return _markdown(columns, shown) if len(lines) > 1 else ""


def _is_ours(row: Mapping[str, Any], share: float) -> bool:
    return bool(row["preset"] == "potential_field" and row["changes"]["dataset.label_noise"] == share)


def _search(rows: Rows) -> str:
    best = _best(rows)
    lines = [
        [
            TITLES[preset],
            f"{row['validation']:.4f}",
            str(row["best_epoch"]),
            ", ".join(_trials_of(preset, rows)),
            _what(row["changes"]),
        ]
        for preset, row in sorted(best.items(), key=lambda item: -item[1]["validation"])
    ]
    columns = ["loss", "best", "epoch", "all trials", "best setting"]
    return _markdown(columns, lines) if lines else ""


def _trials_of(preset: str, rows: Rows) -> Iterable[str]:
    found = (rows.get(f"{preset}-{number}") for number in range(TRIALS))
    return (f"{row['validation']:.3f}" if "validation" in row else "failed" for row in found if row)


def _questions(parts: Mapping[str, Rows]) -> dict[str, str]:
    found = {}
    lines = [
        [
            path.rpartition(".")[2],
            _shown(path, value),
            interval(confidence_interval(scores)),
            str(len(scores)),
        ]
        for path in (QUESTIONS if parts["questions"] else ())
        for value, scores in answers(parts, path).items()
    ]
    if lines:
        columns = ["key", "value", "validation MAP@R", "seeds"]
        found["One value at a time"] = _markdown(columns, lines)
    if lines := _variants(parts):
        found["Several values at once"] = _markdown(["variant", "validation MAP@R", "seeds"], lines)
    return found


def _variants(parts: Mapping[str, Rows]) -> list[list[str]]:
    rows = parts["questions"]
    groups = {
        title: [row for name, row in rows.items() if name.startswith(f"variant={variant}-")]
        for variant, (title, _changes) in VARIANTS.items()
    }
    as_it_is = [row for row in parts["comparison"].values() if row["preset"] == "potential_field"]
    lines = []
    for title, found in {"as above": as_it_is, **groups}.items():
        scores = [row["validation"] for row in found if "validation" in row]
        if scores:
            lines.append([title, interval(confidence_interval(scores)), str(len(scores))])
    return lines if any(groups.values()) else []


def _few_images(rows: Rows) -> str:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows.values():
        proxies = row["changes"].get("loss.params.proxies_per_class")
        noun = "proxy" if proxies == 1 else "proxies"
        title = TITLES[row["preset"]] + (f", {proxies} {noun} a class" if proxies else "")
        groups.setdefault(title, []).append(row)
    lines = [
        [
            title,
            *(interval(confidence_interval(_of(found, metric))) for metric in METRICS),
            str(len(_of(found, PRIMARY_METRIC))),
        ]
        for title, found in groups.items()
        if _of(found, PRIMARY_METRIC)
    ]
    lines.sort(key=lambda line: line[1], reverse=True)
    columns = ["loss", *(metric.title for metric in METRICS.values()), "seeds"]
    return _markdown(columns, lines) if lines else ""


def _of(rows: Iterable[Mapping[str, Any]], metric: str) -> list[float]:
    return [row["test"][metric] for row in rows if "test" in row]


def _from_scratch(rows: Rows) -> str:
    lines = []
    for preset in FROM_SCRATCH:
        cells = []
        for share in FROM_SCRATCH_WRONG_LABELS:
            found = [
                row
                for row in rows.values()
                if row["preset"] == preset and row["changes"]["dataset.label_noise"] == share
            ]
            scores = _of(found, PRIMARY_METRIC)
            single = " (one seed)" if len(scores) == 1 else ""
            cells.append(f"{interval(confidence_interval(scores))}{single}" if scores else "–")
        lines.append([TITLES[preset], *cells])
    columns = ["loss", *(f"{share:.0%}" for share in FROM_SCRATCH_WRONG_LABELS)]
    return _markdown(columns, lines) if rows else ""


def _what(changes: Mapping[str, Any]) -> str:
    """A setting in words, the numbers of the loss first."""
    flat = {**changes, **changes.get("loss.params", {})}
    flat.pop("loss.params", None)
    numbers = [
        f"{path.rpartition('.')[2]} {number(value)}" for path, value in flat.items() if path not in WORDS
    ]
    return ", ".join([*numbers, *(WORDS[path][flat[path]] for path in WORDS if path in flat)])


def _shown(path: str, value: Any) -> str:
    return WORDS[path][value] if path in WORDS else number(value)


def _minutes(parts: Iterable[Rows]) -> str:
    seconds = [row["seconds"] for rows in parts for row in rows.values() if "seconds" in row]
    return f"{median(seconds) / 60:.0f}" if seconds else "3"


def _plan(parts: Mapping[str, Rows]) -> str:
    rows = [[title, str(count), str(len(parts[part]))] for part, (title, count) in PLANNED.items()]
    return _markdown(["part", "trainings", "done"], rows)


def _markdown(columns: list[str], rows: list[list[str]]) -> str:
    return TextTable(columns, rows, text_columns=1).to_markdown()


if __name__ == "__main__":
    write_page()
