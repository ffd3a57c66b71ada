import pytest
import torch

from pml_potential.fields.pair_field import energies_at_rest, interactions
from pml_potential.fields.pairs import Block, Pairs
from pml_potential.fields.plan import Plan
from pml_potential.fields.potentials import Contrastive, Logarithmic, PowerLaw
from tests.fields.field_cases import POTENTIALS, arranged, each_potential

ONE_TILE = Plan(few_points=0, small_class=0)


def kinds(arrangement: str, potential: PowerLaw | Logarithmic | Contrastive) -> list[type]:
    """Of what repels, if pairs are too many to list."""
    case = arranged(arrangement, torch.float32)
    acting = interactions(case.points, case.labels, potential, len(case.points), None, ONE_TILE)
    return [type(some.pairs) for some in acting if not some.attracts and some.slope.numel() > 0]


def test_pairs_that_crowd_are_worked_on_as_a_block() -> None:
    assert kinds("on the sphere", Contrastive(0.2, 1.9)) == [Block]


def test_pairs_of_a_block_that_are_too_close_for_it_are_worked_on_one_by_one() -> None:
    # The block is centred on the first of its points, which tells those around it apart.
    assert kinds("within 1e-6 of opposite points", Contrastive(0.2, 1.9)) == [Pairs, Block]


@pytest.mark.parametrize(("radius", "kind"), [(0.01, Block), (1.75, Pairs)])
def test_a_block_of_one_class_in_which_few_act_is_listed(radius: float, kind: type) -> None:
    case = arranged("on the sphere", torch.float32)
    acting = interactions(case.points, case.labels, Contrastive(radius, 0.02), 100, None, ONE_TILE)
    assert {type(some.pairs) for some in acting if some.attracts} == {kind}


@pytest.mark.parametrize("arrangement", ["on the sphere", "with duplicates", "within 1e-3"])
@each_potential
def test_pairs_that_do_not_act_have_no_excess_and_no_slope(
    arrangement: str, potential: PowerLaw | Logarithmic | Contrastive
) -> None:
    case = arranged(arrangement, torch.float64)
    for some in interactions(case.points, case.labels, potential, 100, None, ONE_TILE):
        rests = some.slope == 0
        if isinstance(some.pairs, Block):
            rests |= ~some.pairs.wanted
            assert (some.slope[~some.pairs.wanted] == 0).all()
            assert (some.excess[~some.pairs.wanted] == 0).all()
        else:
            # Those that coincide repel each other without a direction.
            assert some.attracts <= bool((~rests).all())


def test_energies_at_rest_are_the_plateaus_of_all_pairs() -> None:
    potential = POTENTIALS[0]
    own, other = potential.attraction_plateau, potential.repulsion_plateau
    found = energies_at_rest(torch.tensor([0, 2, 0]), potential)
    torch.testing.assert_close(
        found, torch.tensor([2 * own + other, own + 2 * other, 2 * own + other], dtype=torch.float64)
    )
