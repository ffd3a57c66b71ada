"""The trunk that is exported is the one that embeds, also where training saw its features alone."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from pml_potential.benchmark.config.run_folder import RunFolder, fold_folder
from pml_potential.benchmark.config.schema import ConfigError
from pml_potential.benchmark.data.datasets import load_glyphs
from pml_potential.benchmark.data.folds import frozen_trunk
from pml_potential.benchmark.files import write_json
from pml_potential.benchmark.training.exported_model import load_model
from pml_potential.benchmark.training.exporting import export_from_run
from pml_potential.benchmark.training.fold_models import fold_models, save_best
from tests.benchmark.tiny import tiny_config

NUMBER, FOLD = 1, 0


def keep_models(run: RunFolder, models: dict[str, nn.Module]) -> None:
    """What a finished fold of a reproduction leaves."""
    folder = fold_folder(run.reproduction(NUMBER), FOLD)
    (folder / "models").mkdir(parents=True)
    save_best(models, folder)
    history = [{"epoch": 1, "mean_average_precision_at_r": 0.5}]
    write_json(
        folder / "result.json", {"score": 0.5, "best_epoch": 1, "history": history, "seconds": 1.0}
    )


def vectors(folder: Path, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"pixels": pixels})
    return np.asarray(found)


@pytest.mark.parametrize("on_features", [False, True])
def test_the_trunk_is_the_trained_one_or_the_one_that_made_the_features(
    on_features: bool, tmp_path: Path
) -> None:
    config = tiny_config(f"model.freeze_trunk={str(on_features).lower()}", "seed=7")
    glyphs = load_glyphs()
    made = frozen_trunk(config, glyphs)
    with torch.no_grad():
        width = made.eval()(torch.randn(1, 1, 32, 32)).shape[1] if on_features else None
    models = fold_models(config, 1, width)
    run = RunFolder(tmp_path / "run")
    keep_models(run, models)
    export_from_run(run, config, NUMBER, FOLD, tmp_path / "model", onnx=True)
    trunk = made if on_features else models["trunk"]
    image = glyphs.images[0]
    pixels = torch.from_numpy(image).float()[None, None] / 127.5 - 1
    with torch.no_grad():
        expected = models["embedder"](trunk.eval()(pixels))
    found = load_model(tmp_path / "model").embed([Image.fromarray(image)]).cpu()
    torch.testing.assert_close(found, nn.functional.normalize(expected).cpu())
    by_onnxruntime = vectors(tmp_path / "model", image[None, :, :, None])
    np.testing.assert_allclose(by_onnxruntime, found, atol=1e-4)


def test_a_trunk_that_was_trained_behind_a_block_is_exported_whole(tmp_path: Path) -> None:
    config = tiny_config("model.freeze_until='3'", "seed=7")
    models = fold_models(config, 1, None)
    run = RunFolder(tmp_path / "run")
    keep_models(run, models)
    export_from_run(run, config, NUMBER, FOLD, tmp_path / "model")
    whole = models["trunk"].network
    assert isinstance(whole, nn.Module)
    image = load_glyphs().images[0]
    pixels = torch.from_numpy(image).float()[None, None] / 127.5 - 1
    with torch.no_grad():
        expected = models["embedder"](whole.eval()(pixels))
    found = load_model(tmp_path / "model").embed([Image.fromarray(image)]).cpu()
    torch.testing.assert_close(found, nn.functional.normalize(expected).cpu())


def test_an_efficientnet_that_was_trained_behind_a_block_is_a_graph(tmp_path: Path) -> None:
    config = tiny_config(
        "model.trunk=efficientnet_lite0",
        "model.weights=download",
        "model.input={mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2]}",
        "protocol.crop={resize: 32, size: 32}",
        "model.freeze_until=blocks.5",
    )
    run = RunFolder(tmp_path / "run")
    keep_models(run, fold_models(config, 1, None))
    export_from_run(run, config, NUMBER, FOLD, tmp_path / "model", onnx=True)
    images = load_glyphs().images[:40:8]
    expected = load_model(tmp_path / "model").embed([Image.fromarray(image) for image in images])
    assert torch.pdist(expected).min() > 1e-3
    pixels = images[..., None].repeat(3, axis=3)
    np.testing.assert_allclose(vectors(tmp_path / "model", pixels), expected, atol=1e-4)


def test_a_fold_without_a_result_has_no_model(tmp_path: Path) -> None:
    message = r"0001.fold_0 holds no trained model; the run has 2 reproductions of 2 folds"
    with pytest.raises(ConfigError, match=message):
        export_from_run(RunFolder(tmp_path), tiny_config(), NUMBER, FOLD, tmp_path / "model")
    assert not (tmp_path / "model").exists()
