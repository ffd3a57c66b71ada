"""Ways through the engine, and sizes so small that a few points take them."""

from dataclasses import dataclass

import pytest
from hypothesis import strategies as st

from pml_potential.fields.plan import Plan
from tests.pairwise import pairwise

small_plans = st.builds(
    Plan,
    few_points=st.sampled_from([0, 20]),
    tile_side=st.integers(1, 24),
    searches_in_bfloat16=st.booleans(),
    sampled_points=st.integers(1, 30),
    filter_step=st.integers(1, 5),
    cost_of_pair=st.sampled_from([0, 4, 2**15]),
    crowded_share=st.sampled_from([-1, 1 / 32, 0.5, 2]),
    most_listed=st.sampled_from([-1, 20, 2**40]),
    most_kept=st.sampled_from([0, 50, 2**40]),
    numbers_per_chunk=st.integers(1, 500),
    largest_side=st.integers(1, 40),
    small_class=st.sampled_from([0, 12, 64, 2**40]),
    skin=st.floats(0.01, 2),
    largest_share_of_strays=st.floats(0, 1),
)


@dataclass(frozen=True)
class Way:
    """A way through the engine.

    Args:
        search: how pairs of different classes are found: all "listed", or tile by tile as "crowded"
            blocks or "sparse" pairs.
        same_class: whether the pairs of a class are "blocks" or "listed".
        kept: whether the forward pass keeps what it found for the backward pass.
        searches_in_bfloat16: whether the search multiplies in bfloat16, or in float32.
    """

    search: str
    same_class: str
    kept: bool
    searches_in_bfloat16: bool

    @property
    def plan(self) -> Plan:
        """Sizes with which fields take this way."""
        return Plan(
            few_points=0,
            tile_side=24,
            searches_in_bfloat16=self.searches_in_bfloat16,
            sampled_points=30,
            filter_step=4,
            cost_of_pair=64,
            # No more than half of n x n pairs are different ones.
            crowded_share={"listed": 0.5, "crowded": -1, "sparse": 2}[self.search],
            most_listed=2**40 if self.search == "listed" else -1,
            most_kept=2**40 if self.kept else 0,
            numbers_per_chunk=2**12,
            largest_side=16,
            small_class=2**40 if self.same_class == "listed" else 0,
        )

    def __str__(self) -> str:
        kept = "kept" if self.kept else "found again"
        precision = "bfloat16" if self.searches_in_bfloat16 else "float32"
        return f"{self.search} in {precision}, own class in {self.same_class}, {kept}"


WAYS = [
    Way(*way)
    for way in pairwise(
        ["listed", "crowded", "sparse"], ["blocks", "listed"], [True, False], [True, False]
    )
]
each_way = pytest.mark.parametrize("way", WAYS, ids=str)
