"""The study's figures, drawn from its results alone."""

from typing import Any

from matplotlib.figure import Figure

from benchmarks.glyphs_study.settings import CONVERGENCE
from pml_potential.analysis.figure import new_figure
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.experiments.studies import Study

# Paul Tol's muted colours: ten that readers with weak colour vision tell apart.
_COLOURS = (
    *("#CC6677", "#332288", "#DDCC77", "#117733", "#88CCEE"),
    *("#882255", "#44AA99", "#999933", "#AA4499", "#777777"),
)
ITERATIONS = CONVERGENCE["protocol.iterations_per_epoch"]
_LINES = ("-", "--", ":")


def draw_figures(results: dict[str, Any]) -> dict[str, Figure]:
    """Each figure by the name of its file."""
    figures = {
        "study_noise": _renamed(Study.from_json(results["noise"]), results).figure(11),
        "study_convergence": _convergence(results),
        "study_delta_from_scratch": Study.from_json(results["from_scratch"]).figure(),
    }
    for path, content in results["ablations"].items():
        figures[f"study_{path.rpartition('.')[2]}"] = Study.from_json(content).figure(10)
    return figures


def _renamed(study: Study, results: dict[str, Any]) -> Study:
    names = {preset: run["loss"] for preset, run in results["runs"].items()}
    return Study(study.path, {names[key]: points for key, points in study.series.items()}, {})


def _convergence(results: dict[str, Any]) -> Figure:
    figure = new_figure(11, 4.2)
    panels = figure.subplots(1, 2)
    titles = {
        PRIMARY_METRIC: "MAP@R, validation classes",
        "proxy_alignment": "proxies to training data, W2",
    }
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        for index, (preset, found) in enumerate(results["convergence"].items()):
            if name in found["curves"]:
                values = [point["mean"] for point in found["curves"][name]]
                axes.plot(
                    [ITERATIONS * (epoch + 1) for epoch in range(len(values))],
                    values,
                    color=_COLOURS[index % len(_COLOURS)],
                    linestyle=_LINES[index % len(_LINES)],
                    label=results["runs"][preset]["loss"],
                )
        axes.set(title=title, xlabel="iterations")
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return figure
