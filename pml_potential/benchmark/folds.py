"""The data of an experiment, divided by its protocol."""

from dataclasses import dataclass

from pml_potential.benchmark.datasets import LabelledImages, load_glyphs
from pml_potential.benchmark.image_dataset import ImageDataset
from pml_potential.benchmark.schema import Config, ConfigError
from pml_potential.benchmark.splits import Splits, class_disjoint_splits


@dataclass(frozen=True)
class FoldData:
    """Images with their splits."""

    images: LabelledImages
    splits: Splits

    def fold(self, number: int) -> tuple[ImageDataset, ImageDataset]:
        """Training and validation images of a fold."""
        fold = self.splits.folds[number]
        return ImageDataset(self.images, fold.train), ImageDataset(self.images, fold.validation)

    @property
    def test(self) -> ImageDataset:
        """The test images."""
        return ImageDataset(self.images, self.splits.test)


def load_fold_data(config: Config) -> FoldData:
    """Load the data set of a configuration and divide it.

    Raises:
        ConfigError: The data set has too few classes for the folds or for a training batch.
    """
    images = load_glyphs()
    try:
        data = FoldData(images, class_disjoint_splits(images.labels, config.protocol.folds))
    except ValueError as error:
        raise ConfigError(f"protocol.folds: {error}") from error
    wanted = config.protocol.batch_size // config.sampler.m
    fewest = min(data.fold(number)[0].num_classes for number in range(config.protocol.folds))
    if fewest < wanted:
        raise ConfigError(
            f"protocol.batch_size {config.protocol.batch_size} with sampler.m {config.sampler.m} takes "
            f"{wanted} classes, but a training fold of {images.name} has only {fewest}; lower the one "
            "or raise the other"
        )
    return data
