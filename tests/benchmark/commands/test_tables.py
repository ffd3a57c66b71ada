import copy
import io

import pytest
from rich.console import Console
from rich.table import Table

from pml_potential.benchmark.commands.tables import result_table
from pml_potential.benchmark.evaluation import METRICS
from pml_potential.benchmark.report.formatting import METRIC_NAMES, interval
from tests.benchmark.conftest import Experiment


def printed(table: Table, width: int = 80) -> list[str]:
    output = io.StringIO()
    Console(file=output, width=width).print(table)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def test_every_score_fits_a_terminal_of_80_characters(experiment: Experiment) -> None:
    lines = printed(result_table(experiment.results))
    columns = [kinds[k] for kinds in experiment.results["test"].values() for k in kinds]
    assert len(columns) == 4
    for metric in METRICS:
        (line,) = [line for line in lines if line.startswith(METRIC_NAMES[metric])]
        assert line.split("  ")[1:] != []
        assert " ".join(line.split()) == " ".join(
            [METRIC_NAMES[metric], *(interval(scores[metric]) for scores in columns)]
        )


def test_the_title_counts_the_reproductions_that_came_to_a_result(experiment: Experiment) -> None:
    results = copy.deepcopy(experiment.results)
    results["reproductions"][0] = {"failure": "fold 1: the loss is nan", "folds": []}
    title = " ".join(printed(result_table(results))[:2])
    assert "PotentialFieldLoss on the test classes of glyphs" in title
    assert "of 1 of 2 reproductions" in title


@pytest.mark.parametrize(("folds", "columns"), [(1, 2), (2, 4)])
def test_one_model_alone_has_no_column_of_its_concatenation(
    experiment: Experiment, folds: int, columns: int
) -> None:
    results = copy.deepcopy(experiment.results)
    results["config"]["protocol"]["folds"] = folds
    assert len(result_table(results).columns) == 1 + columns
    assert ("concatenated" in " ".join(printed(result_table(results)))) == (folds > 1)


def test_recalls_of_the_protocol_have_rows(experiment: Experiment) -> None:
    results = copy.deepcopy(experiment.results)
    results["config"]["protocol"]["recall_at"] = [2]
    for kinds in results["test"].values():
        for metrics in kinds.values():
            metrics["recall_at_2"] = {"mean": 0.25, "half_width": None}
    (line,) = [line for line in printed(result_table(results)) if line.startswith("R@2")]
    assert line.split() == ["R@2", *["0.2500"] * 4]


def test_a_run_of_which_nothing_succeeded_has_a_table_without_scores(experiment: Experiment) -> None:
    table = result_table(copy.deepcopy(experiment.results) | {"test": {}})
    assert [column.header for column in table.columns] == ["metric"]
