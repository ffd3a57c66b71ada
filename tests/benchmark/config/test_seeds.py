import random
from typing import get_args

import numpy as np
import pytest
import torch

from pml_potential.benchmark.config.seeds import Stage, derive_seed, drawn_from, seed_everything


@pytest.mark.parametrize(
    ("seed", "stage", "numbers", "expected"),
    [
        (0, "search", (0, 0), 2968811710),
        (0, "reproduction", (1, 3), 2785080777),
        (7, "label_noise", (2,), 1523371816),
    ],
)
def test_a_seed_is_the_same_on_every_machine(
    seed: int, stage: Stage, numbers: tuple[int, ...], expected: int
) -> None:
    assert derive_seed(seed, stage, *numbers) == expected


def test_no_two_pieces_of_a_run_share_a_seed() -> None:
    pieces: list[tuple[int, ...]] = [(number,) for number in range(200)]
    folds: list[tuple[int, ...]] = [(number, fold) for number in range(60) for fold in range(10)]
    places: dict[Stage, list[tuple[int, ...]]] = {
        "search": folds,
        "reproduction": folds,
        "sampler": pieces,
        "epoch": pieces,
        "label_noise": pieces,
        "view": folds,
    }
    assert places.keys() == set(get_args(Stage))
    seeds = [
        derive_seed(seed, stage, *place)
        for seed in (0, 1)
        for stage, found in places.items()
        for place in found
    ]
    assert len(set(seeds)) == len(seeds)


def test_a_seed_is_one_that_every_generator_takes() -> None:
    seeds = [derive_seed(2**40, "epoch", number) for number in range(100)]
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert max(seeds) > 2**31


def draws() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(()))]


def test_every_generator_starts_anew() -> None:
    seed_everything(3)
    first = draws()
    again = draws()
    seed_everything(3)
    assert draws() == first
    assert all(one != other for one, other in zip(first, again, strict=True))
    seed_everything(4)
    assert all(one != other for one, other in zip(first, draws(), strict=True))


def test_what_is_drawn_from_a_seed_disturbs_nothing() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    for _ in range(2):
        with drawn_from(7):
            found = torch.rand(1)
        with drawn_from(7):
            assert torch.rand(1).equal(found)
    with pytest.raises(KeyError), drawn_from(7):
        raise KeyError(torch.rand(1))
    assert torch.rand(2).equal(expected)
