import copy

import pytest

from pml_potential.benchmark.report.formatting import interval, metric_names
from pml_potential.benchmark.report.markdown import result_table, score_table
from tests.benchmark.conftest import Experiment


def cells(table: str) -> list[list[str]]:
    return [line.strip("| ").split(" | ") for line in table.splitlines() if not line.startswith("|--")]


def test_every_score_of_every_run_is_in_its_row(experiment: Experiment) -> None:
    other = copy.deepcopy(experiment.results)
    other["config"]["loss"]["name"] = "ContrastiveLoss"
    header, *rows = cells(result_table([experiment.results, other]))
    metrics = metric_names(experiment.results)
    assert header == ["loss", "embeddings", *metrics.values()]
    expected = [
        ("PotentialFieldLoss", experiment.results["test"]["trained"]),
        ("ContrastiveLoss", other["test"]["trained"]),
        ("untrained", experiment.results["test"]["untrained"]),
    ]
    assert rows == [
        [name, kind, *(interval(kinds[kind][metric]) for metric in metrics)]
        for name, kinds in expected
        for kind in ("separated", "concatenated")
    ]


def test_one_model_alone_has_no_row_of_its_concatenation(experiment: Experiment) -> None:
    results = copy.deepcopy(experiment.results)
    results["config"]["protocol"]["folds"] = 1
    _, *rows = cells(result_table([results]))
    assert [row[:2] for row in rows] == [["PotentialFieldLoss", "separated"], ["untrained", "separated"]]


def test_names_may_be_given(experiment: Experiment) -> None:
    table = score_table(["mine", "yours"], [experiment.results] * 2)
    assert [row[0] for row in table.rows[::2]] == ["mine", "yours", "untrained"]
    assert table.text_columns == 2


def test_a_name_for_each_run_must_be_given(experiment: Experiment) -> None:
    with pytest.raises(ValueError, match="zip"):
        score_table(["mine"], [experiment.results] * 2)
