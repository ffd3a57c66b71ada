"""What a study holds, against cases worked out by hand, and its table and figure."""

from pathlib import Path
from typing import Any

import pytest

from pml_potential.benchmark.experiments.studies import Point, Study, write_study
from pml_potential.benchmark.files import read_json


def results(scores: list[float], validation: list[tuple[float, float]]) -> dict[str, Any]:
    """Results of a run of two folds, and one more reproduction that failed."""
    mean = sum(scores) / len(scores)
    test = {"mean": mean, "deviation": None, "half_width": None, "values": scores}
    reproductions: list[dict[str, Any]] = [
        {"folds": [{"score": score} for score in folds]} for folds in validation
    ]
    return {
        "reproductions": [*reproductions, {"failure": "the loss is nan", "folds": []}],
        "test": {"trained": {"separated": {"mean_average_precision_at_r": test}}},
    }


def point(value: Any, mean: float, half_width: float | None = 0.01) -> Point:
    score = {"mean": mean, "deviation": None, "half_width": half_width, "values": [mean]}
    return Point(value, score, score | {"mean": mean / 2}, [])


def lines(axes: Any) -> list[list[list[float]]]:
    """Horizontal and vertical places of the points of each line."""
    drawn = [container.lines[0] for container in axes.containers]
    return [[list(line.get_xdata()), list(line.get_ydata())] for line in drawn]


def test_a_point_has_the_interval_of_the_means_over_the_folds() -> None:
    found = Point.of_run(0.2, results([0.3, 0.5], [(0.2, 0.4), (0.4, 0.6)]))
    assert found.validation is not None
    assert found.validation["values"] == pytest.approx([0.3, 0.5])
    # Two values: their half difference is the standard error, and t with one degree of freedom 12.7062.
    assert found.validation["half_width"] == pytest.approx(0.1 * 12.7062, rel=1e-4)
    assert found.test is not None
    assert found.test["mean"] == pytest.approx(0.4)
    assert found.failures == ["the loss is nan"]


def test_a_run_of_which_nothing_is_left_is_a_failed_point() -> None:
    run = {"reproductions": [{"failure": "diverged"}], "test": {}}
    found = Point.of_run(8, run)
    assert (found.validation, found.test, found.failures) == (None, None, ["diverged"])
    study = Study("loss.params.alpha", {"PotentialFieldLoss": [point(4, 0.5), found]})
    assert study.table("test").rows == [["PotentialFieldLoss", "0.2500 ± 0.0100", "failed"]]


def test_a_table_has_a_row_for_each_series_and_a_column_for_each_value() -> None:
    study = Study("x", {"a": [point(0.1, 0.4), point(1, 0.6)], "b": [point(1, 0.2, None)]})
    table = study.table("validation")
    assert table.columns == ["x", "0.1", "1"]
    assert table.rows == [["a", "0.4000 ± 0.0100", "0.6000 ± 0.0100"], ["b", "–", "0.2000"]]


def test_a_figure_has_a_line_for_each_series_in_both_panels() -> None:
    study = Study("x", {"a": [point(0.1, 0.4), point(1, 0.6)], "b": [point(0.1, 0.2)]})
    panels = study.figure().axes
    assert [axes.get_title() for axes in panels] == ["validation classes", "test classes"]
    for axes, share in zip(panels, (1, 0.5), strict=True):
        first, second = lines(axes)
        assert first == [[0.1, 1], pytest.approx([0.4 * share, 0.6 * share])]
        assert second == [[0.1], pytest.approx([0.2 * share])]


def test_values_that_are_no_numbers_stand_side_by_side() -> None:
    study = Study("model.pooling", {"a": [point("avg", 0.4), point(None, 0.6), point("max", 0.5)]})
    (axes, _) = study.figure().axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["avg", "–", "max"]
    assert lines(axes)[0][0] == [0, 1, 2]


def test_a_failed_point_is_left_out_of_the_figure() -> None:
    study = Study("x", {"a": [point(1, 0.4), Point(2, None, None, ["diverged"])]})
    (axes, _) = study.figure().axes
    assert lines(axes)[0][0] == [1]


def test_what_is_written_is_read_again_as_it_was(tmp_path: Path) -> None:
    study = Study("x", {"a": [point(1, 0.4), Point(2, None, None, ["diverged"])]})
    write_study(study, tmp_path / "study")
    assert Study.from_json(read_json(tmp_path / "study" / "study.json")) == study
    assert "| a | 0.4000 ± 0.0100 | failed |" in (tmp_path / "study" / "study.md").read_text()
    assert (tmp_path / "study" / "study.png").read_bytes().startswith(b"\x89PNG")
