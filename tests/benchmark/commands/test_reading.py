"""The commands about a run that has ended."""

import re
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from pml_potential.benchmark import load_model
from pml_potential.benchmark.commands.app import app
from pml_potential.benchmark.config.run_folder import RunFolder, audit_folder, fold_folder
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.folds import FoldData
from pml_potential.benchmark.evaluation import PRIMARY_METRIC, embed
from pml_potential.benchmark.files import read_json, write_json
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.report.formatting import interval
from pml_potential.benchmark.report.results import best_config, read_results
from pml_potential.benchmark.report.run_analysis import MEASURES
from pml_potential.benchmark.training.fold_models import best_models
from tests.benchmark.conftest import Experiment
from tests.benchmark.report.runs_to_compare import write_run


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "80"})


@pytest.fixture
def ended(experiment: Experiment, tmp_path: Path) -> Path:
    """A copy of a run, beside which the caches of its own are."""
    return Path(shutil.copytree(experiment.folder, tmp_path / "runs" / "ended"))


def test_report_writes_the_page_again_and_shows_the_scores(ended: Path, experiment: Experiment) -> None:
    page = ended / "report" / "index.html"
    page.unlink()
    result = command("report", ended)
    assert result.exit_code == 0, result.output
    assert "<h2>" in page.read_text(encoding="utf-8")
    score = experiment.results["test"]["trained"]["separated"][PRIMARY_METRIC]
    assert interval(score) in result.stdout
    assert result.stdout.endswith(f"Report: {page}\n")


def test_report_shows_an_audit_that_was_made_since(ended: Path, experiment: Experiment) -> None:
    data = experiment.results["data"]
    none = {"border": 0, "classes": 0, "class": 0}
    found = {"sound": False, "labels": [], "files": [], "format": 1, "data": data}
    folder = audit_folder(ended.parent, data["name"], data["sha256"])
    write_json(folder / "audit.json", found | {"counts": {"equal": none | {"classes": 3}, "near": none}})
    assert command("report", ended).exit_code == 0
    page = (ended / "report" / "index.html").read_text(encoding="utf-8")
    assert (
        "faults in the images</strong>: equal pictures: 3 across classes; near pictures: none." in page
    )


def test_an_exported_model_embeds_images(ended: Path, tmp_path: Path) -> None:
    models = []
    for words in ([], ["--reproduction", "2", "--fold", "2"]):
        target = tmp_path / f"model {len(words)}"
        result = command("export", ended, target, *words)
        assert result.exit_code == 0, result.output
        assert result.stdout == f"Model: {target}\n"
        models.append(load_model(target))
        card = (target / "README.md").read_text(encoding="utf-8")
        assert f"of reproduction {2 if words else 1} of a run" in card
        assert not (target / "model.onnx").exists()
    images = [Image.new("L", (32, 32), grey) for grey in (0, 255)]
    first, second = (model.embed(images) for model in models)
    assert first.shape == second.shape == (2, 64)
    assert not torch.allclose(first, second)


def test_a_model_is_exported_for_onnxruntime_too(ended: Path, tmp_path: Path) -> None:
    result = command("export", ended, tmp_path / "model", "--onnx")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"Model: {tmp_path / 'model'}\n"
    glyphs = load_glyphs()
    session = onnxruntime.InferenceSession(tmp_path / "model" / "model.onnx")
    (found,) = session.run(None, {"pixels": glyphs.images[:3, :, :, None]})
    expected = load_model(tmp_path / "model").embed([glyphs.image(index) for index in range(3)])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert "`model.onnx` gives the same vectors" in (tmp_path / "model" / "README.md").read_text()


def test_the_readme_of_something_else_is_not_overwritten(ended: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# My project\n")
    result = command("export", ended, tmp_path)
    assert result.exit_code == 2
    assert re.fullmatch(r"error: .*README\.md is not a model card of .* own\n", result.stderr)
    assert (tmp_path / "README.md").read_text() == "# My project\n"
    assert not (tmp_path / "model.yaml").exists()


def test_an_exported_model_embeds_as_it_did_in_the_run(
    ended: Path, fold_data: FoldData, tmp_path: Path
) -> None:
    result = command("export", ended, tmp_path / "model", "--reproduction", "2", "--fold", "2")
    assert result.exit_code == 0, result.output
    glyphs = load_glyphs()
    found = load_model(tmp_path / "model").embed([glyphs.image(index) for index in range(5)])
    config = best_config(ended, read_results(ended))
    models = best_models(config, 1, fold_folder(RunFolder(ended).reproduction(1), 1))
    five = fold_data.for_evaluation(config, np.arange(5))
    torch.testing.assert_close(found.cpu(), embed(models, five, training_device()).cpu())


def test_analyze_has_a_column_for_each_run(ended: Path) -> None:
    result = command("analyze", ended)
    assert result.exit_code == 0, result.output
    found = read_json(ended / "analysis" / "analysis.json")
    assert "PotentialFieldLoss" in result.stdout
    for name, title in MEASURES.items():
        value = found["measures"][name]
        (line,) = [line for line in result.stdout.splitlines() if line.startswith(f"{title} ")]
        assert line.strip().endswith("–" if value is None else interval(value))
    assert result.stdout.endswith(f"Analysis: {ended / 'analysis'}\n")


def test_compare_says_who_is_ahead(experiment: Experiment, tmp_path: Path) -> None:
    for loss, scores in (("ContrastiveLoss", [0.5, 0.52]), ("ArcFaceLoss", [0.1, 0.12])):
        write_run(experiment.results, tmp_path / loss, scores, loss)
    folder = tmp_path / "out"
    runs = [tmp_path / loss for loss in ("ArcFaceLoss", "ContrastiveLoss")]
    result = command("compare", *runs, "--folder", folder)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("ContrastiveLoss is ahead of every other run by more than chance.")
    assert result.stdout.endswith(f"Comparison: {folder / 'index.html'}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["report", "RUN"], r"results\.json does not exist; a run writes it at its end"),
        (["export", "RUN", "model"], r"results\.json does not exist; a run writes it at its end"),
        (["analyze", "RUN"], r"results\.json does not exist; a run writes it at its end"),
        (["compare", "RUN", "OTHER"], r"results\.json does not exist; a run writes it at its end"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_run_that_has_not_ended_is_refused(words: list[str], message: str, tmp_path: Path) -> None:
    folders = {"RUN": tmp_path, "OTHER": tmp_path / "other", "model": tmp_path / "model"}
    result = command(*(folders.get(word, word) for word in words))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert re.fullmatch(rf"error: .*{message}\n", result.stderr)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--reproduction", "3"], ["--fold", "3"]])
def test_a_model_that_is_not_there_is_refused(ended: Path, tmp_path: Path, words: list[str]) -> None:
    result = command("export", ended, tmp_path / "model", *words)
    assert result.exit_code == 2
    assert "the run has 2 reproductions of 2 folds" in result.stderr
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("name", ["report", "analyze"])
def test_damaged_results_are_refused(ended: Path, name: str) -> None:
    results = read_json(ended / "report" / "results.json")
    del results["test"]
    write_json(ended / "report" / "results.json", results)
    result = command(name, ended)
    assert result.exit_code == 2
    assert "is damaged: test: Field required" in result.stderr
