"""All near pairs are found, as comparing all pairs of pictures finds them, and no other."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pml_potential.benchmark.data import near_pictures as module
from pml_potential.benchmark.data.near_pictures import MOST_BITS, MOST_COLOUR, near_pictures
from pml_potential.benchmark.data.picture_hashes import hashes_of
from tests.benchmark.data.test_picture_hashes import photograph


def some_hashes(count: int, spread: int = 60) -> NDArray[Any]:
    """Hashes of different pictures whose looks differ in few bits."""
    generator = np.random.default_rng(0)
    hashes = np.zeros(count, hashes_of(photograph()).dtype)
    bits = np.zeros((count, 256), np.uint8)
    for row in bits:
        row[generator.choice(256, generator.integers(0, spread), replace=False)] = 1
    hashes["looks"] = np.packbits(bits, axis=1)
    hashes["pixels"][:, :2] = np.arange(count)[:, None] // (1, 256) % 256
    hashes["colours"] = generator.integers(0, 3 * MOST_COLOUR, (count, 1))
    return hashes


def test_pairs_are_those_of_a_plain_loop() -> None:
    hashes = some_hashes(90)
    expected = {}
    for first in range(90):
        for second in range(first + 1, 90):
            bits = int(np.unpackbits(hashes["looks"][first] ^ hashes["looks"][second]).sum())
            colours = hashes["colours"][[first, second]].astype(float)
            if bits <= MOST_BITS and np.abs(colours[0] - colours[1]).mean() <= MOST_COLOUR:
                expected[first, second] = bits
    found = near_pictures(hashes)
    assert 100 < len(expected) < 90 * 89 / 2
    assert dict(zip(map(tuple, found.pairs.tolist()), found.bits.tolist(), strict=True)) == expected
    assert found.count == len(expected)
    assert (np.diff(found.bits) >= 0).all()


@pytest.mark.parametrize(("bits", "count"), [(MOST_BITS, 1), (MOST_BITS + 1, 0)])
def test_the_limit_is_part_of_what_is_near(bits: int, count: int) -> None:
    hashes = some_hashes(2, spread=1)
    hashes["looks"][1] = np.packbits(np.arange(256) < bits)
    hashes["colours"] = 0
    assert near_pictures(hashes).count == count


def test_equal_pictures_count_once() -> None:
    hashes = some_hashes(4, spread=1)
    hashes["colours"] = 0
    hashes["pixels"][[1, 3]] = hashes["pixels"][0]
    assert near_pictures(hashes).pairs.tolist() == [[0, 2]]


def test_of_too_many_pairs_the_nearest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    hashes = some_hashes(90)
    whole = near_pictures(hashes)
    monkeypatch.setattr(module, "MOST_PAIRS", 50)
    found = near_pictures(hashes)
    assert found.count == whole.count
    assert found.bits.tolist() == whole.bits[:50].tolist()


def test_nothing_is_near_where_there_is_one_picture() -> None:
    found = near_pictures(some_hashes(1))
    assert (found.pairs.shape, found.count) == ((0, 2), 0)
