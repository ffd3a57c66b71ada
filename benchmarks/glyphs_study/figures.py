"""The study's figures, drawn from its results alone."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.glyphs_study.settings import CONVERGENCE
from benchmarks.interval_plot import interval_plot
from benchmarks.loss_looks import look
from pml_potential.analysis.figure import new_figure
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.experiments.studies import Point, Study

ITERATIONS = CONVERGENCE["protocol.iterations_per_epoch"]

_STARTS = {"random": ("random proxies", "--"), "in the data": ("data-initialised proxies", "-")}


def draw_figures(results: dict[str, Any]) -> dict[str, Figure]:
    """Each figure by the name of its file."""
    return {
        "study_losses": _losses(results),
        "study_noise": _noise(results),
        "study_convergence": _convergence(results),
        "study_settings": _settings(results),
    }


def _losses(results: dict[str, Any]) -> Figure:
    runs = results["runs"]
    trained = {
        preset: run["test"]["trained"]["separated"][PRIMARY_METRIC] for preset, run in runs.items()
    }
    untrained = runs["contrastive"]["test"]["untrained"]["separated"][PRIMARY_METRIC]["mean"]
    message = "Letters, a head on frozen features: three losses with proxies lead"
    axis = "test MAP@R, mean and 95% interval over 5 reproductions"
    return interval_plot(trained, _titles(results), message, axis, untrained)


def _noise(results: dict[str, Any]) -> Figure:
    figure = new_figure(9, 4.2)
    axes = figure.subplots()
    for preset, points in Study.from_json(results["noise"]).series.items():
        _line(axes, points, 100, label=_titles(results)[preset], **look(preset))
    axes.set(
        title="Letters: what wrong labels cost",
        xlabel="wrong labels, %",
        ylabel="test MAP@R, mean and 95% interval",
    )
    figure.legend(loc="outside right center", fontsize=8)
    return figure


def _convergence(results: dict[str, Any]) -> Figure:
    figure = new_figure(11, 4.2)
    panels = figure.subplots(1, 2)
    titles = {
        PRIMARY_METRIC: "Score: MAP@R on the validation classes",
        "proxy_alignment": "Proxies: W2 to the training data",
    }
    for axes, (name, title) in zip(panels, titles.items(), strict=True):
        for preset, found in results["convergence"].items():
            if name in found["curves"]:
                values = [point["mean"] for point in found["curves"][name]]
                places = [ITERATIONS * (epoch + 1) for epoch in range(len(values))]
                label = _titles(results)[preset]
                axes.plot(places, values, label=label, markersize=4, **look(preset))
        axes.set(title=title, xlabel="training steps")
        axes.grid(alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    return figure


def _settings(results: dict[str, Any]) -> Figure:
    figure = new_figure(11, 3.6)
    panels = figure.subplots(1, 3, sharey=True)
    names = {
        "loss.params.alpha": "alpha",
        "loss.params.delta": "delta",
        "loss.params.proxies_per_class": "proxies per class",
    }
    color = look("potential_field")["color"]
    for axes, (path, name) in zip(panels, names.items(), strict=True):
        for start, points in Study.from_json(results["ablations"][path]).series.items():
            label, dashes = _STARTS[start]
            _line(axes, points, 1, label=label, color=color, linestyle=dashes, marker="o")
        axes.set(xlabel=name)
    panels[0].set_ylabel("test MAP@R, mean and 95% interval")
    figure.suptitle("PotentialFieldLoss on letters: alpha up to 4 hardly matters, delta does")
    figure.legend(
        *panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=8
    )
    return figure


def _line(axes: Axes, points: list[Point], scale: int, **style: Any) -> None:
    """Test scores against a value."""
    found = [(float(point.value) * scale, point.test) for point in points if point.test]
    axes.errorbar(
        [place for place, _ in found],
        [score["mean"] for _, score in found],
        [score["half_width"] or 0.0 for _, score in found],
        markersize=5,
        capsize=2,
        **style,
    )
    axes.grid(alpha=0.3)


def _titles(results: dict[str, Any]) -> dict[str, str]:
    return {preset: run["loss"] for preset, run in results["runs"].items()}
