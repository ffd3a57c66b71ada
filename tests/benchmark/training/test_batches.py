"""What an epoch draws depends on its seed alone."""

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from pml_potential.benchmark.config.schema import Config, ConfigError
from pml_potential.benchmark.config.seeds import seed_everything
from pml_potential.benchmark.data.folds import FoldData, divide
from pml_potential.benchmark.data.images import ImageArrays
from pml_potential.benchmark.data.labelled_tensors import LabelledTensors
from pml_potential.benchmark.training.batches import BatchDraws, DrawnImages, check_batches
from tests.benchmark.tiny import tiny_config

LABELS = np.repeat(np.arange(6), 5)


class NoisyImages(LabelledTensors):
    """Each is its number plus chance."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return index + torch.rand(3), int(self.labels[index])


@pytest.mark.parametrize(
    ("assignments", "message"),
    [
        (
            ["search.sampler.m={low: 1, high: 2}"],
            "8 with sampler.m 1 takes 8 classes.* only 5",
        ),
        (["sampler.m=1"], "sampler.m 1 takes 8 classes"),
        (
            ["search.sampler.m={low: 2, high: 4}"],
            "from 2 to 4, and protocol.batch_size 8 is not .* 3",
        ),
        (["search.sampler.m={low: 4, high: 8}"], "is not a multiple of 5, 6, 7; narrow the range"),
        (["search.sampler.m={choices: [4, 1]}"], "8 with sampler.m 1 takes 8 classes"),
    ],
)
def test_every_batch_that_a_search_can_ask_for_is_checked(
    assignments: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_batches(*ten_classes(tmp_path, *assignments))


def test_a_search_over_batches_that_all_fit_passes(tmp_path: Path) -> None:
    check_batches(*ten_classes(tmp_path, "search.sampler.m={low: 1, high: 2}", "protocol.batch_size=4"))
    # Those in between are not asked for.
    check_batches(*ten_classes(tmp_path, "search.sampler.m={choices: [2, 4]}"))


def test_random_batches_need_images_and_no_classes(tmp_path: Path) -> None:
    check_batches(*ten_classes(tmp_path, "sampler.m=null", "protocol.batch_size=10"))
    with pytest.raises(ConfigError) as refused:
        check_batches(*ten_classes(tmp_path, "sampler.m=null", "protocol.batch_size=11"))
    expected = "protocol.batch_size is 11, but a training fold of few has only 10 images; lower it"
    assert str(refused.value) == expected


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("{low: 1, high: 2}", "sampler.m 1 takes 8 classes"),
        ("{choices: [2, 1]}", "sampler.m 1 takes 8 classes"),
        ("{choices: [null, 4]}", "protocol.batch_size is 16, but .* only 10 images"),
    ],
)
def test_a_search_decides_which_batches_there_are(search: str, message: str, tmp_path: Path) -> None:
    size = 16 if "null" in search else 8
    with pytest.raises(ConfigError, match=message):
        check_batches(
            *ten_classes(
                tmp_path, f"protocol.batch_size={size}", "sampler.m=null", f"search.sampler.m={search}"
            )
        )


def test_classes_that_noise_has_emptied_do_not_count(tmp_path: Path) -> None:
    settings = ("dataset.label_noise=1.0", "protocol.batch_size=10", "sampler.m=2")
    for seed in range(100):
        config, data = ten_classes(tmp_path, *settings, f"seed={seed}")
        if len(np.unique(data.training_labels(config, 0))) < 5:
            break
    with pytest.raises(ConfigError, match=r"takes 5 classes.* only [1-4];"):
        check_batches(config, data)


def test_noise_takes_two_classes(tmp_path: Path) -> None:
    images = ImageArrays(
        "few", np.zeros((6, 2, 2), np.uint8), np.repeat(np.arange(3), 2), ("a", "b", "c"),
        np.repeat(["train", "test"], [2, 4]),
    )  # fmt: skip
    config = tiny_config("dataset.label_noise=0.5", "protocol.folds=1", "protocol.study=null")
    with pytest.raises(ConfigError, match=r"dataset.label_noise is 0.5: labels hold only the class"):
        check_batches(config, divide(config, images, tmp_path))


def ten_classes(folder: Path, *assignments: str) -> tuple[Config, FoldData]:
    """Ten training classes, of which each of two folds has five."""
    config = tiny_config(*assignments)
    labels = np.repeat(np.arange(20), 2)
    images = ImageArrays("few", np.zeros((40, 2, 2), np.uint8), labels, tuple(map(str, range(20))))
    return config, divide(config, images, folder)


def drawn(sampler: BatchDraws, seed: int) -> list[Any]:
    seed_everything(seed)
    return list(sampler)


def test_an_epoch_does_not_depend_on_the_epochs_before() -> None:
    sampler = BatchDraws(LABELS, 2, 8, 3)
    first, second = drawn(sampler, 0), drawn(sampler, 1)
    assert drawn(sampler, 0) == first != second
    assert drawn(BatchDraws(LABELS, 2, 8, 3), 1) == second


def test_an_epoch_has_its_batches_with_so_many_images_of_a_class() -> None:
    draws = iter(drawn(BatchDraws(LABELS, 2, 8, 3), 0))
    batches = [Counter(LABELS[index] for index, _ in islice(draws, 8)) for _ in range(4)]
    assert [sorted(batch.values()) for batch in batches] == [[2, 2, 2, 2]] * 3 + [[]]


def test_random_batches_show_every_image_once_before_any_comes_again() -> None:
    numbers = [index for index, _ in drawn(BatchDraws(LABELS, None, 8, 9), 0)]
    rounds = [numbers[start : start + 30] for start in (0, 30, 60)]
    assert sorted(rounds[0]) == sorted(rounds[1]) == list(range(30))
    assert rounds[0] != rounds[1]
    assert len(set(rounds[2])) == len(rounds[2]) == 12
    assert numbers[:16] == [index for index, _ in drawn(BatchDraws(LABELS, None, 8, 2), 0)]


def test_random_batches_follow_no_class() -> None:
    sampler = BatchDraws(LABELS, None, 10, 3)
    epochs = [[LABELS[index] for index, _ in drawn(sampler, seed)[:10]] for seed in range(40)]
    counts = Counter(max(Counter(labels).values()) for labels in epochs)
    assert len(counts) > 1, "images of a class in a batch vary"


@pytest.mark.parametrize("m", [2, None])
def test_processes_take_equal_shares_of_each_batch(m: int | None) -> None:
    whole = drawn(BatchDraws(LABELS, m, 8, 3), 0)
    samplers = [BatchDraws(LABELS, m, 8, 3, 2, rank) for rank in range(2)]
    shares = [drawn(sampler, 0) for sampler in samplers]
    assert [len(sampler) for sampler in samplers] == [len(share) for share in shares] == [12, 12]
    batches = [half[start : start + 4] for start in range(0, 12, 4) for half in shares]
    assert [draw for batch in batches for draw in batch] == whole


def test_an_image_that_is_drawn_twice_meets_two_chances() -> None:
    seeds = [seed for _, seed in drawn(BatchDraws(LABELS, 2, 8, 50), 0)]
    assert len(set(seeds)) == len(seeds)


def batches(workers: int) -> list[Tensor]:
    seed_everything(0)
    sampler: Any = BatchDraws(LABELS, 2, 8, 3)
    images = DrawnImages(NoisyImages(LABELS, 1))
    return [images for images, _ in DataLoader(images, 8, sampler=sampler, num_workers=workers)]


@pytest.mark.parametrize("workers", [1, 2])
def test_chance_in_images_does_not_depend_on_the_number_of_processes(workers: int) -> None:
    alone = batches(0)
    assert torch.cat(alone).unique().numel() == 3 * 8 * 3
    assert torch.cat(batches(workers)).equal(torch.cat(alone))


def test_loading_leaves_the_generator_of_the_network_as_it_was() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    DrawnImages(NoisyImages(LABELS, 1))[(3, 99)]
    assert torch.rand(2).equal(expected)
