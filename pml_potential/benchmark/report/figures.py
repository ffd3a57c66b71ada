"""The figures of a report."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import plotly.graph_objects as go

_PRIMARY = "mean_average_precision_at_r"
_BLUE, _ORANGE, _GREY = "#2a6fbb", "#d9822b", "#8a94a0"
_FOLD_COLOURS = ("#2a6fbb", "#d9822b", "#3c9d6b", "#a0528f", "#7d6b4f", "#4aa6b5")
_LAYOUT = {
    "template": "plotly_white",
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"family": "system-ui, sans-serif", "size": 14, "color": "#5b6673"},
    "margin": {"l": 70, "r": 20, "t": 20, "b": 60},
    "height": 360,
    "legend": {"orientation": "h", "y": 1.12},
}


def search_history(results: dict[str, Any]) -> go.Figure:
    """Score of each trial, its folds, and the best so far."""
    trials = [trial for trial in results["trials"] if trial["validation_map_at_r"] is not None]
    numbers = [trial["number"] + 1 for trial in trials]
    scores = [trial["validation_map_at_r"] for trial in trials]
    figure = go.Figure(layout=_LAYOUT)
    points = [(t["number"] + 1, fold["score"]) for t in trials for fold in t["folds"]]
    figure.add_scatter(
        x=[point[0] for point in points],
        y=[point[1] for point in points],
        mode="markers",
        name="one fold",
        marker={"color": _GREY, "size": 6, "opacity": 0.6},
    )
    figure.add_scatter(
        x=numbers, y=scores, mode="markers", name="mean", marker={"color": _BLUE, "size": 11}
    )
    figure.add_scatter(
        x=numbers,
        y=list(accumulate(scores, max)),
        mode="lines",
        name="best so far",
        line={"color": _ORANGE, "shape": "hv"},
    )
    failed = [trial["number"] + 1 for trial in results["trials"] if trial["failure"]]
    if failed:
        figure.add_scatter(
            x=failed,
            y=[min(scores)] * len(failed),
            mode="markers",
            name="failed",
            marker={"color": "#c0392b", "size": 11, "symbol": "x"},
        )
    figure.update_xaxes(title="trial", dtick=max(1, len(results["trials"]) // 10))
    figure.update_yaxes(title="validation MAP@R")
    return figure


def parameter_importance(results: dict[str, Any]) -> go.Figure:
    """Share of each hyperparameter in what tells the best trials from the others."""
    shares = sorted(results["importance"].items(), key=lambda item: item[1])
    figure = go.Figure(layout=_LAYOUT | {"height": 140 + 45 * len(shares)})
    figure.add_bar(
        x=[share for _, share in shares],
        y=[name for name, _ in shares],
        orientation="h",
        marker={"color": _BLUE},
    )
    figure.update_xaxes(title="importance (PED-ANOVA, shares of 1)", range=[0, 1])
    figure.update_yaxes(automargin=True)
    return figure


def parameter_slices(results: dict[str, Any]) -> go.Figure:
    """Score of each trial against each hyperparameter."""
    ranges = results["config"]["search"]
    trials = [trial for trial in results["trials"] if trial["validation_map_at_r"] is not None]
    width = 1 / len(ranges)
    figure = go.Figure(layout=_LAYOUT | {"showlegend": False})
    for place, (path, found) in enumerate(ranges.items()):
        axis = "" if place == 0 else str(place + 1)
        figure.add_scatter(
            x=[trial["params"][path] for trial in trials],
            y=[trial["validation_map_at_r"] for trial in trials],
            mode="markers",
            marker={"color": _BLUE, "size": 10},
            xaxis=f"x{axis}",
        )
        figure.layout[f"xaxis{axis}"] = {
            "title": path,
            "type": "log" if found["log"] else "linear",
            "domain": [place * width + 0.02, (place + 1) * width - 0.02],
        }
    figure.update_yaxes(title="validation MAP@R")
    return figure


def learning_curves(pieces: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> go.Figure:
    """Validation MAP@R by epoch, a line a fold; the best epoch is marked.

    Args:
        pieces: trials or reproductions, each with a name and its folds.
    """
    figure = go.Figure(layout=_LAYOUT)
    dashes = ("solid", "dash", "dot", "dashdot")
    for piece, (name, folds) in enumerate(pieces):
        for number, fold in enumerate(folds):
            colour = _FOLD_COLOURS[number % len(_FOLD_COLOURS)]
            epochs = [entry["epoch"] for entry in fold["history"]]
            best = epochs.index(fold["best_epoch"])
            figure.add_scatter(
                x=epochs,
                y=[entry[_PRIMARY] for entry in fold["history"]],
                mode="lines+markers",
                name=f"{name}, fold {number + 1}",
                line={"color": colour, "dash": dashes[piece % len(dashes)]},
                marker={"size": [11 if place == best else 5 for place in range(len(epochs))]},
            )
    figure.update_layout(height=420, legend={"orientation": "v", "y": 1.0})
    figure.update_xaxes(title="epoch", rangemode="tozero")
    figure.update_yaxes(title="validation MAP@R")
    return figure
