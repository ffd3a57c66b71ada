"""Comparing runs: who may be compared, who is ahead, and how it is written down."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.evaluation import PRIMARY_METRIC
from pml_potential.benchmark.files import write_json
from pml_potential.benchmark.report.comparison import Comparison, compare_runs
from pml_potential.benchmark.report.comparison_report import write_comparison
from pml_potential.benchmark.report.formatting import interval, p_value, signed_interval
from tests.benchmark.conftest import Experiment
from tests.benchmark.report.page_reader import Page
from tests.benchmark.report.runs_to_compare import write_run

CLOSE = {
    "ContrastiveLoss": [0.50, 0.52, 0.51, 0.53],
    "ProxyAnchorLoss": [0.51, 0.53, 0.50, 0.53],
    "TripletMarginLoss": [0.40, 0.41, 0.39, 0.42],
}


def write_runs(experiment: Experiment, folder: Path, scores: dict[str, list[float]]) -> list[Path]:
    for loss, values in scores.items():
        write_run(experiment.results, folder / loss, values, loss)
    return [folder / loss for loss in scores]


def rewrite(folder: Path, results: dict[str, Any]) -> None:
    write_json(folder / "report" / "results.json", results)


@pytest.fixture
def comparison(experiment: Experiment, tmp_path: Path) -> Comparison:
    return compare_runs(write_runs(experiment, tmp_path, CLOSE))


def test_runs_are_ranked_by_their_separated_test_map_at_r(comparison: Comparison) -> None:
    assert [run.name for run in comparison.runs] == [
        "ProxyAnchorLoss",
        "ContrastiveLoss",
        "TripletMarginLoss",
    ]


def test_nobody_wins_whom_the_test_does_not_tell_apart(comparison: Comparison) -> None:
    assert comparison.leaders == ["ProxyAnchorLoss", "ContrastiveLoss"]
    assert comparison.verdict == (
        "ProxyAnchorLoss has the highest mean, but the test does not tell it apart from "
        "ContrastiveLoss: no winner."
    )


def test_a_run_that_is_ahead_of_all_others_is_named(experiment: Experiment, tmp_path: Path) -> None:
    scores = CLOSE | {"ProxyAnchorLoss": [0.70, 0.71, 0.72, 0.71]}
    comparison = compare_runs(write_runs(experiment, tmp_path, scores))
    assert comparison.leaders == ["ProxyAnchorLoss"]
    assert comparison.verdict == "ProxyAnchorLoss is ahead of every other run by more than chance."


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("config", "protocol", "batch_size"), 16, "protocol.batch_size: 8 and 16"),
        (("config", "model", "embedding_size"), 32, "model.embedding_size: 64 and 32"),
        (("config", "dataset", "name"), "digits", "dataset.name: 'glyphs' and 'digits'"),
        (("config", "training", "clip_norm"), 1.0, "training.clip_norm: None and 1.0"),
        (("data", "sha256"), "0" * 64, "data.sha256: "),
        (("weights_sha256",), "1" * 64, "weights_sha256: None and 1111"),
    ],
)
def test_runs_that_differ_in_more_than_the_loss_are_refused(
    experiment: Experiment, tmp_path: Path, path: tuple[str, ...], value: Any, message: str
) -> None:
    folders = write_runs(experiment, tmp_path, CLOSE)
    other = write_run(experiment.results, folders[2], [0.1, 0.2])
    section = other
    for key in path[:-1]:
        section = section[key]
    section[path[-1]] = value
    rewrite(folders[2], other)
    with pytest.raises(ConfigError, match="cannot be compared") as caught:
        compare_runs(folders)
    assert message in str(caught.value)
    # Losses differ as well, which is what a comparison is for.
    assert "loss." not in str(caught.value)


def test_loss_sampler_search_and_place_of_the_data_may_differ(
    experiment: Experiment, tmp_path: Path
) -> None:
    folders = write_runs(experiment, tmp_path, CLOSE)
    other = write_run(experiment.results, folders[0], [0.1, 0.2])
    other["config"]["sampler"]["m"] = 2
    other["config"]["search"] = {"loss.params.neg_margin": {"low": 0.0, "high": 1.0, "log": False}}
    other["config"]["dataset"]["root"] = "/elsewhere"
    rewrite(folders[0], other)
    comparison = compare_runs(folders)
    assert len(comparison.runs) == 3
    assert comparison.cautions == []


def with_chosen(results: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A run whose search chose a value."""
    section = results["best"]["config"]
    *parents, last = path.split(".")
    for key in parents:
        section = section[key]
    section[last] = value
    results["best"]["params"][path] = value
    return results


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model.embedding_size", 2048, "model.embedding_size: 64 and 2048, as a search chose"),
        ("model.pooling", "avg", "model.pooling: 'max' and 'avg', as a search chose"),
    ],
)
def test_another_network_that_a_search_chose_is_refused(
    experiment: Experiment, tmp_path: Path, path: str, value: Any, message: str
) -> None:
    folders = write_runs(experiment, tmp_path, CLOSE)
    other = write_run(experiment.results, folders[1], [0.8, 0.9], "ProxyAnchorLoss")
    rewrite(folders[1], with_chosen(other, path, value))
    with pytest.raises(ConfigError, match="cannot be compared") as caught:
        compare_runs(folders)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("path", "values"),
    [("model.embedder_optimizer.lr", (1.0, 0.1)), ("model.head.start", ("random", "pca"))],
)
def test_other_ways_to_train_that_searches_chose_are_said(
    experiment: Experiment, tmp_path: Path, path: str, values: tuple[Any, ...]
) -> None:
    folders = write_runs(experiment, tmp_path, CLOSE)
    for number, folder in enumerate(folders):
        other = write_run(experiment.results, folder, [0.1, 0.2], folder.name)
        with_chosen(other, path, values[number % 2])
        rewrite(folder, with_chosen(other, "loss.params.delta", number))
    (caution,) = compare_runs(folders).cautions
    assert caution == f"The searches chose different values of {path}."


def test_another_seed_or_commit_is_said(experiment: Experiment, tmp_path: Path) -> None:
    folders = write_runs(experiment, tmp_path, CLOSE)
    other = write_run(experiment.results, folders[0], [0.1, 0.2])
    other["seed"] = other["config"]["seed"] = 17
    other["environment"]["commit"] = "another"
    rewrite(folders[0], other)
    assert compare_runs(folders).cautions == [
        "The runs have different seeds.",
        "The runs were made at different commits.",
    ]


@pytest.mark.parametrize(
    ("key", "value"), [("processor", "another"), ("threads", 99), ("gpus", ["one"])]
)
def test_another_machine_is_said(
    key: str, value: object, experiment: Experiment, tmp_path: Path
) -> None:
    folders = write_runs(experiment, tmp_path, CLOSE)
    other = write_run(experiment.results, folders[0], [0.1, 0.2])
    other["environment"][key] = value
    rewrite(folders[0], other)
    assert compare_runs(folders).cautions == ["The runs used different processors, threads or GPUs."]


def test_two_runs_of_one_loss_are_named_by_their_folders(experiment: Experiment, tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_run(experiment.results, tmp_path / name, [0.5, 0.6])
    names = {run.name for run in compare_runs([tmp_path / "first", tmp_path / "second"]).runs}
    assert names == {f"ContrastiveLoss ({tmp_path / name})" for name in ("first", "second")}


def test_a_miner_is_part_of_the_name(experiment: Experiment, tmp_path: Path) -> None:
    folders = write_runs(experiment, tmp_path, CLOSE)
    other = write_run(experiment.results, folders[0], [0.8, 0.9])
    other["config"]["loss"]["miner"] = {"name": "MultiSimilarityMiner", "params": {}}
    rewrite(folders[0], other)
    assert compare_runs(folders).runs[0].name == "ContrastiveLoss+MultiSimilarityMiner"


def test_a_run_with_fewer_than_two_results_is_refused(experiment: Experiment, tmp_path: Path) -> None:
    folders = write_runs(experiment, tmp_path, CLOSE)
    other = write_run(experiment.results, folders[1], [0.5, 0.6])
    failed = {"failure": "fold 2: the loss is nan", "folds": []}
    other["reproductions"] = [other["reproductions"][0], failed, failed]
    rewrite(folders[1], other)
    with pytest.raises(ConfigError, match="1 of 3 reproductions succeeded") as caught:
        compare_runs(folders)
    assert str(folders[1]) in str(caught.value)
    assert "fold 2: the loss is nan" in str(caught.value)


def test_failed_reproductions_are_shown_and_the_others_count(
    experiment: Experiment, tmp_path: Path
) -> None:
    folders = write_runs(experiment, tmp_path, CLOSE)
    other = write_run(experiment.results, folders[1], [0.5, 0.6, 0.7], "ProxyAnchorLoss")
    other["reproductions"].append({"failure": "fold 2: the loss is nan", "folds": []})
    rewrite(folders[1], other)
    comparison = compare_runs(folders)
    found = next(run for run in comparison.runs if run.folder == folders[1])
    assert (found.reproductions, found.failures) == (3, ["fold 2: the loss is nan"])
    page = Page(write_comparison(comparison, tmp_path / "out").read_text(encoding="utf-8"))
    assert "A reproduction of ProxyAnchorLoss failed in fold 2: the loss is nan" in page.text
    assert "n = 3 to 4 reproductions" in page.text


def test_the_page_shows_every_number_and_loads_nothing(comparison: Comparison, tmp_path: Path) -> None:
    page = Page(write_comparison(comparison, tmp_path / "out").read_text(encoding="utf-8"))
    assert page.loads == []
    assert comparison.verdict in page.text
    for run in comparison.runs:
        for kind, scores in run.results["test"]["trained"].items():
            shown = [interval(score) for score in scores.values()]
            if kind == "separated" and run.name in comparison.told_apart:
                shown[0] += "†"
            assert " ".join([run.name, kind, "4", *shown]) in page.text
    for each in comparison.differences:
        numbers = [signed_interval(each.mean, each.interval), p_value(each.p)]
        numbers.append(p_value(each.corrected_p) + ("†" if each.is_significant else ""))
        numbers.append(signed_interval(each.effect, each.effect_interval, digits=2))
        assert " ".join([each.first, each.second, *numbers]) in page.text


def test_only_separated_scores_of_leaders_are_marked(comparison: Comparison, tmp_path: Path) -> None:
    html = write_comparison(comparison, tmp_path / "out").read_text(encoding="utf-8")
    html = html.replace("<wbr>", "")
    board = html.partition("<h2>Leaderboard</h2>")[2].partition("<h2>Differences</h2>")[0]
    marked = re.findall(r'<tr class="chosen"><td>(\w+)</td><td class="text">(\w+)</td>', board)
    assert marked == [("ProxyAnchorLoss", "separated"), ("ContrastiveLoss", "separated")]


def test_the_csv_files_hold_all_digits(comparison: Comparison, tmp_path: Path) -> None:
    write_comparison(comparison, tmp_path)
    with (tmp_path / "leaderboard.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # Three runs, trained and untrained, separated and concatenated, three metrics.
    assert len(rows) == 36
    for run in comparison.runs:
        (row,) = [
            row
            for row in rows
            if (row["name"], row["model"], row["embeddings"], row["metric"])
            == (run.name, "trained", "separated", PRIMARY_METRIC)
        ]
        score = run.results["test"]["trained"]["separated"][PRIMARY_METRIC]
        assert float(row["mean"]) == score["mean"]
        assert float(row["half_width_95"]) == score["half_width"]
        assert row["n"] == "4"
    with (tmp_path / "differences.csv").open(newline="", encoding="utf-8") as file:
        pairs = list(csv.DictReader(file))
    assert [float(pair["p_holm"]) for pair in pairs] == [
        each.corrected_p for each in comparison.differences
    ]
    assert [float(pair["hedges_g"]) for pair in pairs] == [
        each.effect for each in comparison.differences
    ]


def test_latex_has_four_tables_with_rules_and_escapes(experiment: Experiment, tmp_path: Path) -> None:
    for name in ("a_run", "b%run"):
        write_run(experiment.results, tmp_path / name, [0.5, 0.6])
    write_comparison(compare_runs([tmp_path / "a_run", tmp_path / "b%run"]), tmp_path / "out")
    text = (tmp_path / "out" / "comparison.tex").read_text(encoding="utf-8")
    for command in ("begin{tabular}", "toprule", "midrule", "bottomrule", "caption{"):
        assert text.count(f"\\{command}") == 4
    assert r"a\_run" in text
    assert r"b\%run" in text
    assert r"0.5500 $\pm$ 0.6353" in text
    assert text.isascii()
    for tabular in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end", text, re.DOTALL):
        rows = [line for line in tabular[1].splitlines() if line.endswith(r"\\")]
        assert {row.count(" & ") for row in rows} == {len(tabular[0]) - 1}


def test_names_are_shown_as_text(experiment: Experiment, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    folders = [tmp_path / "a<b>|c" / "x", tmp_path / "second"]
    for folder in folders:
        run = write_run(experiment.results, folder, [0.5, 0.6])
        run["environment"]["commit"] = evil
        rewrite(folder, run)
    page = write_comparison(compare_runs(folders), tmp_path / "out")
    found = Page(page.read_text(encoding="utf-8"))
    assert (found.tags.count("script"), found.tags.count("b")) == (3, 0)
    assert "a<b>|c" in found.text
    markdown = (page.parent / "comparison.md").read_text(encoding="utf-8")
    assert r"a&lt;b>\|c" in markdown


def test_the_traditional_protocol_has_one_kind_and_says_that_it_flatters(
    experiment: Experiment, tmp_path: Path
) -> None:
    folders = write_runs(experiment, tmp_path, CLOSE)
    for folder, (loss, scores) in zip(folders, CLOSE.items(), strict=True):
        run = write_run(experiment.results, folder, scores, loss)
        run["config"]["protocol"] |= {"folds": 1, "study": None}
        run["trials"], run["best"]["validation_map_at_r"] = [], None
        rewrite(folder, run)
    page = write_comparison(compare_runs(folders), tmp_path / "out")
    text = Page(page.read_text(encoding="utf-8")).text
    assert "selected on the test set" in text
    assert "concatenated" not in text
    for name in ("comparison.md", "comparison.tex"):
        written = (page.parent / name).read_text(encoding="utf-8")
        assert "selected on the test set" in written
        assert "concatenated" not in written


def test_the_command_writes_every_file_and_prints_the_leaderboard(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folders = write_runs(experiment, tmp_path, CLOSE)
    result = CliRunner().invoke(app, ["compare", *map(str, folders)], env={"COLUMNS": "80"})
    assert result.exit_code == 0, result.output
    written = {path.name for path in (tmp_path / "comparison").iterdir()}
    assert written == {
        "index.html",
        "comparison.md",
        "comparison.tex",
        "leaderboard.csv",
        "differences.csv",
        "reproductions.csv",
        "runs.csv",
    }
    markdown = (tmp_path / "comparison" / "comparison.md").read_text(encoding="utf-8")
    assert result.stdout.startswith(markdown)
    assert "Comparison: comparison/index.html" in result.stdout


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["ContrastiveLoss"], "takes two runs or more"),
        (["ContrastiveLoss", "ContrastiveLoss/../ContrastiveLoss"], "a run is given twice"),
        (["ContrastiveLoss", "nowhere"], "results.json does not exist"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_code_2(
    experiment: Experiment, tmp_path: Path, names: list[str], message: str
) -> None:
    write_runs(experiment, tmp_path, CLOSE)
    out = tmp_path / "out"
    arguments = ["compare", *(str(tmp_path / name) for name in names), "--folder", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert not out.exists()
