"""The results of a run from its ``results.json``, checked before they are used."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pml_potential.benchmark.config.reasons import reason_of
from pml_potential.benchmark.config.run_folder import RunFolder
from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.evaluation import all_metrics
from pml_potential.benchmark.files import read_json

FORMAT = 2
"""Number of the layout of ``results.json``; files without the number have layout 1."""


class _Layout(BaseModel):
    """A part of the file: what is used must be there, and more may be."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Protocol(_Layout):
    name: str
    folds: int
    batch_size: int
    iterations_per_epoch: int
    metrics: list[str] = []
    recall_at: list[int] = []


class _Loss(_Layout):
    name: str


class _Model(_Layout):
    trunk: str
    embedding_size: int


class _Configuration(_Layout):
    protocol: _Protocol
    dataset: dict[str, Any]
    model: _Model
    loss: _Loss
    search: dict[str, dict[str, Any]]


class _Interval(_Layout):
    mean: float
    deviation: float | None
    half_width: float | None
    values: list[float]


class _Fold(_Layout):
    score: float
    best_epoch: int
    history: list[dict[str, float]]
    seconds: float


class _Trial(_Layout):
    number: int
    params: dict[str, Any]
    validation_map_at_r: float | None
    failure: str | None
    folds: list[_Fold]


class _Best(_Layout):
    trial: int | None
    params: dict[str, Any]
    config: dict[str, Any]
    validation_map_at_r: float | None


class _Reproduction(_Layout):
    folds: list[_Fold]
    failure: str = ""


class _Data(_Layout):
    name: str
    sha256: str
    images: int
    classes: int
    classes_by_part: dict[str, int]


class _Cost(_Layout):
    pieces: int
    folds: int
    epochs: int
    images: int
    seconds: float


class _Environment(_Layout):
    python: str
    platform: str
    packages: dict[str, str]
    commit: str | None


class _Results(_Layout):
    config: _Configuration
    seed: int
    data: _Data
    weights_sha256: str | None
    environment: _Environment
    trials: list[_Trial]
    best: _Best
    importance: dict[str, float]
    reproductions: list[_Reproduction]
    test: dict[str, dict[str, dict[str, _Interval]]]
    cost: dict[str, _Cost]
    published: dict[str, Any] | None

    @model_validator(mode="after")
    def _check_metrics(self) -> "_Results":
        protocol = self.config.protocol
        metrics = all_metrics(protocol.metrics, protocol.recall_at)
        for state, kinds in self.test.items():
            for kind in ("separated", "concatenated"):
                missing = [metric for metric in metrics if metric not in kinds.get(kind, {})]
                if missing:
                    raise ValueError(f"test.{state}.{kind} has no {missing[0]}")
        return self


def read_results(folder: Path) -> dict[str, Any]:
    """Read the results of a run.

    Args:
        folder: folder of the run.

    Returns:
        The results that the run collected at its end.

    Raises:
        ConfigError: The run has not finished, or the file is damaged or of another version.
    """
    path = RunFolder(folder).results
    if not path.is_file():
        raise ConfigError(f"{path} does not exist; a run writes it at its end")
    try:
        results = read_json(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    found = results.get("format", 1) if isinstance(results, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise ConfigError(
            f"{path} has layout {found}, and this version of pml-potential reads layout {FORMAT}; "
            "a later version wrote it, so update this one"
        )
    if found != FORMAT:
        raise ConfigError(
            f"{path} has layout {found}, and this version of pml-potential reads layout {FORMAT}; the "
            "command that made the run rewrites it, without training again"
        )
    try:
        _Results.model_validate(results)
    except ValidationError as error:
        raise ConfigError(
            f"{path} is damaged: {reason_of(error)}; the command that made the run rewrites it, "
            "without training again"
        ) from error
    return dict(results)


def run_config(folder: Path, results: dict[str, Any]) -> Config:
    """The configuration that a run was started with.

    Raises:
        ConfigError: It does not fit this version.
    """
    return _config(folder, results["config"])


def best_config(folder: Path, results: dict[str, Any]) -> Config:
    """The configuration with the hyperparameters of the best trial, which the reproductions have.

    Raises:
        ConfigError: It does not fit this version.
    """
    return _config(folder, results["best"]["config"])


def embedding_kinds(results: dict[str, Any]) -> tuple[str, ...]:
    """Which embeddings the tables of a run show: a single model is its own concatenation.

    Examples:
        >>> embedding_kinds({"config": {"protocol": {"folds": 1}}})
        ('separated',)
    """
    folds = results["config"]["protocol"]["folds"]
    return ("separated", "concatenated") if folds > 1 else ("separated",)


def _config(folder: Path, values: dict[str, Any]) -> Config:
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise ConfigError(
            f"{RunFolder(folder).results} holds no configuration of this version of pml-potential: "
            f"{reason_of(error)}"
        ) from error
