import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pml_potential.fields.pairs import Block, Pairs, regrouped
from tests.fields.field_cases import searched, unordered


def some_pairs(length: int, start: int = 0) -> Pairs:
    first = torch.arange(start, start + length)
    return first, first + 1


@searched
@given(lengths=st.lists(st.integers(0, 30), max_size=12), size=st.integers(1, 40))
def test_regrouping_keeps_the_pairs_and_their_order(lengths: list[int], size: int) -> None:
    groups = list(regrouped((some_pairs(length, 100 * i) for i, length in enumerate(lengths)), size))
    expected = [100 * i + k for i, length in enumerate(lengths) for k in range(length)]
    assert [k for first, _ in groups for k in first.tolist()] == expected
    assert all(second.equal(first + 1) for first, second in groups)
    sizes = [len(first) for first, _ in groups]
    assert sizes[:-1] == [size] * (len(sizes) - 1)
    assert all(0 < last <= size for last in sizes[-1:])


def test_blocks_pass_as_they_are_and_at_once() -> None:
    rows = torch.tensor([[0, 1]])
    block = Block(rows, rows, torch.tensor([[[False, True], [False, False]]]))
    before, passed, after = regrouped([some_pairs(1), block, some_pairs(2)], 2)
    assert before is block
    assert not isinstance(passed, Block)
    assert unordered([passed, after]) == [(0, 1), (0, 1), (1, 2)]


def test_a_group_does_not_keep_those_before_it_alive() -> None:
    *_, (last, _) = regrouped([some_pairs(100)], 99)
    assert len(last) == 1
    assert last.untyped_storage().nbytes() == last.element_size()


def test_chosen_pairs_of_a_block() -> None:
    rows, columns = torch.tensor([[7, 3], [5, 1]]), torch.tensor([[0, 2, 4], [6, 8, 9]])
    chosen = torch.zeros(2, 2, 3, dtype=torch.bool)
    chosen[0, 0, 2] = chosen[0, 1, 0] = chosen[1, 1, 1] = True
    first, second = Block(rows, columns, torch.ones_like(chosen)).pairs(chosen)
    assert (first.tolist(), second.tolist()) == ([7, 3, 1], [4, 0, 8])


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
def test_nothing_gives_no_group(lengths: list[int]) -> None:
    assert list(regrouped(map(some_pairs, lengths), 3)) == []
