import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from pml_potential.fields import same_class
from pml_potential.fields.pairs import Block
from pml_potential.fields.same_class import same_class_pairs
from tests.fields.field_cases import Case, cases, pairs_where, searched, unordered

in_pieces = settings(searched, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("most_listed", [0, 12, 64, 2**40])
@in_pieces
@given(
    case=cases(),
    numbers=st.integers(1, 500),
    side=st.integers(1, 40),
    width=st.integers(1, 9),
)
def test_pairs_are_those_of_brute_force(
    monkeypatch: pytest.MonkeyPatch, case: Case, numbers: int, side: int, width: int, most_listed: int
) -> None:
    monkeypatch.setattr(same_class, "_NUMBERS_PER_BLOCK", numbers)
    monkeypatch.setattr(same_class, "_LARGEST_SIDE", side)
    monkeypatch.setattr(same_class, "_PAIRS_OF_SMALL_CLASS", most_listed)
    found = same_class_pairs(case.labels, case.targets, width)
    assert unordered(found) == sorted(pairs_where(case.labels[:, None] == case.labels, case.targets))


@in_pieces
@given(
    case=cases(),
    numbers=st.integers(1, 500),
    side=st.integers(1, 40),
    width=st.integers(1, 9),
)
def test_blocks_are_small(
    monkeypatch: pytest.MonkeyPatch, case: Case, numbers: int, side: int, width: int
) -> None:
    monkeypatch.setattr(same_class, "_NUMBERS_PER_BLOCK", numbers)
    monkeypatch.setattr(same_class, "_LARGEST_SIDE", side)
    monkeypatch.setattr(same_class, "_PAIRS_OF_SMALL_CLASS", 0)
    for block in same_class_pairs(case.labels, case.targets, width):
        assert isinstance(block, Block)
        groups, rows, columns = block.wanted.shape
        assert (groups, rows) == block.rows.shape
        assert (groups, columns) == block.columns.shape
        assert max(rows, columns) <= side
        assert groups == 1 or groups * max(rows, width) * columns <= numbers


@in_pieces
@given(case=cases(), numbers=st.integers(1, 500), side=st.integers(1, 20))
def test_lists_of_small_classes_are_short(
    monkeypatch: pytest.MonkeyPatch, case: Case, numbers: int, side: int
) -> None:
    monkeypatch.setattr(same_class, "_NUMBERS_PER_BLOCK", numbers)
    monkeypatch.setattr(same_class, "_LARGEST_SIDE", side)
    monkeypatch.setattr(same_class, "_PAIRS_OF_SMALL_CLASS", 2**40)
    for pairs in same_class_pairs(case.labels, case.targets, 1):
        assert not isinstance(pairs, Block)
        assert len(pairs[0]) <= max(numbers, side**2)


SIZES: list[tuple[str, Tensor, int]] = [
    ("one class", torch.zeros(700, dtype=torch.long), 700),
    ("one class, few targets", torch.zeros(700, dtype=torch.long), 3),
    ("classes of one", torch.arange(700).flip(0), 700),
    ("classes of two", torch.arange(700) % 350, 700),
    ("two classes", torch.arange(700) % 2, 300),
    ("one large class among classes of one", torch.arange(700).clamp_min(400), 700),
    ("targets and sources share no class", torch.arange(700) // 200, 200),
    ("labels with gaps", torch.arange(700) % 7 * 10**12, 700),
]


@pytest.mark.parametrize(("labels", "targets"), [s[1:] for s in SIZES], ids=[s[0] for s in SIZES])
def test_number_of_pairs_with_the_usual_thresholds(labels: Tensor, targets: int) -> None:
    members = labels.unique(return_counts=True)[1]
    sources = labels[targets:].unique(return_counts=True)[1]
    expected = [int((sizes * (sizes - 1)).sum()) // 2 for sizes in (members, sources)]
    found = unordered(same_class_pairs(labels, targets, 64))
    assert len(set(found)) == len(found) == expected[0] - expected[1]
    first, second = torch.tensor(found or [(0, 0)]).T
    assert labels[first].equal(labels[second])
    assert (first < targets).all()


@pytest.mark.parametrize(("members", "kind"), [(8, tuple), (9, Block)])
def test_small_classes_are_listed_and_large_ones_are_blocks(members: int, kind: type) -> None:
    (pairs,) = same_class_pairs(torch.zeros(members, dtype=torch.long), members, 16)
    assert type(pairs) is kind


def test_rows_that_are_the_columns_are_one_tensor() -> None:
    blocks = [b for b in same_class_pairs(torch.zeros(600).long(), 600, 16) if isinstance(b, Block)]
    shared = [block.columns is block.rows for block in blocks]
    assert shared == [True, False, True]
