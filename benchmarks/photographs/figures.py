"""The study's figures, drawn from its results alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmarks.loss_looks import look
from pml_potential.analysis.figure import new_figure

Line = Mapping[float, Mapping[str, Any]]
"""For each place on the horizontal axis a mean and half of its interval."""


def wrong_labels(lines: Mapping[str, Line], titles: Mapping[str, str], message: str) -> Figure:
    """Test MAP@R against the share of wrong labels, a line for each loss."""
    figure = new_figure(8, 4.4)
    axes = figure.subplots()
    for preset, line in lines.items():
        places = sorted(line)
        axes.errorbar(
            [100 * place for place in places],
            [line[place]["mean"] for place in places],
            [line[place]["half_width"] or 0.0 for place in places],
            **look(preset),
            markersize=5,
            capsize=2,
            label=titles[preset],
        )
    axes.set(title=message, xlabel="wrong labels, %", ylabel="test MAP@R, mean and 95% interval")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8)
    return figure


def curves(
    histories: Mapping[str, Sequence[Sequence[float]]],
    titles: Mapping[str, str],
    steps: int,
    message: str,
) -> Figure:
    """Validation MAP@R against training steps, a line for each training."""
    figure = new_figure(8, 4.4)
    axes = figure.subplots()
    for preset, found in histories.items():
        for number, history in enumerate(found):
            axes.plot(
                [steps * (epoch + 1) for epoch in range(len(history))],
                history,
                **look(preset),
                markersize=3,
                label=titles[preset] if number == 0 else None,
            )
    axes.set(title=message, xlabel="training steps", ylabel="validation MAP@R")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8)
    return figure
