"""The presets: YAML files of protocols, data sets, models and losses, by name."""

from importlib.resources import files
from pathlib import Path

from pml_potential.benchmark.config.nearest import did_you_mean
from pml_potential.benchmark.config.schema import ConfigError

KINDS = {"protocol": "protocols", "dataset": "datasets", "model": "models", "loss": "losses"}
"""The kinds of presets, with their folders, in the order in which they are merged."""


def presets_folder() -> Path:
    """Folder of the presets: inside an installed package, or at the top of a checkout."""
    package = Path(str(files("pml_potential")))
    installed = package / "benchmarker_configs"
    return installed if installed.is_dir() else package.parent / "benchmarker_configs"


def preset_names(kind: str) -> list[str]:
    """Names of the presets of a kind.

    Examples:
        >>> "potential_field" in preset_names("loss")
        True
    """
    return sorted(path.stem for path in (presets_folder() / KINDS[kind]).glob("*.yaml"))


def preset_description(kind: str, name: str) -> str:
    """What a preset is, in a line: the comment on the first line of its file.

    Examples:
        >>> preset_description("protocol", "mlrc_batch256")
        'MLRC with batches of 256.'
    """
    return first_comment(preset_path(kind, name))


def first_comment(path: Path) -> str:
    """The comment on the first line of a YAML file."""
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()


def preset_path(kind: str, name: str) -> Path:
    """File of a preset, or the YAML file whose path is given instead.

    Raises:
        ConfigError: There is no such preset.
    """
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    path = presets_folder() / KINDS[kind] / f"{name}.yaml"
    if not path.is_file():
        names = preset_names(kind)
        near = did_you_mean(name, names)
        raise ConfigError(
            f"there is no {kind} {name!r}{near}; there are: {', '.join(names)}. To use your own "
            f"file, give its path, which ends in .yaml"
        )
    return path
