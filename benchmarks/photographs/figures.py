"""The study's figures, drawn from its results alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from pml_potential.analysis.figure import new_figure

# Okabe and Ito's colours without their yellow, which is hard to see on white.
COLOURS = {
    "potential_field": "#D55E00",
    "cpml": "#E69F00",
    "multi_similarity": "#0072B2",
    "proxy_anchor": "#009E73",
    "mean_field_contrastive": "#CC79A7",
    "mean_field_class_wise_multi_similarity": "#882255",
    "class_wise_multi_similarity": "#56B4E9",
    "contrastive": "#000000",
    "soft_triple": "#999933",
    "normalized_softmax": "#777777",
}
"""One colour for a loss in all figures."""

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
            color=COLOURS[preset],
            marker="o",
            markersize=4,
            capsize=2,
            linewidth=2.2 if preset == "potential_field" else 1.2,
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
                color=COLOURS[preset],
                linewidth=2.0 if preset == "potential_field" else 1.0,
                label=titles[preset] if number == 0 else None,
            )
    axes.set(title=message, xlabel="training steps", ylabel="validation MAP@R")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", fontsize=8)
    return figure
