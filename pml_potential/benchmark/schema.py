"""What a configuration may say: every key, its type and its range."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator


class ConfigError(ValueError):
    """A configuration that cannot be run; the message says where and what would be right.

    Attributes:
        keys: path of the value that is wrong, where it is a single one.
    """

    def __init__(self, message: str, keys: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.keys = keys


Positive = Annotated[int, Field(ge=1)]
Number = bool | int | float | None


class Section(BaseModel):
    """A part of the configuration: unknown keys and text in place of numbers are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Study(Section):
    """The hyperparameter search."""

    trials: Positive = Field(description="Settings of the hyperparameters to try.")
    startup_trials: Positive = Field(description="How many of them are random, before the model.")


class Protocol(Section):
    """How every loss is judged."""

    name: str
    folds: Annotated[int, Field(ge=2)] = Field(description="Blocks of classes to validate on.")
    batch_size: Annotated[int, Field(ge=2)] = Field(description="Images in a training batch.")
    iterations_per_epoch: Positive = Field(description="Training steps that make an epoch.")
    max_epochs: Positive = Field(description="Epochs at the most.")
    validation_interval: Positive = Field(description="Epochs from one validation to the next.")
    patience: Annotated[int, Field(ge=0)] = Field(
        description="Stop when the best MAP@R is more epochs old than this."
    )
    study: Study
    reproductions: Annotated[int, Field(ge=2)] = Field(
        description="Repetitions of the best trial, with new seeds, judged on the test classes."
    )


class Dataset(Section):
    """The images."""

    name: Literal["glyphs"]


class Optimizer(BaseModel):
    """An optimizer of ``torch.optim`` by name; further keys are its arguments."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, Number] = Field(init=False)

    name: str
    lr: Annotated[float, Field(gt=0)]

    @property
    def arguments(self) -> dict[str, Any]:
        """All that goes to the constructor besides the parameters."""
        return {"lr": self.lr, **self.__pydantic_extra__}


class Model(Section):
    """The network: a trunk, and a linear embedder on top of it."""

    trunk: Literal["small_cnn"]
    embedding_size: Positive
    trunk_optimizer: Optimizer
    embedder_optimizer: Optimizer


class Loss(Section):
    """The loss, from ``pml_potential`` or ``pytorch_metric_learning.losses``."""

    name: str
    params: dict[str, Number] = Field(
        default={}, description="Its arguments; num_classes and embedding_size are filled in."
    )
    optimizer: Optimizer | None = Field(
        default=None, description="For a loss with parameters; it needs one."
    )
    initialize_proxies_after_epoch: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Start the proxies in the training set's embeddings after so many epochs; 0 is "
        "before the first step, null is never.",
    )


class Sampler(Section):
    """How a training batch is drawn."""

    m: Positive = Field(description="Images of a class in a batch.")


class SearchRange(Section):
    """Where a hyperparameter is searched: between two integers, or between two numbers."""

    low: int | float
    high: int | float
    log: bool = False

    @model_validator(mode="after")
    def _check_order(self) -> "SearchRange":
        if not self.low < self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}; low must be below high")
        if self.log and self.low <= 0:
            raise ValueError(f"low is {self.low}; a logarithmic range must lie above 0")
        return self


class Config(Section):
    """One experiment."""

    protocol: Protocol
    dataset: Dataset
    model: Model
    loss: Loss
    sampler: Sampler
    search: dict[str, SearchRange] = Field(
        description="Dotted paths of this configuration, each with its range."
    )
    seed: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _check_epochs(self) -> "Config":
        last = self.protocol.max_epochs
        if self.protocol.validation_interval > last:
            raise ValueError(
                f"protocol.validation_interval is {self.protocol.validation_interval} and "
                f"protocol.max_epochs is {last}; training would end before the first validation"
            )
        start = self.loss.initialize_proxies_after_epoch
        if start is not None and start >= last:
            raise ValueError(
                f"loss.initialize_proxies_after_epoch is {start} and protocol.max_epochs is {last}; "
                "the proxies would never be trained from there"
            )
        return self

    @model_validator(mode="after")
    def _check_search(self) -> "Config":
        for path in self.search:
            section = path.partition(".")[0]
            if section not in {"loss", "model", "sampler"}:
                raise ValueError(
                    f"search.{path}: nothing of {section!r} can be searched, only values of loss, "
                    "model and sampler; the rest is what makes trials comparable"
                )
        return self

    @model_validator(mode="after")
    def _check_sizes(self) -> "Config":
        if self.protocol.batch_size % self.sampler.m:
            raise ValueError(
                f"protocol.batch_size is {self.protocol.batch_size} and sampler.m is "
                f"{self.sampler.m}; a batch must hold a whole number of classes"
            )
        return self
