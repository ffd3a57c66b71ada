"""Scores with their intervals, a line for each loss, the best on top."""

from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from benchmarks.loss_looks import look
from pml_potential.analysis.figure import new_figure


def interval_plot(
    scores: Mapping[str, Mapping[str, Any]],
    titles: Mapping[str, str],
    message: str,
    axis: str,
    untrained: float | None = None,
) -> Figure:
    """Draw means and 95% intervals.

    Args:
        scores: for each preset an interval, as ``confidence_interval`` gives it.
        titles: for each preset the name that is shown.
        message: the title.
        axis: label of the axis of scores.
        untrained: the score before training, drawn as a line.
    """
    order = sorted(scores, key=lambda preset: scores[preset]["mean"])
    figure = new_figure(8, 0.8 + 0.32 * len(order))
    axes = figure.subplots()
    for place, preset in enumerate(order):
        style = look(preset)
        axes.errorbar(
            scores[preset]["mean"],
            place,
            xerr=scores[preset]["half_width"] or 0.0,
            color=style["color"],
            marker=style["marker"],
            markersize=6,
            capsize=3,
            linewidth=2.0,
        )
    if untrained is not None:
        axes.axvline(untrained, color="#999999", linestyle=":", linewidth=1.2)
        axes.text(untrained, 0.0, " untrained", color="#777777", fontsize=8, va="center")
    axes.set_yticks(range(len(order)), [titles[preset] for preset in order])
    axes.set(xlabel=axis)
    figure.suptitle(message)
    axes.grid(axis="x", alpha=0.3)
    return figure
