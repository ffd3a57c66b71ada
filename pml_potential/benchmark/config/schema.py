"""What a configuration may contain: every key, its type and its range."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator


class ConfigError(ValueError):
    """A configuration that cannot be run; the message says where and what would be right.

    Attributes:
        keys: path of the value that is wrong, where it is a single one.
    """

    def __init__(self, message: str, keys: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.keys = keys


def _check_text(text: str) -> str:
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("it must be text in UTF-8, without NUL; rename the file or folder")
    return text


Text = Annotated[str, AfterValidator(_check_text)]
"""Names and paths that files, databases and pages can hold."""

Positive = Annotated[int, Field(ge=1)]
PositiveNumber = Annotated[float, Field(gt=0)]
Range = Annotated[tuple[PositiveNumber, PositiveNumber], Field(strict=False)]
Colour = Annotated[tuple[float, float, float], Field(strict=False)]
"""Tuples that may be written as YAML's lists; their numbers are as strict as all others."""

Number = bool | int | float | None

Choices = Annotated[tuple[Number | str, ...], Field(strict=False)]
"""Values of one key, from which a search takes one."""

_BOUND = {"model.trunk", "model.weights", "model.pooling"}
"""Covered by the hash recorded with a run's images, so the same in all of its trials."""


class Section(BaseModel):
    """A part of the configuration: unknown keys and text instead of numbers are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Component(Section):
    """A class by its name, with arguments."""

    name: Text = Field(description="The class.")
    params: dict[str, Number] = Field(default={}, description="Its arguments.")


class SearchSettings(Section):
    """The hyperparameter search."""

    trials: Positive = Field(description="Number of hyperparameter settings to try.")
    startup_trials: Positive = Field(
        description="How many of them are random, before the model; if all of these fail, the search "
        "stops."
    )
    sampler: Literal["gp", "tpe", "random"] = Field(
        default="gp",
        description="Optuna's sampler: Bayesian optimisation by a Gaussian process, tree-structured "
        "Parzen estimators, or random search.",
    )
    pruner: Component | None = Field(
        default=None,
        description="A class of optuna.pruners that ends hopeless trials early, by the running mean "
        "over their folds; a fold is a step. null: never, as in the published protocol.",
    )


class Crop(Section):
    """What part of an image the network sees, for networks that take pictures."""

    resize: Positive = Field(
        default=256,
        description="Shorter side, in pixels, before a crop; with squash and pad, side of the square.",
    )
    size: Positive = Field(description="Side of what the network sees, in pixels.")
    fit: Literal["crop", "squash", "pad"] = Field(
        default="crop",
        description="How a picture that is not square becomes one: crop cuts off the excess, so a wide "
        "picture loses its ends; squash changes its aspect ratio; pad adds borders in the network's "
        "mean colour. With squash and pad evaluation sees the whole picture, and random crops for "
        "training are cut out of the square.",
    )
    scale: Range = Field(
        default=(0.16, 1.0), description="Share of the area that a random crop for training takes."
    )
    ratio: Range = Field(default=(0.75, 4 / 3), description="Width over height of a random crop.")
    flip: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.5, description="Probability of a mirror image in training."
    )
    augment: bool = Field(
        default=True, description="Random crops and mirror images in training; false: as in evaluation."
    )
    views: Positive = Field(
        default=5,
        description="With model.freeze_until: how many random crops of each image are drawn, once, and "
        "then kept.",
    )


class Protocol(Section):
    """How every loss is judged."""

    name: Text = Field(description="Its name in reports; runs of different protocols are not compared.")
    folds: Positive = Field(
        description="Blocks of classes to validate on, of the first half of the classes. 1: train on "
        "all of that half, and select on the test set, as the traditional protocol does."
    )
    batch_size: Annotated[int, Field(ge=2)] = Field(description="Images in a training batch.")
    iterations_per_epoch: Positive = Field(description="Training steps that make an epoch.")
    max_epochs: Positive = Field(description="Maximum number of epochs.")
    validation_interval: Positive = Field(description="Epochs from one validation to the next.")
    patience: Annotated[int, Field(ge=0)] = Field(
        description="Stop when the best MAP@R is more epochs old than this."
    )
    study: SearchSettings | None = Field(
        description="null: no search, the hyperparameters are those of the configuration."
    )
    reproductions: Annotated[int, Field(ge=2)] = Field(
        description="Repetitions of the best trial, with new seeds, judged on the test classes."
    )
    recall_at: Annotated[tuple[Positive, ...], Field(strict=False)] = Field(
        default=(), description="K of the Recall@K to report."
    )
    metrics: Annotated[tuple[Text, ...], Field(strict=False)] = Field(
        default=(),
        description="Further metrics of the test: mean_average_precision, mean_reciprocal_rank, ndcg, "
        "NMI or AMI.",
    )
    proxy_alignment: bool = Field(
        default=False,
        description="Measure with each validation how far the proxies are from the training "
        "embeddings (W2); it costs a pass over the training images.",
    )
    deterministic: bool = Field(
        default=False,
        description="Use only deterministic algorithms, so a GPU repeats its numbers; slower, and an "
        "operation that has none is an error.",
    )
    crop: Crop = Field(
        default=Crop(size=227), description="For models with an input; others see whole images."
    )


class Columns(Section):
    """Names of the columns of a table of images."""

    path: Text = Field(default="path", description="Path of the image, relative to the table's folder.")
    label: Text = Field(default="label", description="Its class.")
    split: Text | None = Field(
        default=None,
        description="train, test, query or gallery. Cross-validation then divides only the training "
        "classes, and tests on the others.",
    )
    parent: None = Field(
        default=None, description="Must be null: no protocol uses a second, coarser level of classes."
    )

    @field_validator("parent", mode="before")
    @classmethod
    def _refuse_parent(cls, value: Any) -> Any:
        if value is not None:
            raise ValueError("no protocol uses a second, coarser level of classes; leave it out")
        return value


class Dataset(Section):
    """The images."""

    name: Text = Field(description="Built in, published, or your own.")
    root: Text | None = Field(
        default=None, description="Folder of the files. Default: data/NAME in the working folder."
    )
    file: Text | None = Field(
        default=None,
        description="For table: the CSV or Parquet file. For features: the matrix, as npy, npz, "
        "Parquet or safetensors.",
    )
    columns: Columns = Field(default=Columns(), description="For table: its columns.")
    label_noise: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0,
        description="Share of the training images that get the label of another training class, the "
        "same ones for the whole run; validation and test labels stay clean.",
    )


class Optimizer(BaseModel):
    """An optimizer of ``torch.optim`` by name; further keys are its arguments."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, Number] = Field(init=False)

    name: Text = Field(description="The class in torch.optim.")
    lr: Annotated[float, Field(gt=0)] = Field(description="Learning rate.")

    @property
    def arguments(self) -> dict[str, Any]:
        """All arguments of the constructor except the parameters."""
        return {"lr": self.lr, **self.__pydantic_extra__}


class Input(Section):
    """How pixels become the numbers that a pretrained network was trained on."""

    mean: Colour = Field(description="Subtracted, channel by channel.")
    std: Colour = Field(description="Divided by.")
    channels: Literal["RGB", "BGR"] = Field(default="RGB", description="Their order.")
    white: PositiveNumber = Field(default=1.0, description="Value of a white pixel, 1 or 255.")


class Head(Section):
    """The linear embedder before its first step."""

    start: Literal["random", "pca"] = Field(
        default="random",
        description="Its first weights: random ones, or the principal axes of the trunk's centred "
        "features of the training images (pca), with which the untrained score means something. Takes a "
        "pass over the training images as evaluation sees them, if their features are not cached.",
    )


class Model(Section):
    """The network: a trunk, and a linear embedder on top of it."""

    trunk: Text = Field(
        description="A network of this package, timm/NAME or torchvision/NAME; identity for vectors."
    )
    weights: Text | None = Field(
        default=None,
        description="Pretrained weights: 'download' from where the trunk's library has them, or a local "
        "file (safetensors or a state dict). null: none.",
    )
    pooling: Literal["avg", "max", "avg_max"] = Field(
        default="avg", description="How the trunk's feature map becomes a vector, if it has one."
    )
    input: Input | None = Field(
        default=None, description="null: whole images as they are, with pixels in [-1, 1]."
    )
    embedding_size: Positive = Field(description="Width of the embedding, d.")
    head: Head = Head()
    trunk_optimizer: Optimizer
    embedder_optimizer: Optimizer
    freeze_trunk: bool = Field(
        default=False, description="Train only the embedder, on features that are computed once."
    )
    freeze_until: str | None = Field(
        default=None,
        description="A block of the trunk, such as blocks.5: all before it is frozen, and its output is "
        "computed once. null: the whole trunk is trained.",
    )
    freeze_batchnorm: bool = Field(
        default=False, description="Keep the trunk's BatchNorm in evaluation mode."
    )
    warm_up_epochs: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Number of epochs at the start in which the trunk is frozen."
    )
    amp: Literal["float16", "bfloat16"] | None = Field(
        default=None, description="Mixed precision of the network; the loss stays in float32."
    )
    chunk_size: Positive | None = Field(
        default=None,
        description="Images that the network sees at once in training, for batches larger than memory: "
        "the gradients are those of the whole batch, at the cost of one more forward pass. "
        "BatchNorm that is not frozen takes its statistics over a chunk. null: the whole batch.",
    )
    channels_last: bool = Field(default=False, description="Memory format of images.")
    compile: bool = Field(default=False, description="torch.compile of the trunk.")

    @model_validator(mode="after")
    def _check_frozen(self) -> "Model":
        if self.freeze_trunk and self.freeze_until is not None:
            raise ValueError(
                f"freeze_trunk is true and freeze_until is {self.freeze_until!r}; the first freezes "
                f"the whole trunk, the second the part before a block; leave one out"
            )
        return self


class Loss(Section):
    """The loss, from ``pml_potential`` or ``pytorch_metric_learning.losses``."""

    name: Text = Field(description="The class of the loss.")
    params: dict[str, Number] = Field(
        default={}, description="Its arguments; num_classes and embedding_size are filled in."
    )
    optimizer: Optimizer | None = Field(
        default=None, description="For a loss with parameters; it needs one."
    )
    weight_regularizer: Component | None = Field(
        default=None, description="Of the loss's parameters; weighted by params.weight_reg_weight."
    )
    embedding_regularizer: Component | None = Field(
        default=None, description="Of the embeddings; weighted by params.embedding_reg_weight."
    )
    miner: Component | None = Field(default=None, description="Chooses pairs or triplets of each batch.")
    reducer: Component | None = Field(
        default=None,
        description="How the losses of single elements become one number. null: the loss's default, for "
        "fields the sum divided by the number of points; {name: SumReducer} is the sum.",
    )
    initialize_proxies_after_epoch: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Initialise the proxies from the training embeddings after so many epochs; 0 is "
        "before the first step, null is never.",
    )


class BatchSampling(Section):
    """How a training batch is drawn."""

    m: Positive | None = Field(
        description="Images of a class in a batch. null: images at random, of any class, each once "
        "before any is repeated."
    )


class Training(Section):
    """How learning rates and gradients are treated, for all optimizers alike."""

    schedule: Component | None = Field(
        default=None, description="A class of torch.optim.lr_scheduler, stepped after each epoch."
    )
    clip_value: PositiveNumber | None = Field(
        default=None, description="Largest absolute value in a gradient."
    )
    clip_norm: PositiveNumber | None = Field(default=None, description="Largest norm of gradients.")
    clipped: Literal["all", "network"] = Field(
        default="all",
        description="Whose gradients are clipped: all, or those of trunk and embedder without those of "
        "the loss's parameters.",
    )

    @model_validator(mode="after")
    def _check_clipping(self) -> "Training":
        if self.clipped == "network" and self.clip_value is None and self.clip_norm is None:
            raise ValueError(
                "clipped is 'network', but nothing is clipped; also give clip_value or clip_norm"
            )
        return self


class SearchRange(Section):
    """Where a hyperparameter is searched: between two integers or two numbers, or among choices."""

    low: int | float | None = Field(default=None, description="Lower end.")
    high: int | float | None = Field(default=None, description="Upper end.")
    log: bool = Field(default=False, description="Search the logarithm.")
    choices: Choices = Field(
        default=(), description="Instead of low and high: the values to choose from, such as words."
    )

    @property
    def extremes(self) -> tuple[Number | str, ...]:
        """Values that must work if all are to work: both ends, or every choice."""
        return self.choices or (self.low, self.high)

    @model_validator(mode="after")
    def _check_form(self) -> "SearchRange":
        if self.choices:
            if self.low is not None or self.high is not None or self.log:
                raise ValueError("it has both choices and low, high or log; leave one out")
            if len(set(map(repr, self.choices))) < max(len(self.choices), 2):
                raise ValueError(f"choices are {list(self.choices)}; give at least two, all different")
            return self
        if self.low is None or self.high is None:
            raise ValueError("it needs low and high, or choices")
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
    sampler: BatchSampling
    training: Training = Training()
    search: dict[str, SearchRange] = Field(
        description="Dotted paths of this configuration, each with its range."
    )
    seed: Annotated[int, Field(ge=0)] = Field(
        default=0, description="Every seed of the run is derived from it."
    )

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
                "the proxies would not be trained after that"
            )
        return self

    @model_validator(mode="after")
    def _check_search(self) -> "Config":
        if self.protocol.folds == 1 and self.protocol.study is not None:
            raise ValueError(
                "protocol.folds is 1, which selects on the test set; a search must not see the test "
                "classes, so set protocol.study to null"
            )
        if self.protocol.study is None and self.search:
            raise ValueError(
                f"search: {', '.join(self.search)} cannot be searched while protocol.study is null"
            )
        for path in self.search:
            section = path.partition(".")[0]
            if section not in {"loss", "model", "sampler"}:
                raise ValueError(
                    f"search.{path}: {section!r} cannot be searched; only values of loss, "
                    f"model and sampler can, so that trials stay comparable"
                )
            if path in _BOUND:
                raise ValueError(
                    f"search.{path}: all trials of a run share one trunk, weights and pooling; make a "
                    f"run for each and compare them"
                )
        return self

    @model_validator(mode="after")
    def _check_sizes(self) -> "Config":
        if self.sampler.m is not None and self.protocol.batch_size % self.sampler.m:
            raise ValueError(
                f"protocol.batch_size is {self.protocol.batch_size} and sampler.m is "
                f"{self.sampler.m}; a batch must hold a whole number of classes"
            )
        return self
