"""The command line: what it prints, where, and with which exit code."""

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pml_potential import __version__
from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.report.formatting import METRIC_NAMES, interval
from tests.end_to_end.command import Reference, call, call_from_a_shell


def test_help_names_the_commands() -> None:
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "160"})
    assert result.exit_code == 0
    assert "run" in result.output
    assert "report" in result.output
    assert "Reality" in result.output


def test_version_is_that_of_the_package() -> None:
    ended = call("--version")
    assert (ended.code, ended.output.strip(), ended.errors) == (0, __version__, "")


def test_help_of_run_names_every_option() -> None:
    text = CliRunner().invoke(app, ["run", "--help"], env={"COLUMNS": "160"}).output
    for option in ("--protocol", "--dataset", "--model", "--loss", "--set", "--folder"):
        assert option in text


def test_an_error_is_one_line_on_stderr_without_traceback(tmp_path: Path) -> None:
    arguments = ["run", "quick", "--folder", str(tmp_path / "run"), "--set", "protocol.flods=3"]
    ended = call_from_a_shell(*arguments)
    assert ended.code == 2
    assert ended.output == "Loading PyTorch and other libraries\n"
    assert re.fullmatch(r"error: --set protocol\.flods=3: .*did you mean 'folds'\?.*\n", ended.errors)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["quikc"], "no protocol 'quikc', did you mean 'quick'"),
        (["--loss", "potential_feild"], "no loss 'potential_feild', did you mean 'potential_field'"),
        (["--dataset", "glyph"], "no dataset 'glyph', did you mean 'glyphs'"),
        (["--model", "missing.yaml"], "missing.yaml cannot be read"),
        (["--set", "seed=1e-5"], "'1e-5' is text in YAML"),
        (["--set", "loss.params.alhpa=2.0"], "did you mean 'alpha'"),
        (["--set", "protocol.batch_size=1024", "--set", "sampler.m=1"], "has only 75"),
        (["--set", "protocol.folds=60"], "need at least 240"),
        (["quick", "--protocol", "mlrc"], "'quick' and as --protocol 'mlrc'"),
        (["--set", "protocol.validation_interval=6"], "validation_interval"),
    ],
)
def test_what_cannot_run_is_refused_with_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = CliRunner().invoke(app, ["run", "--folder", str(tmp_path / "run"), *arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stdout == ""


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    result = CliRunner().invoke(app, ["run", "--folder", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert (tmp_path / "file").read_text() == "mine"


def test_output_that_is_no_terminal_is_plain_lines(reference: Reference) -> None:
    ended = reference.ended
    assert ended.code == 0, ended.errors
    assert "\x1b" not in ended.output + ended.errors
    assert "\r" not in ended.output
    pieces = re.findall(r"^(trial|reproduction) (\d)/2: 0\.\d{3} ", ended.output, re.M)
    assert pieces == [(kind, number) for kind in ("trial", "reproduction") for number in "12"]
    assert ended.output.startswith("Loading PyTorch and other libraries\n")


def test_nothing_but_the_command_speaks(reference: Reference) -> None:
    assert reference.ended.errors == ""
    assert "%|" not in reference.ended.output


def test_the_table_at_the_end_has_every_number(reference: Reference) -> None:
    for kinds in reference.results["test"].values():
        for metrics in kinds.values():
            assert all(interval(metrics[metric]) in reference.ended.output for metric in METRIC_NAMES)
    assert f"Report: {reference.folder / 'report' / 'index.html'}" in reference.ended.output


def test_report_writes_the_page_again(reference: Reference, tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    for name in ("results.json", "retrieval.json"):
        shutil.copy(reference.folder / "report" / name, tmp_path / "report")
    ended = call("report", str(tmp_path))
    assert ended.code == 0, ended.errors
    page, original = (
        re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", path.read_text(encoding="utf-8"))
        for path in (folder / "report" / "index.html" for folder in (tmp_path, reference.folder))
    )
    assert page == original
    assert "trained" in ended.output


def test_a_report_of_a_run_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(tmp_path)])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert "results.json does not exist" in result.stderr
