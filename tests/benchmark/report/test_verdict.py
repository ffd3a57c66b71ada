"""What a run is said to show, for runs that show different things."""

import copy
from typing import Any

import pytest

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.report.intervals import confidence_interval
from pml_potential.benchmark.report.published_figures import published_figures
from pml_potential.benchmark.report.verdict import (
    best_hyperparameters,
    verdict,
    what_would_help,
    why_validation_differs,
)

PATH = "loss.params.alpha"


def results(
    trained: list[float], untrained: list[float], trials: int = 2, folds: int = 4
) -> dict[str, Any]:
    """A run with these test scores."""
    kinds = {
        state: {"separated": {PRIMARY_METRIC: confidence_interval(values)}}
        for state, values in (("trained", trained), ("untrained", untrained))
        if values
    }
    fold = {"best_epoch": 3}
    parts = {"test": 100, "fold 1: train": 75, "fold 1: validation": 25}
    found = [
        {"number": number, "validation_map_at_r": 0.4 + number / 100, "params": {PATH: 4.0}}
        for number in range(trials)
    ]
    return {
        "config": {
            "loss": {"name": "PotentialFieldLoss"},
            "protocol": {"name": "quick", "folds": folds, "max_epochs": 5, "study": {"trials": trials}},
            "search": {PATH: {"low": 0.0, "high": 8.0, "log": False}},
        },
        "data": {"name": "glyphs", "classes_by_part": parts},
        "trials": found,
        "best": {"trial": 1, "params": {PATH: 4.0}, "validation_map_at_r": 0.489},
        "reproductions": [{"folds": [fold] * folds} for _ in trained],
        "test": kinds,
        "published": None,
    }


def test_the_score_stands_beside_that_of_untrained_models() -> None:
    first, second = verdict(results([0.30, 0.31, 0.30], [0.1, 0.11, 0.1]))
    assert first == (
        "The best of 2 settings of PotentialFieldLoss reaches a test MAP@R of 0.3033 ± 0.0143, against "
        "0.1033 ± 0.0143 untrained (95% intervals, n = 3 reproductions; the gain is more than chance)."
    )
    assert second == (
        "No published figure is comparable: there is none for glyphs under protocol quick."
    )


@pytest.mark.parametrize(
    ("trained", "untrained", "said"),
    [
        ([0.3, 0.1], [0.2, 0.1], "n = 2 reproductions; the test does not tell the two apart)."),
        ([0.1, 0.11, 0.1], [0.3, 0.31, 0.3], "n = 3 reproductions; training made it worse)."),
        ([0.3], [0.1], "0.3000, against 0.1000 untrained (one reproduction, so no interval)."),
        ([0.3, 0.3], [0.1, 0.1], "neither varies)."),
    ],
)
def test_what_the_test_finds_is_said(trained: list[float], untrained: list[float], said: str) -> None:
    assert verdict(results(trained, untrained))[0].endswith(said)


def test_a_run_without_a_score_says_so() -> None:
    failed = results([], [])
    failed["reproductions"] = [{"failure": "the loss is nan", "folds": []}] * 2
    assert verdict(failed)[0] == "PotentialFieldLoss has no test score: no reproduction succeeded."
    assert why_validation_differs(failed) is None
    assert "2 of 2 reproductions failed and should be repaired" in what_would_help(failed)


def published(protocol: str, **changes: Any) -> dict[str, Any]:
    """A run with the published figures for CUB-200-2011."""
    presets = {"protocol": protocol, "dataset": "cub200", "model": "bn_inception", "loss": "contrastive"}
    config = compose(presets)
    found = results([0.3, 0.31], [0.1, 0.11], folds=config.protocol.folds) | changes
    found["config"]["protocol"]["recall_at"] = config.protocol.recall_at
    found["test"]["trained"]["separated"]["recall_at_1"] = confidence_interval([0.70, 0.71])
    found["published"] = published_figures(config)
    return found


def test_a_validation_score_is_held_against_published_validation_scores() -> None:
    _, second = verdict(published("mlrc"))
    rows = published("mlrc")["published"]["rows"]
    highest = max(rows, key=lambda row: row["values"][PRIMARY_METRIC])
    assert second.startswith("Its validation MAP@R of 0.4890 is above 10 of 10 published figures")
    assert second.endswith(f"{highest['method']}'s {highest['values'][PRIMARY_METRIC]:.4g}.")


def test_a_recall_on_the_test_classes_is_held_against_published_ones_with_what_differs() -> None:
    _, second = verdict(published("traditional"))
    assert second.startswith("Its test R@1 of 0.7050 is above ")
    assert second.endswith(
        "; this run differs from theirs in a setting, listed below, so take it as a hint."
    )


def test_a_run_without_a_score_is_not_held_against_published_ones() -> None:
    found = published("traditional")
    found["test"] = {}
    assert verdict(found)[1].startswith("It has no score to compare with the figures Bhatnagar")


def test_the_best_hyperparameters_are_named() -> None:
    found = results([0.3], [0.1])
    assert best_hyperparameters(found) == "Best hyperparameters (trial 2): loss.params.alpha 4."
    found["best"]["params"] = {}
    assert best_hyperparameters(found).startswith("Nothing was searched")


def test_the_validation_score_is_explained_by_the_numbers_of_classes() -> None:
    assert why_validation_differs(results([0.303, 0.303], [0.1, 0.1])) == (
        "Validation MAP@R 0.4890 and test MAP@R 0.3030 are not comparable: each validation set "
        "has 25 classes and the test set 100, and among fewer classes a query finds its own more "
        "easily. The validation score is also the best of 2 trials, so it is optimistic."
    )


@pytest.mark.parametrize(
    ("validation", "said"),
    [
        ([25, 26], "each validation set has 25 to 26 classes and the test set 100, and among fewer"),
        ([100], "each validation set has 100 classes and the test set 100, and they are different"),
        ([200], "each validation set has 200 classes and the test set 100, and among more"),
    ],
)
def test_the_explanation_has_the_numbers_of_the_run(validation: list[int], said: str) -> None:
    found = results([0.3, 0.3], [0.1, 0.1], trials=1)
    parts = {f"fold {place}: validation": count for place, count in enumerate(validation, start=1)}
    found["data"]["classes_by_part"] = {"test": 100, **parts}
    text = why_validation_differs(found)
    assert text is not None
    assert said in text
    assert "optimistic" not in text


def test_one_fold_has_no_validation_classes_to_explain() -> None:
    assert why_validation_differs(results([0.3], [0.1], folds=1)) is None


def test_what_a_run_lacks_of_the_published_protocol_is_said_with_its_numbers() -> None:
    assert what_would_help(results([0.30, 0.31], [0.1, 0.11])) == (
        "To trust it more: 8 more reproductions (2 here, 10 in mlrc, which would narrow ± 0.0635 to "
        "about ± 0.0051); 48 more trials (2 here)."
    )


def complete() -> dict[str, Any]:
    scores = [0.3 + place / 1000 for place in range(10)]
    return results(scores, [score / 2 for score in scores], trials=50)


def test_a_run_of_the_whole_protocol_lacks_another_data_set() -> None:
    assert what_would_help(complete()).endswith(
        "a second data set would show whether the result holds elsewhere."
    )


def test_what_one_run_lacks_is_not_said_of_others() -> None:
    last = copy.deepcopy(complete())
    for each in last["reproductions"]:
        each["folds"] = [{"best_epoch": 5}] * 3 + [{"best_epoch": 2}]
    assert what_would_help(last) == (
        "To trust it more: longer training (30 of 40 models were best in the last epoch, 5)."
    )
    edge = copy.deepcopy(complete())
    edge["best"]["params"][PATH] = 7.9
    assert what_would_help(edge) == (
        "To trust it more: wider search ranges (the best value of loss.params.alpha is at the edge of "
        "its range)."
    )
    alone = complete()
    alone["config"]["protocol"] |= {"folds": 1, "study": None}
    assert what_would_help(alone) == (
        "To trust it more: protocol mlrc, which does not choose the epoch on the test set; a search of "
        "its hyperparameters (50 trials in mlrc)."
    )


@pytest.mark.parametrize(
    ("value", "searched", "edge"),
    [
        (1e-6, {"low": 1e-6, "high": 1.0, "log": True}, True),
        (1e-3, {"low": 1e-6, "high": 1.0, "log": True}, False),
        (0.01, {"low": 1e-6, "high": 1.0, "log": False}, True),
        ("SGD", {"low": None, "high": None, "log": False, "choices": ["SGD", "Adam"]}, False),
        (8, {"low": 1, "high": 8}, True),
    ],
)
def test_the_edge_of_a_range_is_measured_on_its_own_scale(
    value: Any, searched: dict[str, Any], edge: bool
) -> None:
    found = complete()
    found["config"]["search"][PATH] = searched
    found["best"]["params"][PATH] = value
    assert ("wider search ranges" in what_would_help(found)) == edge
