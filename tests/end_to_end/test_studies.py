"""Studies and analyses from the command line."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.files import read_json
from tests.end_to_end.command import TINY, call

SETTINGS = [word for part in TINY if "=" in part for word in ("--set", part)]
RANDOM = ["--set", "protocol.study={trials: 1, startup_trials: 1}"]


def test_a_study_of_noise_goes_on_and_its_runs_can_be_analyzed(tmp_path: Path) -> None:
    folder = tmp_path / "noise"
    words = ["study", "noise", "--loss", "potential_field", "--folder", str(folder), *SETTINGS, *RANDOM]
    first = call(*words, "--levels", "0")
    assert first.code == 0, first.errors
    trained = (folder / "potential_field-0" / "trials" / "0000" / "fold_0" / "result.json").stat()
    second = call(*words, "--levels", "0, 0.5")
    assert second.code == 0, second.errors
    after = (folder / "potential_field-0" / "trials" / "0000" / "fold_0" / "result.json").stat()
    assert after.st_mtime_ns == trained.st_mtime_ns
    assert "| dataset.label_noise | 0 | 0.5 |" in second.output
    (points,) = read_json(folder / "study.json")["series"].values()
    assert [point["value"] for point in points] == [0, 0.5]

    analyzed = call("analyze", str(folder / "potential_field-0"), str(folder / "potential_field-0.5"))
    assert analyzed.code == 0, analyzed.errors
    assert "proxies to training data, W2" in analyzed.output
    assert (folder / "potential_field-0.5" / "analysis" / "retrieval_sheet.png").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ablation", "model.embedding_size"], "--values is missing: there is no published grid"),
        (["ablation", "loss.params.alpha", "--values", "[1"], "'[1' is no list of values"),
        (["ablation", "loss.params.alpha", "--values", "9"], "alpha is 9; it must lie in [0, 8]"),
        (["noise", "--levels", "2"], "dataset.label_noise: Input should be less than or equal to 1"),
        (["noise", "--levels", "half"], "levels must be numbers, got 'half'"),
    ],
)
def test_what_cannot_be_studied_is_said(words: list[str], message: str, tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["study", *words, "--folder", str(tmp_path / "study"), *SETTINGS])
    assert ended.exit_code == 2
    assert message in ended.stderr
    assert not (tmp_path / "study").exists()
