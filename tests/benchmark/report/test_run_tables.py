"""Every table of a report is there as LaTeX and as CSV."""

import copy
import csv
import re
from pathlib import Path
from typing import Any

import pytest

from pml_potential.benchmark.config.composing import compose
from pml_potential.benchmark.report.formatting import interval
from pml_potential.benchmark.report.published_figures import published_figures
from pml_potential.benchmark.report.run_tables import RunTable, run_tables, write_run_tables
from tests.benchmark.conftest import Experiment

CLASSES = [
    {"class": f"c_{n}", "queries": 3, "precision_at_1": n / 20, "mean_average_precision_at_r": n / 30}
    for n in range(12)
]


def tables_of(results: dict[str, Any], retrieval: Any = None) -> dict[str, RunTable]:
    return {each.name: each for each in run_tables(results, retrieval)}


def test_each_table_is_in_the_latex_and_has_its_csv(experiment: Experiment, tmp_path: Path) -> None:
    written = write_run_tables(experiment.results, {"classes": CLASSES}, tmp_path)
    names = [each.name for each in written]
    assert names == ["scores", "reproductions", "trials", "classes", "cost"]
    latex = (tmp_path / "tables.tex").read_text("utf-8")
    assert latex.count(r"\begin{tabular}") == latex.count(r"\toprule") == len(names)
    for each in written:
        with (tmp_path / f"{each.name}.csv").open(newline="", encoding="utf-8") as file:
            assert len(list(csv.DictReader(file))) == len(each.rows) > 0
        assert each.caption.partition(".")[0].replace("%", r"\%") in latex


def test_the_better_of_trained_and_untrained_is_bold_for_each_kind(experiment: Experiment) -> None:
    results = copy.deepcopy(experiment.results)
    for state, mean in (("trained", 0.6), ("untrained", 0.4)):
        for kind, more in (("separated", 0.0), ("concatenated", 0.1)):
            for value in results["test"][state][kind].values():
                value["mean"] = mean + more
    table = tables_of(results)["scores"].text
    assert {table.rows[row][0] for row, _ in table.bold} == {"trained"}
    assert len(table.bold) == 2 * 3
    shown = interval(results["test"]["trained"]["separated"]["precision_at_1"])
    assert rf"\textbf{{{shown.replace('±', chr(36) + chr(92) + 'pm' + chr(36))}}}" in table.to_latex("")


def test_the_best_trial_is_bold_and_a_failed_one_has_its_reason(experiment: Experiment) -> None:
    results = copy.deepcopy(experiment.results)
    best = results["best"]["trial"]
    results["trials"][(best + 1) % 4] |= {
        "validation_map_at_r": None,
        "failure": "fold 1: the loss is nan",
        "folds": [],
    }
    table = tables_of(results)["trials"]
    assert {row for row, _ in table.text.bold} == {best}
    failed = table.rows[(best + 1) % 4]
    assert failed["failure"] == "fold 1: the loss is nan"
    assert (failed["fold_1"], failed["fold_2"]) == (None, None)


def test_the_hardest_classes_are_printed_and_all_are_in_the_csv(experiment: Experiment) -> None:
    table = tables_of(experiment.results, {"classes": CLASSES})["classes"]
    assert [row[0] for row in table.text.rows] == [f"c_{n}" for n in range(10)]
    assert len(table.rows) == 12


@pytest.mark.parametrize("protocol", ["mlrc", "traditional"])
def test_published_figures_stand_below_the_run(experiment: Experiment, protocol: str) -> None:
    presets = {"protocol": protocol, "dataset": "cub200", "model": "bn_inception", "loss": "contrastive"}
    results = copy.deepcopy(experiment.results)
    results["config"]["protocol"]["recall_at"] = [1, 2, 4]
    for kinds in results["test"].values():
        for metrics in kinds.values():
            metrics |= {f"recall_at_{k}": metrics["r_precision"] for k in (1, 2, 4)}
    results["published"] = published_figures(compose(presets))
    table = tables_of(results)["published"]
    assert table.rows[0]["method"] == "this run: PotentialFieldLoss"
    assert len(table.rows) == 1 + len(results["published"]["rows"])
    assert all(row > 0 for row, _ in table.text.bold)
    results["test"] = {}
    alone = tables_of(results)["published"].rows[0]
    own = results["best"]["validation_map_at_r"]
    metric = results["published"]["metrics"][0]
    assert alone[metric] == (own if protocol == "mlrc" else None)


def test_a_run_without_scores_and_trials_has_the_cost_alone(experiment: Experiment) -> None:
    results = experiment.results | {"test": {}, "trials": []}
    assert list(tables_of(results)) == ["cost"]
    assert list(tables_of(results, {"missing": "the images are gone"})) == ["cost"]


def test_names_are_text_in_latex(experiment: Experiment) -> None:
    results = copy.deepcopy(experiment.results)
    results["config"]["loss"]["name"] = "A_b & 10%"
    latex = tables_of(results)["scores"].text.to_latex(tables_of(results)["scores"].caption)
    assert not re.search(r"(?<!\\)[%#_]", latex)
