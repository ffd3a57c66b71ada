"""Export a trained model from a run."""

from pathlib import Path

from pml_potential.benchmark.config.run_folder import RunFolder, fold_folder
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.data.datasets.catalogue import load_images
from pml_potential.benchmark.data.folds import frozen_trunk, uses_features
from pml_potential.benchmark.data.identity import check_weights
from pml_potential.benchmark.models.cut_trunk import CutTrunk, image_shape
from pml_potential.benchmark.models.trunks import takes_vectors
from pml_potential.benchmark.training.exported_model import export_model
from pml_potential.benchmark.training.fold import finished_fold
from pml_potential.benchmark.training.fold_models import best_models
from pml_potential.benchmark.training.onnx_model import check_onnx_libraries, write_onnx


def export_from_run(
    run: RunFolder, config: Config, reproduction: int, fold: int, target: Path, onnx: bool = False
) -> None:
    """Write one of the models of a finished run.

    Args:
        run: the run.
        config: of its best trial, which its reproductions were trained with.
        reproduction: which of its reproductions, from 0.
        fold: which of the reproduction's models, from 0.
        target: folder of the model.
        onnx: whether to also write it as a graph for onnxruntime. Default: no.

    Raises:
        ConfigError: There is no such model, the weights of its frozen trunk have changed, or it cannot
            be written as a graph, such as a model of vectors.
        DamagedFileError: Its file is damaged.
    """
    folder = fold_folder(run.reproduction(reproduction), fold)
    if finished_fold(folder) is None:
        raise ConfigError(
            f"{folder} holds no trained model; the run has {config.protocol.reproductions} "
            f"reproductions of {config.protocol.folds} folds"
        )
    if onnx:
        if takes_vectors(config.model.trunk):
            raise ConfigError(
                "the model takes vectors, and --onnx writes graphs that take pictures; export it "
                "without --onnx"
            )
        check_onnx_libraries()
    images = load_images(config.dataset)
    models = best_models(config, images.channels, folder)
    trunk = models["trunk"]
    if uses_features(config):
        trunk = frozen_trunk(config, images)
        check_weights(run, trunk)
    elif isinstance(trunk, CutTrunk):
        trunk = trunk.network
    export_model(target, config, trunk, models["embedder"])
    if onnx:
        shape = image_shape(config.model, config.protocol.crop)
        # Whole images are all of one size.
        width, height = images.image(0).size if shape is None else (shape[2], shape[1])
        write_onnx(target, height, width)
