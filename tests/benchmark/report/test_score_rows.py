"""Rows with all digits, each score once."""

import copy

from pml_potential.benchmark.evaluation import METRICS
from pml_potential.benchmark.report.score_rows import (
    reproduction_numbers,
    reproduction_rows,
    score_rows,
)
from tests.benchmark.conftest import Experiment


def test_every_mean_has_its_row(experiment: Experiment) -> None:
    rows = score_rows(experiment.results)
    assert len(rows) == 2 * 2 * len(METRICS)
    for row in rows:
        score = experiment.results["test"][row["model"]][row["embeddings"]][row["metric"]]
        assert (row["mean"], row["half_width_95"], row["n"]) == (score["mean"], score["half_width"], 2)


def test_scores_go_by_the_numbers_of_the_reproductions_that_succeeded(experiment: Experiment) -> None:
    results = copy.deepcopy(experiment.results)
    results["reproductions"].insert(1, {"folds": [], "failure": "the loss is nan"})
    assert reproduction_numbers(results) == [1, 3]
    rows = reproduction_rows(results)
    assert len(rows) == 2 * 2 * len(METRICS)
    for row in rows:
        place = {1: 0, 3: 1}[row["reproduction"]]
        values = results["test"]["trained"][row["embeddings"]][row["metric"]]["values"]
        assert row["score"] == values[place]


def test_a_run_without_a_score_has_no_row(experiment: Experiment) -> None:
    results = experiment.results | {"test": {}}
    assert score_rows(results) == reproduction_rows(results) == []
