"""A comparison in words, tables and files, of runs whose differences are known."""

import csv
import html
import re
from pathlib import Path
from typing import Any

import pytest

from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.files import write_json
from pml_potential.benchmark.report import figures
from pml_potential.benchmark.report.comparison import Comparison, compare_runs
from pml_potential.benchmark.report.comparison_report import comparison_in_markdown, write_comparison
from tests.benchmark.conftest import Experiment
from tests.benchmark.report.page_reader import Page
from tests.benchmark.report.runs_to_compare import write_run

Scores = dict[str, list[float]]
SCORES: Scores = {"ContrastiveLoss": [0.50, 0.52, 0.51], "ArcFaceLoss": [0.40, 0.41]}
STILL: Scores = {"ContrastiveLoss": [0.5, 0.5], "ArcFaceLoss": [0.4, 0.4]}


def compared(
    experiment: Experiment, folder: Path, scores: Scores = SCORES, **changes: Any
) -> Comparison:
    """Runs with these scores; and sections of their configurations changed."""
    for loss, values in scores.items():
        results = write_run(experiment.results, folder / loss, values, loss)
        for section, values_of_section in changes.items():
            results["config"][section] |= values_of_section
        write_json(folder / loss / "report" / "results.json", results)
    return compare_runs([folder / loss for loss in scores])


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_markdown_has_the_verdict_first_and_both_tables_with_what_they_are(
    experiment: Experiment, tmp_path: Path
) -> None:
    comparison = compared(experiment, tmp_path)
    parts = comparison_in_markdown(comparison).split("\n\n")
    verdict, reach, leaderboard, caption, differences, method, each, of_each = parts
    assert reach == (
        "With these reproductions the test finds a difference of 0.0442 between ContrastiveLoss and "
        "ArcFaceLoss in 80% of cases; half of that takes 4 reproductions of each."
    )
    assert each.splitlines()[2:] == [
        "| ContrastiveLoss | 0.5000 | 0.5200 | 0.5100 |",
        "| ArcFaceLoss | 0.4000 | 0.4100 | – |",
    ]
    assert of_each == "Separated test MAP@R of each reproduction."
    assert verdict == "ContrastiveLoss is ahead of every other run by more than chance."
    assert leaderboard.splitlines()[2].startswith("| ContrastiveLoss | separated | 0.5100 ± ")
    assert caption == (
        "Test classes of glyphs, protocol quick, trunk small_cnn: mean and 95% interval (Student t) "
        "over n = 2 to 3 reproductions. †: the corrected test tells it apart from ContrastiveLoss "
        "(p < 0.05)."
    )
    header, _, row = differences.splitlines()
    assert header == (
        "| first | second | difference | p | p (Holm) | Hedges' g | detectable | n for half |"
    )
    assert row.startswith("| ContrastiveLoss | ArcFaceLoss | +0.1050 [+0.0")
    assert method.startswith("First minus second, in separated test MAP@R")


@pytest.mark.parametrize(
    "name",
    ["=1+1", "a_b & 100% #1", "</script><b>x", "*b*|c", "$x^2$", "[/x]", "two\nlines", "caf\udce9"],
)
def test_the_name_of_a_folder_is_text_in_every_file(
    name: str, experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder, scores in (("plain", [0.5, 0.52]), (name, [0.4, 0.41])):
        write_run(experiment.results, Path(folder), scores)
    write_comparison(compare_runs([Path("plain"), Path(name)]), tmp_path / "out")
    shown = name.encode(errors="backslashreplace").decode()
    row = rows_of(tmp_path / "out" / "leaderboard.csv")[-1]
    assert row["name"] == f"ContrastiveLoss ({shown})"
    assert row["folder"] in {shown, f"./{shown}"}
    assert not row["folder"].startswith("=")
    latex = (tmp_path / "out" / "comparison.tex").read_text()
    ends = [line for line in latex.splitlines() if line.startswith("ContrastiveLoss")]
    assert all(line.endswith(r" \\") for line in ends)
    caption = next(line for line in latex.splitlines() if line.startswith(r"\caption{Test classes"))
    assert not re.search(r"(?<!\\)[&%#_^]", caption)
    page = (tmp_path / "out" / "index.html").read_text()
    assert page.count("</script>") == page.count("<script") == 3
    assert "<b>x" not in page
    figure = figures.scores_of_runs(compare_runs([Path("plain"), Path(name)]))
    assert figure.layout.yaxis.ticktext[0] == f"ContrastiveLoss ({html.escape(name, quote=False)})"


def test_cautions_follow_the_verdict(experiment: Experiment, tmp_path: Path) -> None:
    compared(experiment, tmp_path)
    results = write_run(experiment.results, tmp_path / "ArcFaceLoss", [0.4, 0.41], "ArcFaceLoss")
    results["seed"] = 6
    write_json(tmp_path / "ArcFaceLoss" / "report" / "results.json", results)
    parts = comparison_in_markdown(compare_runs([tmp_path / loss for loss in SCORES])).split("\n\n")
    assert parts[2] == "The runs have different seeds."
    assert len(parts) == 9


def test_equal_counts_of_reproductions_are_said_once(experiment: Experiment, tmp_path: Path) -> None:
    comparison = compared(experiment, tmp_path, STILL)
    assert "over n = 2 reproductions." in comparison_in_markdown(comparison)


def test_what_cannot_be_tested_is_a_dash_and_an_empty_cell(
    experiment: Experiment, tmp_path: Path
) -> None:
    comparison = compared(experiment, tmp_path, STILL)
    found = comparison_in_markdown(comparison)
    assert "| ContrastiveLoss | ArcFaceLoss | +0.1000 | – | – | – | – | – |" in found
    assert "With these reproductions" not in found
    write_comparison(comparison, tmp_path / "out")
    (row,) = rows_of(tmp_path / "out" / "differences.csv")
    untested = ("low_95", "high_95", "p", "p_holm", "hedges_g", "g_low_95", "g_high_95")
    assert [row[column] for column in (*untested, "detectable_80", "n_for_half")] == [""] * 9
    assert (row["n_first"], row["n_second"]) == ("2", "2")


def test_a_row_of_the_differences_has_the_limits_and_counts(
    experiment: Experiment, tmp_path: Path
) -> None:
    comparison = compared(experiment, tmp_path)
    write_comparison(comparison, tmp_path / "out")
    (row,) = rows_of(tmp_path / "out" / "differences.csv")
    (found,) = comparison.differences
    assert found.interval is not None
    assert found.effect_interval is not None
    assert (float(row["low_95"]), float(row["high_95"])) == found.interval
    assert (float(row["g_low_95"]), float(row["g_high_95"])) == found.effect_interval
    assert (row["n_first"], row["n_second"]) == ("3", "2")
    (reach,) = comparison.detectable
    assert reach is not None
    assert float(row["detectable_80"]) == reach.difference
    assert int(row["n_for_half"]) == reach.needed


def test_the_score_of_each_reproduction_is_in_a_table_and_a_file(
    experiment: Experiment, tmp_path: Path
) -> None:
    compared(experiment, tmp_path)
    results = write_run(experiment.results, tmp_path / "ContrastiveLoss", [0.5, 0.52])
    results["reproductions"].insert(1, {"folds": [], "failure": "fold 1: the loss is nan"})
    write_json(tmp_path / "ContrastiveLoss" / "report" / "results.json", results)
    comparison = compare_runs([tmp_path / loss for loss in SCORES])
    page = write_comparison(comparison, tmp_path / "out")
    expected = {"1": "0.5", "3": "0.52"}
    rows = [
        row
        for row in rows_of(tmp_path / "out" / "reproductions.csv")
        if row["name"] == "ContrastiveLoss"
    ]
    chosen = [row for row in rows if row["embeddings"] == "separated"]
    found = {row["reproduction"]: row["score"] for row in chosen if row["metric"] == PRIMARY_METRIC}
    assert found == expected
    assert "| ContrastiveLoss | 0.5000 | – | 0.5200 |" in comparison_in_markdown(comparison)
    assert "ContrastiveLoss 0.5000 – 0.5200" in " ".join(Page(page.read_text("utf-8")).text.split())


def test_the_path_of_the_page_is_returned(experiment: Experiment, tmp_path: Path) -> None:
    comparison = compared(experiment, tmp_path)
    page = write_comparison(comparison, tmp_path / "new" / "out")
    assert page == tmp_path / "new" / "out" / "index.html"
    assert comparison_in_markdown(comparison) + "\n" == (page.parent / "comparison.md").read_text(
        "utf-8"
    )
    assert comparison.verdict in Page(page.read_text(encoding="utf-8")).text
    tex = (page.parent / "comparison.tex").read_text(encoding="utf-8")
    assert tex.startswith("% \\usepackage{booktabs}\n")
    assert comparison.verdict in tex


@pytest.mark.parametrize("folds", [1, 2])
def test_an_epoch_that_was_selected_on_the_test_set_is_said(
    experiment: Experiment, tmp_path: Path, folds: int
) -> None:
    comparison = compared(experiment, tmp_path, protocol={"folds": folds, "study": None})
    assert ("all scores are optimistic" in comparison_in_markdown(comparison)) == (folds == 1)


def test_runs_with_other_label_noise_are_not_compared(experiment: Experiment, tmp_path: Path) -> None:
    compared(experiment, tmp_path)
    results = write_run(experiment.results, tmp_path / "ArcFaceLoss", [0.4, 0.41], "ArcFaceLoss")
    results["config"]["dataset"]["label_noise"] = 0.2
    write_json(tmp_path / "ArcFaceLoss" / "report" / "results.json", results)
    with pytest.raises(ConfigError, match=r"dataset\.label_noise: 0\.0 and 0\.2"):
        compare_runs([tmp_path / loss for loss in SCORES])
