"""What the PFML paper proves about its potentials, and where it stops to hold.

Properties and propositions of Bhatnagar & Ahuja, CVPR 2025, on the engine's own potentials.
"""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential import CPMLLoss, PotentialFieldLoss
from pml_potential.analysis import class_field, proxies_of, proxy_alignment
from pml_potential.fields.potentials import (
    SMALLEST_CORE_RADIUS,
    Contrastive,
    Logarithmic,
    Potential,
    PowerLaw,
)

DELTA = 0.2
DECAYING: list[Potential] = [
    Logarithmic(DELTA, DELTA),
    PowerLaw(DELTA, DELTA, 1.0),
    PowerLaw(DELTA, DELTA, 4.0),
    PowerLaw(DELTA, DELTA, 8.0),
]
DISTANCES = torch.linspace(0, 2, 2001, dtype=torch.float64)

each_decaying = pytest.mark.parametrize("potential", DECAYING, ids=repr)
each_potential = pytest.mark.parametrize("potential", [*DECAYING, Contrastive(DELTA, DELTA)], ids=repr)


def values(potential: Potential, half: str) -> Tensor:
    value: Tensor = getattr(potential, half)(DISTANCES.square())[0]
    return value


def forces(potential: Potential, half: str) -> Tensor:
    """Size of the force at each distance."""
    slope: Tensor = getattr(potential, half)(DISTANCES.square())[1]
    return (2 * slope * DISTANCES).abs()


# The Extremum property: attraction is lowest, and repulsion highest, at the source itself.


@each_potential
def test_attraction_is_lowest_at_the_source_and_everywhere_within_delta(potential: Potential) -> None:
    value = values(potential, "attraction")
    lowest = value == value.min()
    assert lowest[DISTANCES <= DELTA].all()
    assert not lowest[DISTANCES > DELTA + 1e-9].any()
    assert (value.diff() >= 0).all()


@each_potential
def test_repulsion_is_highest_at_the_source_alone_and_lowest_from_delta_on(
    potential: Potential,
) -> None:
    value = values(potential, "repulsion")
    within = DISTANCES < DELTA - 1e-9
    assert (value[within].diff() < 0).all()
    assert (value[DISTANCES >= DELTA] == value.min()).all()


# The Decay property: the force fades with distance.


@each_decaying
def test_both_forces_of_pfml_fade_with_distance_wherever_they_act(potential: Potential) -> None:
    attraction, repulsion = forces(potential, "attraction"), forces(potential, "repulsion")
    assert (attraction[DISTANCES > DELTA + 1e-9].diff() < 0).all()
    assert (repulsion[(DISTANCES > SMALLEST_CORE_RADIUS) & (DISTANCES < DELTA - 1e-9)].diff() < 0).all()


@each_decaying
def test_attraction_of_pfml_does_not_decay_across_delta_where_it_begins(potential: Potential) -> None:
    attraction = forces(potential, "attraction")
    assert (attraction[DISTANCES <= DELTA] == 0).all()
    assert DISTANCES[attraction.argmax()].item() == pytest.approx(DELTA, abs=1.5e-3)


def test_attraction_of_cpml_grows_with_distance_but_its_repulsion_fades() -> None:
    potential = Contrastive(DELTA, DELTA)
    attraction, repulsion = forces(potential, "attraction"), forces(potential, "repulsion")
    assert (attraction[DISTANCES > DELTA + 1e-9].diff() > 0).all()
    assert (repulsion[(DISTANCES > 0) & (DISTANCES < DELTA - 1e-9)].diff() < 0).all()


# Proposition 1: for some delta the attractive field of PFML has a minimum within delta of every sample.


def random_samples(count: int, width: int, seed: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)).double()


def widest_delta(samples: Tensor, alpha: float) -> float:
    """A delta below which the proposition holds, whatever the samples.

    On the edge of the delta-ball of a sample its own pull inwards is alpha delta^-(alpha+1). The n - 1
    others are at least D - delta away, D being the smallest distance of two samples, and pull outwards
    with at most alpha (D - delta)^-(alpha+1) each. The own pull wins on the whole edge, so that the ball
    holds a minimum, if delta < D / (1 + (n-1)^(1/(alpha+1))).
    """
    nearest = float(torch.pdist(samples).min())
    return nearest / (1 + float((len(samples) - 1) ** (1 / (alpha + 1))))


def ball(centre: Tensor, radius: float, samples: Tensor, filled: bool) -> Tensor:
    """Points on the edge of a ball, or within it, above all towards each of the samples."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(400, len(centre), generator=generator).double()
    directions = torch.cat([directions, samples[(samples != centre).any(dim=1)] - centre])
    radii = torch.rand(len(directions), 1, generator=generator) if filled else 1.0
    return centre + radius * radii * normalize(directions)


def attraction_at(probes: Tensor, samples: Tensor, potential: Potential) -> Tensor:
    """Force of the attractive field."""
    return class_field(probes, 0, samples, torch.zeros(len(samples), dtype=torch.long), potential)[1]


def keeps_a_minimum(sample: Tensor, samples: Tensor, potential: Potential) -> bool:
    """Whether all forces on the edge of the delta-ball of a sample point inwards."""
    edge = ball(sample, potential.attraction_radius * (1 + 1e-6), samples, filled=False)
    outwards = attraction_at(edge, samples, potential) * (edge - sample)
    return bool((outwards.sum(dim=1) < 0).all())


@pytest.mark.parametrize("alpha", [0.0, 1.0, 4.0, 8.0])
@pytest.mark.parametrize(("count", "width", "seed"), [(2, 2, 0), (10, 2, 1), (40, 3, 2), (40, 16, 3)])
def test_every_sample_has_a_minimum_of_pfml_within_delta(
    alpha: float, count: int, width: int, seed: int
) -> None:
    samples = random_samples(count, width, seed)
    delta = 0.99 * widest_delta(samples, alpha)
    potential = Logarithmic(delta, delta) if alpha == 0 else PowerLaw(delta, delta, alpha)
    assert all(keeps_a_minimum(sample, samples, potential) for sample in samples)


def test_the_minimum_of_a_sample_is_beside_it_and_not_on_it() -> None:
    """Within delta a sample exerts no force, and the others go on pulling until the edge."""
    samples = random_samples(10, 3, seed=1)
    delta = 0.9 * widest_delta(samples, alpha=4.0)
    potential = PowerLaw(delta, delta, 4.0)
    probes = samples.clone()
    for step in torch.linspace(delta / 10, delta / 1000, 400):
        probes += step * normalize(attraction_at(probes, samples, potential))
    moved = (probes - samples).norm(dim=1)
    assert (moved > 0.9 * delta).all()
    assert (moved < 1.01 * delta).all()


@pytest.mark.parametrize("alpha", [1.0, 4.0])
def test_where_all_others_crowd_in_one_place_a_slightly_wider_delta_is_too_wide(alpha: float) -> None:
    """So the proposition is about some delta, which shrinks as the samples become more."""
    lone = torch.zeros(1, 2, dtype=torch.float64)
    crowd = torch.tensor([1.0, 0.0]) + 1e-4 * random_samples(200, 2, seed=0)
    samples = torch.cat([lone, crowd])
    widest = 1 / (1 + 200 ** (1 / (alpha + 1)))
    narrow, wide = 0.98 * widest, 1.02 * widest
    assert keeps_a_minimum(lone[0], samples, PowerLaw(narrow, narrow, alpha))
    probes = ball(lone[0], wide * (1 + 1e-6), samples, filled=True)
    assert (attraction_at(probes, samples, PowerLaw(wide, wide, alpha))[:, 0] > 0).all()
    assert not keeps_a_minimum(lone[0], samples, PowerLaw(wide, wide, alpha))


@pytest.mark.parametrize(("count", "width", "seed"), [(10, 2, 1), (40, 3, 2), (40, 16, 3)])
def test_the_contrastive_field_has_one_valley_near_the_mean_and_none_at_the_samples(
    count: int, width: int, seed: int
) -> None:
    samples = random_samples(count, width, seed)
    centre = samples.mean(dim=0)
    delta = 0.4 * float(torch.pdist(samples).min())
    delta = min(delta, 0.4 * float((samples - centre).norm(dim=1).min()))
    for sample in samples:
        probes = ball(sample, delta, samples, filled=True)
        force = attraction_at(probes, samples, Contrastive(delta, delta))
        assert ((force * (centre - probes)).sum(dim=1) > 0).all()


@pytest.mark.parametrize("delta", [0.01, 0.5, 2.0])
def test_the_contrastive_attraction_is_convex_so_that_its_minima_are_one_region(delta: float) -> None:
    samples, probes = random_samples(20, 3, seed=0), random_samples(400, 3, seed=1)

    def value(at: Tensor) -> Tensor:
        potential = Contrastive(delta, delta)
        return class_field(at, 0, samples, torch.zeros(20, dtype=torch.long), potential)[0]

    first, second = probes.split(200)
    assert (value((first + second) / 2) <= (value(first) + value(second)) / 2 + 1e-9).all()


# Corollary 1: proxies at equilibrium are nearer to the data under PFML than under CPML.


def classes_of_groups(seed: int, width: int, groups: int) -> tuple[Tensor, Tensor]:
    """Two classes, each of so many groups of 6 embeddings around random points of the sphere."""
    generator = torch.Generator().manual_seed(seed)
    centres = normalize(torch.randn(2 * groups, width, generator=generator))
    noise = 0.3 / width**0.5 * torch.randn(12 * groups, width, generator=generator)
    labels = torch.arange(2).repeat_interleave(6 * groups)
    return normalize(centres.repeat_interleave(6, dim=0) + noise), labels


def w2_at_equilibrium(loss: PotentialFieldLoss | CPMLLoss, embeddings: Tensor, labels: Tensor) -> float:
    """Minimise the energy over the proxies, from where they are."""
    steps = 100
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        loss(embeddings, labels).backward()
        optimizer.step()
        schedule.step()
    return proxy_alignment(*proxies_of(loss), embeddings, labels).mean


def w2_of_pfml_and_cpml(seed: int, width: int, groups: int, proxies: int) -> tuple[float, float]:
    """Both from the same start in the data: from far away, decay makes PFML's proxies very slow."""
    embeddings, labels = classes_of_groups(seed, width, groups)
    torch.manual_seed(seed)
    pfml = PotentialFieldLoss(2, width, proxies, alpha=4.0, delta=DELTA)
    cpml = CPMLLoss(2, width, proxies, delta=DELTA)
    pfml.initialize_proxies(embeddings, labels)
    pfml.proxies.data = normalize(pfml.proxies.data)
    cpml.load_state_dict(pfml.state_dict())
    return w2_at_equilibrium(pfml, embeddings, labels), w2_at_equilibrium(cpml, embeddings, labels)


@pytest.mark.parametrize("proxies", [1, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_in_classes_of_several_groups_proxies_of_pfml_are_nearer_to_the_data(
    seed: int, proxies: int
) -> None:
    pfml, cpml = w2_of_pfml_and_cpml(seed, width=8, groups=3, proxies=proxies)
    assert pfml < 1.05 * DELTA < 0.5 * cpml


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_in_classes_of_one_group_no_wider_than_delta_both_are_equally_near(seed: int) -> None:
    """Here the corollary does not hold: the mean of such a class is among its embeddings."""
    pfml, cpml = w2_of_pfml_and_cpml(seed, width=8, groups=1, proxies=1)
    assert pfml == pytest.approx(cpml, abs=0.25 * DELTA)
    assert max(pfml, cpml) < 1.05 * DELTA
