"""What one does with a configuration besides searching: train, profile, export, embed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pml_potential.benchmark import load_model
from pml_potential.benchmark.config.composing import read_saved
from pml_potential.benchmark.config.run_folder import RunFolder, fold_folder
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.folds import load_fold_data
from pml_potential.benchmark.evaluation import embed
from pml_potential.benchmark.files import read_json
from pml_potential.benchmark.models.device import training_device
from pml_potential.benchmark.training.fold_models import best_models
from tests.end_to_end.command import TINY, call

SETTINGS = [word for part in TINY if "=" in part and "study" not in part for word in ("--set", part)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train") / "run"
    ended = call("train", "quick", *SETTINGS, "--folder", str(folder))
    assert ended.code == 0, ended.errors
    return folder


def test_training_makes_no_trials(trained: Path) -> None:
    results = read_json(trained / "report" / "results.json")
    assert results["trials"] == []
    assert results["best"] == {
        "trial": None,
        "params": {},
        "config": results["config"],
        "validation_map_at_r": None,
    }
    assert len(results["reproductions"]) == 2
    assert "<h2>Search</h2>" not in (trained / "report" / "index.html").read_text()


def test_an_exported_model_embeds_as_it_did_in_the_run(trained: Path, tmp_path: Path) -> None:
    ended = call("export", str(trained), str(tmp_path / "model"), "--reproduction", "2", "--fold", "2")
    assert ended.code == 0, ended.errors
    glyphs = load_glyphs()
    found = load_model(tmp_path / "model").embed([Image.fromarray(x) for x in glyphs.images[:5]])
    config = read_saved(trained / "config.yaml")
    data = load_fold_data(config, tmp_path / "features")
    models = best_models(config, 1, fold_folder(RunFolder(trained).reproduction(1), 1))
    five = data.for_evaluation(config, np.arange(5))
    torch.testing.assert_close(found.cpu(), embed(models, five, training_device()).cpu())


@pytest.mark.parametrize(
    ("run", "arguments", "message"),
    [
        ("nowhere", [], "does not exist; a run writes it at its end"),
        (None, ["--fold", "3"], "holds no trained model; the run has 2 reproductions of 2 folds"),
    ],
)
def test_what_cannot_be_exported_is_said(
    run: str | None, arguments: list[str], message: str, trained: Path, tmp_path: Path
) -> None:
    source = trained if run is None else tmp_path / run
    ended = call("export", str(source), str(tmp_path / "model"), *arguments)
    assert ended.code == 2
    assert message in ended.errors
    assert not (tmp_path / "model").exists()


def test_profile_tells_where_the_time_goes(capfd: pytest.CaptureFixture[str]) -> None:
    ended = call("profile", "quick", *TINY)
    # Libraries in C write past Python's streams.
    assert (ended.code, ended.errors, *capfd.readouterr()) == (0, "", "", "")
    assert "images per second in training; most time goes into" in ended.output
    stages = ("loading", "network", "loss", "backward", "optimizers", "evaluation")
    assert all(f" {stage} " in ended.output for stage in stages)
    assert "0.00 " not in next(line for line in ended.output.splitlines() if "evaluation" in line)
