"""The figures of reports, drawn as they are saved: black on white. A page gives them its own colours."""

from collections.abc import Sequence
from html import escape
from itertools import accumulate
from statistics import mean
from typing import Any

import plotly.graph_objects as go

from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.report.comparison import Comparison
from pml_potential.benchmark.report.results import embedding_kinds

_BLUE, _ORANGE, _GREY, _RED = "#2a6fbb", "#d9822b", "#7f8a96", "#d43d3d"
_COLOURS = (_BLUE, _ORANGE, "#3c9d6b", "#b065a3", "#9a8560", "#3f9aa8")
"""Colours of the folds of one trial, of reproductions, of classes."""
_LAYOUT = {
    "template": "plotly_white",
    "paper_bgcolor": "#ffffff",
    "plot_bgcolor": "#ffffff",
    "font": {"family": "system-ui, sans-serif", "size": 14, "color": "#1d2630"},
    "margin": {"l": 70, "r": 20, "t": 20, "b": 60},
    "height": 360,
    "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
}
_VALIDATION = "validation MAP@R"

MOST_COLOURED = 6
"""How many of the hardest classes have a colour on a map."""


def search_history(results: dict[str, Any]) -> go.Figure:
    """Score of each trial, its folds, and the best so far."""
    trials = _scored(results)
    numbers = [trial["number"] + 1 for trial in trials]
    scores = [trial["validation_map_at_r"] for trial in trials]
    figure = go.Figure(layout=_LAYOUT)
    points = [(t["number"] + 1, fold["score"]) for t in trials for fold in t["folds"]]
    figure.add_scatter(
        x=[point[0] for point in points],
        y=[point[1] for point in points],
        mode="markers",
        name="one fold",
        marker={"color": _GREY, "size": 6, "opacity": 0.7},
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
            marker={"color": _RED, "size": 11, "symbol": "x"},
        )
    figure.update_xaxes(title="trial", dtick=max(1, len(results["trials"]) // 10))
    figure.update_yaxes(title=_VALIDATION)
    return figure


def parameter_importance(results: dict[str, Any]) -> go.Figure:
    """Importance of each hyperparameter in separating the best trials from the others."""
    shares = sorted(results["importance"].items(), key=lambda item: item[1])
    figure = go.Figure(layout=_LAYOUT | {"height": 140 + 45 * len(shares)})
    figure.add_bar(
        x=[share for _, share in shares],
        y=[name for name, _ in shares],
        orientation="h",
        marker={"color": _BLUE},
    )
    figure.update_xaxes(title="share of importance", range=[0, 1])
    figure.update_yaxes(title="hyperparameter", automargin=True)
    return figure


def parameter_slice(results: dict[str, Any], path: str) -> go.Figure:
    """Score of each trial against one hyperparameter."""
    trials = _scored(results)
    figure = go.Figure(layout=_LAYOUT | {"height": 320})
    figure.add_scatter(
        x=[trial["params"][path] for trial in trials],
        y=[trial["validation_map_at_r"] for trial in trials],
        mode="markers",
        marker={"color": _BLUE, "size": 10},
    )
    searched = results["config"]["search"][path]
    scale = "log" if searched["log"] else "linear"
    if searched.get("choices"):
        scale = "category"
    figure.update_xaxes(
        title=f"{path} (log scale)" if scale == "log" else path,
        type=scale,
        nticks=6,
        exponentformat="power",
    )
    figure.update_yaxes(title=_VALIDATION)
    return figure


def learning_curves(
    pieces: Sequence[tuple[str, Sequence[dict[str, Any]]]], protocol_folds: int
) -> go.Figure:
    """MAP@R by epoch: a thin line a fold, its best epoch a dot, and the mean of all lines thick.

    Each piece has a colour; if there is only one, each fold. The mean ends with the shortest line:
    beyond it, the mean would change with the lines that remain.

    Args:
        pieces: trials or reproductions, each with a name and its folds.
        protocol_folds: folds of the protocol. A single one is scored on the test classes.
    """
    figure = go.Figure(layout=_LAYOUT | {"height": 420})
    lines: list[dict[float, float]] = []
    named: set[str] = set()
    for piece, (name, folds) in enumerate(pieces):
        for number, fold in enumerate(folds):
            line = {entry["epoch"]: entry[PRIMARY_METRIC] for entry in fold["history"]}
            lines.append(line)
            place, label = (piece, name) if len(pieces) > 1 else (number, f"fold {number + 1}")
            figure.add_scatter(
                x=list(line),
                y=list(line.values()),
                mode="lines+markers",
                name=label,
                legendgroup=label,
                showlegend=label not in named and (len(pieces) > 1 or protocol_folds > 1),
                hovertemplate=f"{name}, fold {number + 1}, epoch %{{x}}: %{{y:.4f}}<extra></extra>",
                line={"color": _COLOURS[place % len(_COLOURS)], "width": 1.5},
                opacity=0.75,
                marker={"size": [7 if epoch == fold["best_epoch"] else 0 for epoch in line]},
            )
            named.add(label)
    if len(lines) > 1:
        common = sorted(set.intersection(*(set(line) for line in lines)))
        figure.add_scatter(
            x=common,
            y=[mean(line[epoch] for line in lines) for epoch in common],
            mode="lines+markers",
            name=f"mean of {len(lines)}",
            line={"color": _RED, "width": 4},
            marker={"size": 4},
        )
    figure.update_xaxes(title="epoch", rangemode="tozero")
    figure.update_yaxes(title=_VALIDATION if protocol_folds > 1 else "test MAP@R")
    return figure


def embedding_map(retrieval: dict[str, Any]) -> go.Figure:
    """Test embeddings in the plane, the hardest classes in colour.

    Args:
        retrieval: from ``retrieval_of_run``, with a map.
    """
    placed = retrieval["map"]
    hardest = [each["class"] for each in retrieval["classes"][:MOST_COLOURED]]
    groups: dict[str, list[int]] = {"": [], **{name: [] for name in hardest}}
    for point, name in enumerate(placed["class"]):
        groups[name if name in groups else ""].append(point)
    colours = dict(zip(hardest, _COLOURS, strict=False))
    figure = go.Figure(layout=_LAYOUT | {"height": 560})
    for name, points in groups.items():
        if not points:
            continue
        figure.add_scatter(
            x=[placed["x"][point] for point in points],
            y=[placed["y"][point] for point in points],
            # Plotly interprets some HTML.
            text=[escape(placed["class"][point], quote=False) for point in points],
            mode="markers",
            name=escape(name, quote=False) or "other classes",
            hovertemplate="%{text}<extra></extra>",
            marker={
                "color": colours.get(name, _GREY),
                "size": 9 if name else 5,
                "opacity": 0.9 if name else 0.5,
            },
        )
    for update, title in ((figure.update_xaxes, "first"), (figure.update_yaxes, "second")):
        update(title=f"t-SNE, {title} coordinate", showticklabels=False, zeroline=False)
    return figure


def _scored(results: dict[str, Any]) -> list[dict[str, Any]]:
    trials = [trial for trial in results["trials"] if trial["validation_map_at_r"] is not None]
    return sorted(trials, key=lambda trial: int(trial["number"]))


def scores_of_runs(comparison: Comparison) -> go.Figure:
    """Test MAP@R of each run: every reproduction, and the mean with its 95% interval."""
    runs = comparison.runs[::-1]
    kinds = embedding_kinds(runs[0].results)
    figure = go.Figure(layout=_LAYOUT | {"height": 160 + 70 * len(runs)})
    for kind, colour in zip(kinds, (_BLUE, _ORANGE), strict=False):
        scores = [run.results["test"]["trained"][kind][PRIMARY_METRIC] for run in runs]
        # Both kinds of a run share its band, the one above the other.
        places = [place + (0.16 if kind == "separated" else -0.16) for place in range(len(runs))]
        figure.add_scatter(
            x=[score["mean"] for score in scores],
            y=places,
            error_x={"array": [score["half_width"] for score in scores], "thickness": 2},
            mode="markers",
            name=f"{kind}: mean, 95% interval",
            marker={"color": colour, "size": 11},
        )
        points = [
            (value, place)
            for score, place in zip(scores, places, strict=True)
            for value in score["values"]
        ]
        figure.add_scatter(
            x=[value for value, _ in points],
            y=[place for _, place in points],
            mode="markers",
            name=f"{kind}: one reproduction",
            marker={"color": colour, "size": 7, "symbol": "line-ns-open"},
        )
    figure.update_xaxes(title="test MAP@R")
    figure.update_yaxes(
        title="run",
        tickvals=list(range(len(runs))),
        # Plotly interprets some HTML.
        ticktext=[escape(run.name, quote=False) for run in runs],
        range=[-0.5, len(runs) - 0.5],
        automargin=True,
        showgrid=False,
        zeroline=False,
    )
    return figure
