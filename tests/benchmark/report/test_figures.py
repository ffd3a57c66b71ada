"""What figures show of results: every number, in its place."""

from pathlib import Path
from typing import Any

import pytest

from pml_potential.benchmark.config.schema import SearchRange
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.report.comparison import ComparedRun, Comparison
from pml_potential.benchmark.report.figures import (
    MOST_COLOURED,
    embedding_map,
    learning_curves,
    parameter_importance,
    parameter_slice,
    scores_of_runs,
    search_history,
)
from pml_potential.benchmark.report.intervals import confidence_interval


def trial(number: int, score: float | None, **params: float) -> dict[str, Any]:
    folds = [] if score is None else [{"score": score - 0.1}, {"score": score + 0.1}]
    return {
        "number": number,
        "params": params,
        "validation_map_at_r": score,
        "failure": "fold 1: the loss is nan" if score is None else None,
        "folds": folds,
    }


def results() -> dict[str, Any]:
    """Of a search whose second trial failed, with the trials as they ended."""
    return {
        "trials": [
            trial(2, 0.3, alpha=4.0, lr=0.1),
            trial(0, 0.4, alpha=1.0, lr=0.01),
            trial(1, None, alpha=2.0, lr=1.0),
            trial(3, 0.6, alpha=3.0, lr=0.001),
        ],
        "importance": {"alpha": 0.25, "lr": 0.75},
        "config": {
            "search": {"alpha": {"log": False}, "lr": {"log": True}},
            "protocol": {"folds": 2},
        },
    }


def traces(figure: Any) -> dict[str, Any]:
    return {trace.name: trace for trace in figure.data}


def test_the_history_of_a_search_has_every_trial_and_the_best_so_far() -> None:
    drawn = traces(search_history(results()))
    assert list(zip(drawn["mean"].x, drawn["mean"].y, strict=True)) == [(1, 0.4), (3, 0.3), (4, 0.6)]
    assert (drawn["best so far"].x, drawn["best so far"].y) == ((1, 3, 4), (0.4, 0.4, 0.6))
    assert drawn["one fold"].x == (1, 1, 3, 3, 4, 4)
    assert drawn["one fold"].y == pytest.approx((0.3, 0.5, 0.2, 0.4, 0.5, 0.7))
    assert (drawn["failed"].x, drawn["failed"].y) == ((2,), (0.3,))


def test_a_search_without_failures_has_no_mark_for_them() -> None:
    whole = results()
    del whole["trials"][2]
    assert "failed" not in traces(search_history(whole))


def test_the_most_important_hyperparameter_is_on_top() -> None:
    (bar,) = parameter_importance(results()).data
    assert (bar.y, bar.x, bar.orientation) == (("alpha", "lr"), (0.25, 0.75), "h")


@pytest.mark.parametrize(
    ("path", "values", "title", "kind"),
    [
        ("alpha", (1.0, 4.0, 3.0), "alpha", "linear"),
        ("lr", (0.01, 0.1, 0.001), "lr (log scale)", "log"),
    ],
)
def test_a_slice_has_the_scores_over_one_hyperparameter(
    path: str, values: tuple[float, ...], title: str, kind: str
) -> None:
    figure = parameter_slice(results(), path)
    (points,) = figure.data
    assert (points.x, points.y) == (values, (0.4, 0.3, 0.6))
    assert (figure.layout.xaxis.title.text, figure.layout.xaxis.type) == (title, kind)


def test_a_slice_over_words_has_a_place_for_each() -> None:
    found = results()
    path = "model.head.start"
    found["config"]["search"][path] = SearchRange(choices=("random", "pca")).model_dump()
    for trial_, start in zip(found["trials"], ("pca", "pca", "random", "pca"), strict=False):
        trial_["params"][path] = start
    axis = parameter_slice(found, path).layout.xaxis
    assert (axis.title.text, axis.type) == (path, "category")


def fold(*scores: float, best: int = 2) -> dict[str, Any]:
    history = [{"epoch": 2 * n + 2, PRIMARY_METRIC: score} for n, score in enumerate(scores)]
    return {"history": history, "best_epoch": best}


def test_the_mean_of_learning_curves_ends_with_the_first_of_them() -> None:
    figure = learning_curves([("one", [fold(0.1, 0.2, 0.3)]), ("two", [fold(0.3, 0.4)])], 2)
    assert figure.data[-1].x == (2, 4)
    assert figure.data[-1].y == pytest.approx((0.2, 0.3))


def test_reproductions_are_told_apart_by_colour_and_named_once() -> None:
    pieces = [(f"reproduction {n}", [fold(0.1), fold(0.2)]) for n in (1, 2)]
    *lines, average = learning_curves(pieces, 2).data
    assert [line.name for line in lines] == ["reproduction 1"] * 2 + ["reproduction 2"] * 2
    assert [line.showlegend for line in lines] == [True, False, True, False]
    colours = [line.line.color for line in lines]
    assert colours[0] == colours[1] != colours[2] == colours[3]
    assert average.name == "mean of 4"
    of_one_model = learning_curves([(name, folds[:1]) for name, folds in pieces], 1).data
    assert [line.showlegend for line in of_one_model[:2]] == [True, True]


def test_the_folds_of_one_trial_are_told_apart_by_colour() -> None:
    *lines, _ = learning_curves([("trial 1", [fold(0.1), fold(0.2)])], 2).data
    assert [line.name for line in lines] == ["fold 1", "fold 2"]
    assert lines[0].line.color != lines[1].line.color


def test_the_hardest_classes_are_coloured_on_the_map_and_all_points_named() -> None:
    names = [f"class {n}" for n in range(MOST_COLOURED + 2)]
    found = {
        "classes": [{"class": name} for name in names],
        "map": {"x": [0.0, 1.0, 2.0], "y": [3.0, 4.0, 5.0], "class": ["class 7", "class 0", "<b>"]},
    }
    drawn = traces(embedding_map(found))
    assert set(drawn) == {"other classes", "class 0"}
    assert drawn["other classes"].text == ("class 7", "&lt;b&gt;")
    assert drawn["other classes"].x == (0, 2)
    assert drawn["class 0"].marker.color != drawn["other classes"].marker.color


def test_the_best_epoch_is_a_dot() -> None:
    (line,) = learning_curves([("trial 1", [fold(0.1, 0.3, 0.2, best=4)])], 2).data
    assert [size > 0 for size in line.marker.size] == [False, True, False]


@pytest.mark.parametrize(("folds", "axis"), [(1, "test MAP@R"), (4, "validation MAP@R")])
def test_the_axis_says_on_which_classes_a_curve_was_judged(folds: int, axis: str) -> None:
    figure = learning_curves([("trial 1", [fold(0.1)])], folds)
    assert figure.layout.yaxis.title.text == axis
    assert [line.showlegend for line in figure.data] == [folds > 1]


def run(name: str, *scores: float, folds: int = 2) -> ComparedRun:
    kinds = {
        "separated": {PRIMARY_METRIC: confidence_interval(scores)},
        "concatenated": {PRIMARY_METRIC: confidence_interval([score + 0.1 for score in scores])},
    }
    found = {"config": {"protocol": {"folds": folds}}, "test": {"trained": kinds}}
    return ComparedRun(name, Path(name), found)


def test_runs_are_drawn_from_the_first_at_the_top_with_every_reproduction() -> None:
    comparison = Comparison([run("ahead", 0.5, 0.7), run("behind", 0.2, 0.3)], [])
    figure = scores_of_runs(comparison)
    assert figure.layout.yaxis.ticktext == ("behind", "ahead")
    assert figure.layout.yaxis.tickvals == (0, 1)
    drawn = traces(figure)
    for kind, more in (("separated", 0.0), ("concatenated", 0.1)):
        means, points = drawn[f"{kind}: mean, 95% interval"], drawn[f"{kind}: one reproduction"]
        assert means.x == pytest.approx((0.25 + more, 0.6 + more))
        # Student's t for two values: 12.7062 standard errors.
        assert means.error_x.array == pytest.approx((12.7062 * 0.05, 12.7062 * 0.1), rel=1e-4)
        assert points.x == pytest.approx((0.2 + more, 0.3 + more, 0.5 + more, 0.7 + more))
        assert [round(place) for place in points.y] == [0, 0, 1, 1]
        assert [round(place) for place in means.y] == [0, 1]


def test_one_model_alone_is_not_drawn_as_its_own_concatenation() -> None:
    runs = [run("ahead", 0.5, 0.7, folds=1), run("behind", 0.2, 0.3, folds=1)]
    assert all(name.startswith("separated") for name in traces(scores_of_runs(Comparison(runs, []))))
