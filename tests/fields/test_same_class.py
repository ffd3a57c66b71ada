import pytest
import torch
from hypothesis import given
from torch import Tensor

from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.plan import Plan
from pml_potential.fields.same_class import same_class_pairs
from tests.fields.field_cases import Case, cases, pairs_where, searched, unordered
from tests.fields.ways import small_plans


@searched
@given(case=cases(), plan=small_plans)
def test_pairs_are_those_of_brute_force(case: Case, plan: Plan) -> None:
    found = same_class_pairs(case.labels, case.targets, case.points.shape[1], plan)
    assert unordered(found) == sorted(pairs_where(case.labels[:, None] == case.labels, case.targets))


@searched
@given(case=cases(), plan=small_plans)
def test_blocks_and_lists_are_small(case: Case, plan: Plan) -> None:
    width = case.points.shape[1]
    for pairs in same_class_pairs(case.labels, case.targets, width, plan):
        assert pairs.chunk == plan.numbers_per_chunk
        if isinstance(pairs, Pairs):
            assert len(pairs.first) <= max(plan.numbers_per_chunk, plan.largest_side**2)
            continue
        groups, rows, columns = pairs.wanted.shape
        assert (groups, rows) == pairs.rows.shape
        assert (groups, columns) == pairs.columns.shape
        assert max(rows, columns) <= plan.largest_side
        assert groups == 1 or groups * max(rows, width) * columns <= plan.numbers_per_chunk


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
def test_number_of_pairs_with_the_usual_plan(labels: Tensor, targets: int) -> None:
    members = labels.unique(return_counts=True)[1]
    sources = labels[targets:].unique(return_counts=True)[1]
    expected = [int((sizes * (sizes - 1)).sum()) // 2 for sizes in (members, sources)]
    found = unordered(same_class_pairs(labels, targets, 64, Plan()))
    assert len(set(found)) == len(found) == expected[0] - expected[1]
    first, second = torch.tensor(found or [(0, 0)]).T
    assert labels[first].equal(labels[second])
    assert (first < targets).all()


@pytest.mark.parametrize(("members", "kind"), [(8, Pairs), (9, Block)])
def test_small_classes_are_listed_and_large_ones_are_blocks(members: int, kind: type) -> None:
    (pairs,) = same_class_pairs(torch.zeros(members, dtype=torch.long), members, 16, Plan())
    assert type(pairs) is kind


def test_classes_of_about_one_size_share_a_block() -> None:
    labels = torch.repeat_interleave(torch.arange(4), torch.tensor([13, 16, 14, 20]))
    plan = Plan(numbers_per_chunk=1500)
    found = list(same_class_pairs(labels, 63, 8, plan))
    assert [len(block.rows) for block in found if isinstance(block, Block)] == [3, 1]


@pytest.mark.parametrize(
    ("smallest", "numbers", "shapes"),
    [
        # Padding costs little: 1,600 numbers where at least 1,060 are needed.
        (13, 1600, [(4, 20, 20)]),
        (13, 1599, [(3, 16, 16), (1, 20, 20)]),
        # It costs half as much again, but an eighth of a chunk at most.
        (3, 8 * 1600, [(4, 20, 20)]),
        (3, 8 * 1600 - 1, [(1, 3, 3), (2, 16, 16), (1, 20, 20)]),
    ],
)
def test_classes_of_any_size_share_a_block_where_padding_costs_little(
    smallest: int, numbers: int, shapes: list[tuple[int, ...]]
) -> None:
    members = torch.tensor([smallest, 16, 14, 20])
    labels = torch.repeat_interleave(torch.arange(4), members)
    plan = Plan(numbers_per_chunk=numbers, small_class=0)
    found = list(same_class_pairs(labels, len(labels), 8, plan))
    assert [block.wanted.shape for block in found if isinstance(block, Block)] == shapes


def test_rows_that_are_the_columns_are_one_tensor() -> None:
    found = same_class_pairs(torch.zeros(600, dtype=torch.long), 600, 16, Plan(largest_side=512))
    shared = [block.columns is block.rows for block in found if isinstance(block, Block)]
    assert shared == [True, False, True]
