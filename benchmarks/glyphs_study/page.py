"""The page and its figures, from the results alone: ``python -m benchmarks.glyphs_study.page``."""

from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template

from benchmarks.glyphs_study.figures import ITERATIONS, draw_figures
from benchmarks.glyphs_study.settings import GRIDS, RUNS
from documentation.small_picture import shrink
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.experiments.studies import Point, Study
from pml_potential.benchmark.files import read_json, write_text
from pml_potential.benchmark.report.formatting import interval, number
from pml_potential.benchmark.report.run_analysis import MEASURES
from pml_potential.benchmark.report.text_table import TextTable

DOCS = Path(__file__).parents[2] / "docs"
RESULTS = DOCS / "results" / "glyphs_study.json"
PAGE = DOCS / "glyphs_study.md"
TEMPLATE = Path(__file__).with_name("page.md.j2")


def page(results: dict[str, Any]) -> str:
    """Write the page."""
    results = _worded(results)
    template = Template(TEMPLATE.read_text(), undefined=StrictUndefined, keep_trailing_newline=True)
    rendered: str = template.render(
        pairs=_pairs(results),
        scores=_scores(results),
        gain={preset: _gain(results, preset) for preset in results["runs"]},
        test={preset: interval(_test(run)) for preset, run in results["runs"].items()},
        kept={name: _kept(points) for name, points in Study.from_json(results["noise"]).series.items()},
        w2={
            preset: interval(found["proxy_alignment"])
            for preset, found in results["analysis"].items()
            if found["proxy_alignment"]
        },
        best=_best(results),
        noise=_noise(results),
        analysis=_analysis(results),
        convergence=_convergence(results),
        iterations=ITERATIONS,
        ablations={path: _ablation(results["ablations"][path]) for path in GRIDS},
        from_scratch=_ablation(results["from_scratch"]),
        scale={name: interval(value) for name, value in results["scale_at_start"].items()},
        commits=results["commits"],
        minutes={
            run["loss"]: round(
                (run["cost"]["search"]["seconds"] + run["cost"]["reproductions"]["seconds"]) / 60
            )
            for run in results["runs"].values()
        },
    )
    return rendered


def _worded(results: dict[str, Any]) -> dict[str, Any]:
    """The results with the field's term, data-initialised proxies."""
    runs = {
        preset: {**run, "loss": run["loss"].replace("proxies in the data", "data-initialised proxies")}
        for preset, run in results["runs"].items()
    }
    return {**results, "runs": runs}


def _test(run: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = run["test"]["trained"]["separated"][PRIMARY_METRIC]
    return found


def _kept(points: list[Point]) -> str:
    """Share of the clean score that is kept at the highest level of noise."""
    first, last = points[0].test, points[-1].test
    return f"{last['mean'] / first['mean']:.0%}" if first and last else "nothing"


def write_page() -> None:
    """Write page and figures from the committed results."""
    results = read_json(RESULTS)
    write_text(PAGE, page(results))
    for name, figure in draw_figures(_worded(results)).items():
        path = DOCS / "images" / f"{name}.png"
        figure.savefig(path, dpi=110)
        shrink(path)


def _pairs(results: dict[str, Any]) -> str:
    """The result of the test for every pair."""
    text: str = results["comparison"]
    for preset, run in results["runs"].items():
        loss, _, _ = run["loss"].partition(",")
        text = text.replace(f"{loss} ({RUNS / 'noise' / preset}-0)", run["loss"])
    *_, differences, method = text.split("\n\n")
    return f"{differences}\n\n{method}"


def _scores(results: dict[str, Any]) -> str:
    """A line for each loss, and one for the head before training."""
    runs = sorted(results["runs"].values(), key=lambda run: -_test(run)["mean"])
    lines = [(run["loss"], run["test"]["trained"]) for run in runs]
    lines.append(("untrained", runs[0]["test"]["untrained"]))
    columns = (
        ("separated", PRIMARY_METRIC),
        ("concatenated", PRIMARY_METRIC),
        ("separated", "precision_at_1"),
    )
    return "\n".join(
        f"| {' | '.join([title, *(interval(scores[kind][metric]) for kind, metric in columns)])} |"
        for title, scores in lines
    )


def _gain(results: dict[str, Any], preset: str) -> str:
    run = results["runs"][preset]
    untrained = run["test"]["untrained"]["separated"][PRIMARY_METRIC]["mean"]
    return f"{_test(run)['mean'] - untrained:.2f}"


def _best(results: dict[str, Any]) -> str:
    rows = []
    for run in sorted(results["runs"].values(), key=lambda run: -run["validation"]):
        params = ", ".join(
            f"{path.split('.', 1)[1].removeprefix('params.')} {number(value)}"
            for path, value in run["params"].items()
        )
        rows.append([run["loss"], params, f"{run['validation']:.4f}", str(run["failed_trials"])])
    return _markdown(["loss", "best of 20 trials", "validation MAP@R", "failed trials"], rows, 2)


def _noise(results: dict[str, Any]) -> str:
    study = Study.from_json(results["noise"])
    table = study.table("test")
    rows = [
        [results["runs"][preset]["loss"], *scores, _kept(study.series[preset])]
        for preset, *scores in table.rows
    ]
    rows.sort(key=lambda row: row[-2], reverse=True)
    return _markdown(["wrong labels", *table.columns[1:], "kept"], rows, 1)


def _analysis(results: dict[str, Any]) -> str:
    """Two tables, of distances and of spread: one would be wider than a screen."""
    shown = [name for name in MEASURES if name != "epochs_to_95_percent"]
    return "\n\n".join(_measures(results, names) for names in (shown[:4], shown[4:]))


def _measures(results: dict[str, Any], names: list[str]) -> str:
    rows = [
        [
            results["runs"][preset]["loss"],
            *("–" if found[name] is None else f"{found[name]['mean']:.3f}" for name in names),
        ]
        for preset, found in results["analysis"].items()
    ]
    return _markdown(["loss", *(MEASURES[name] for name in names)], rows, 1)


def _convergence(results: dict[str, Any]) -> str:
    rows = []
    for preset, found in results["convergence"].items():
        curve, aligned = (found["curves"].get(name) for name in (PRIMARY_METRIC, "proxy_alignment"))
        best = max(curve, key=lambda point: point["mean"])
        rows.append(
            [
                results["runs"][preset]["loss"],
                _iterations(found["epochs_to_95_percent"]),
                interval(best),
                "–" if aligned is None else f"{aligned[0]['mean']:.3f}",
                "–" if aligned is None else f"{aligned[-1]['mean']:.3f}",
            ]
        )
    rows.sort(key=lambda row: float(row[1].split()[0]))
    titles = [
        "loss",
        "iterations to 95%",
        "best validation MAP@R",
        f"W2 after {ITERATIONS} iterations",
        "W2 at the end",
    ]
    return _markdown(titles, rows, 1)


def _iterations(epochs: dict[str, Any]) -> str:
    return f"{epochs['mean'] * ITERATIONS:.0f} ± {epochs['half_width'] * ITERATIONS:.0f}"


def _ablation(content: dict[str, Any]) -> str:
    study = Study.from_json(content)
    rows = [
        [
            series,
            number(point.value),
            *(
                "failed" if score is None else interval(score)
                for score in (point.validation, point.test)
            ),
        ]
        for series, points in study.series.items()
        for point in points
    ]
    return _markdown(
        ["proxies", study.path.rpartition(".")[2], "validation MAP@R", "test MAP@R"], rows, 1
    )


def _markdown(titles: list[str], rows: list[list[str]], text_columns: int) -> str:
    return TextTable(titles, rows, text_columns).to_markdown()


if __name__ == "__main__":
    write_page()
