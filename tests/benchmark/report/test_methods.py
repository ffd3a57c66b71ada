"""The paragraph says what the run was, and cites by keys that have entries."""

import copy
import re
from typing import Any

import pytest

from pml_potential.benchmark.report.methods import methods_paragraph
from pml_potential.benchmark.report.references import bibtex, keys_of
from tests.benchmark.conftest import Experiment


def cited(text: str) -> set[str]:
    return {key for keys in re.findall(r"\\cite\{([^}]+)\}", text) for key in keys.split(",")}


def test_the_paragraph_has_the_numbers_of_the_run(experiment: Experiment) -> None:
    text = methods_paragraph(experiment.results)
    for said in (
        r"We trained small\_cnn from random weights, with embeddings of 64 dimensions, on glyphs with",
        r"PotentialFieldLoss \cite{bhatnagar2025potential}, in batches of 8 and at most 1 epochs of 2",
        r"(preset quick of pml-potential): 2-fold cross-validation over classes",
        r"Hyperparameters were chosen by 4 trials of Optuna \cite{akiba2019optuna}",
        r"over $n = 2$ training runs with different seeds, judged on 100 test classes",
        r"pytorch-metric-learning \cite{musgrave2020pytorch} 2.",
        ", seed 5.",
    ):
        assert said in text
    for path in experiment.results["best"]["params"]:
        assert f"{path.replace('_', chr(92) + '_')} = " in text
    assert "\n" not in text


def traditional(results: dict[str, Any]) -> None:
    results["config"]["protocol"] |= {"folds": 1, "study": None}
    results["best"]["params"] = {}
    results["config"]["loss"] |= {"miner": {"name": "MultiSimilarityMiner", "params": {}}}


def on_cub(results: dict[str, Any]) -> None:
    results["config"]["dataset"] |= {"name": "cub200", "label_noise": 0.2}
    results["config"]["model"] |= {"trunk": "timm/resnet50.tv_in1k", "freeze_trunk": True}
    results["weights_sha256"] = "0" * 64


def failed(results: dict[str, Any]) -> None:
    results["test"] = {}


def alone(results: dict[str, Any]) -> None:
    for kinds in results["test"].values():
        for metrics in kinds.values():
            for metric in metrics.values():
                metric["values"] = metric["values"][:1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (traditional, ["selected on the 100 test classes", " and MultiSimilarityMiner, in batches"]),
        (
            on_cub,
            [
                r"resnet50.tv\_in1k \cite{he2016deep} with pretrained weights on features of its frozen",
                r"\cite{wah2011caltech}",
                r"20\% of the training labels were wrong on purpose.",
            ],
        ),
        (failed, ["Software: "]),
        (alone, ["We report one training run, judged on 100 test classes."]),
    ],
)
def test_other_runs_read_otherwise(experiment: Experiment, change: Any, said: list[str]) -> None:
    results = copy.deepcopy(experiment.results)
    change(results)
    text = methods_paragraph(results)
    assert [each for each in said if each not in text] == []
    assert cited(text) == set(keys_of(results))
    assert bibtex(keys_of(results))


def test_names_are_text_in_latex(experiment: Experiment) -> None:
    results = copy.deepcopy(experiment.results)
    results["data"]["name"] = "50%_of\n$x$"
    assert r"50\%\_of \$x\$" in methods_paragraph(results)


def test_results_of_earlier_versions_have_a_paragraph(experiment: Experiment) -> None:
    results = copy.deepcopy(experiment.results)
    del results["config"]["protocol"]["max_epochs"]
    results["environment"] |= {"packages": {}, "commit": None}
    del results["config"]["dataset"]["name"]
    assert "Software: pml-potential; commit unknown" in methods_paragraph(results)
