"""Taking a trained model out of a run."""

from pathlib import Path

from pml_potential.benchmark.config import read_saved
from pml_potential.benchmark.folds import frozen_trunk, load_fold_data, uses_features
from pml_potential.benchmark.models.export import export_model
from pml_potential.benchmark.records import read_json
from pml_potential.benchmark.reproduction import reproduction_folder
from pml_potential.benchmark.schema import Config, ConfigError
from pml_potential.benchmark.training import best_models, finished_fold


def export_from_run(run: Path, reproduction: int, fold: int, target: Path) -> None:
    """Write one of the models of a run that has ended.

    Args:
        run: folder of the run.
        reproduction: which of its reproductions, from 0.
        fold: which of the reproduction's models, from 0.
        target: folder of the model.

    Raises:
        ConfigError: There is no such run or model.
    """
    results = run / "report" / "results.json"
    if not results.is_file():
        raise ConfigError(f"{results} does not exist; a run writes it at its end")
    saved = read_saved(run / "config.yaml")
    config = Config.model_validate(read_json(results)["best"]["config"])
    folder = reproduction_folder(run, reproduction) / f"fold_{fold}"
    if finished_fold(folder) is None:
        raise ConfigError(
            f"{folder} holds no trained model; the run has {saved.protocol.reproductions} reproductions "
            f"of {saved.protocol.folds} folds"
        )
    data = load_fold_data(config, run.parent / "features")
    models = best_models(config, data.test, folder)
    trunk = frozen_trunk(config, data.images) if uses_features(config) else models["trunk"]
    export_model(target, config, trunk, models["embedder"])
