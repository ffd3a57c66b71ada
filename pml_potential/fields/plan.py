"""The sizes of the engine's work: they affect its speed, never its result."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Sizes that suit a device and a problem; tests give others.

    Args:
        few_points: up to this many points, one product finds the near pairs, and no list is kept.
        tile_side: points on a side of a tile of the search: its products stay in the cache.
        searches_in_bfloat16: whether the search multiplies in bfloat16, which finds a few more pairs.
        sampled_points: points whose distances decide the coordinates of the search.
        filter_step: coordinates by which the filter of the search widens.
        cost_of_pair: what one listed pair costs, in coordinates of a product.
        crowded_share: share of near pairs beyond which all pairs of a tile are processed together.
        most_listed: pairs of different classes that may be listed one by one.
        most_kept: slopes that the forward pass keeps for the backward pass.
        numbers_per_chunk: numbers in the largest temporary of pairs and blocks.
        largest_side: points on a side of a block of one class.
        small_class: pairs in a class up to which it is cheaper to list them than to make a block.
        skin: width of the neighbour list's skin as a share of the radius.
        largest_share_of_strays: share of the points that may leave their skins before a new list.
    """

    few_points: int = 256
    tile_side: int = 448
    searches_in_bfloat16: bool = False
    sampled_points: int = 512
    filter_step: int = 64
    cost_of_pair: int = 2**15
    crowded_share: float = 1 / 32
    most_listed: int = 2**19
    most_kept: int = 2**21
    numbers_per_chunk: int = 2**21
    largest_side: int = 512
    small_class: int = 64
    skin: float = 0.5
    largest_share_of_strays: float = 1 / 16

    @classmethod
    def of(cls, points: Tensor) -> Plan:
        """The plan for points on their device: sizes that fit the caches of a CPU, or fill a GPU.

        Examples:
            >>> Plan.of(torch.zeros(100_000, 2)).sampled_points
            512
        """
        # The sample's cost stays below that of the search.
        sampled_points = min(512, 128 + len(points) // 32)
        plan = cls(
            few_points=math.isqrt(2**25 // max(64, points.shape[1])), sampled_points=sampled_points
        )
        if points.device.type != "cpu":
            return replace(
                plan, tile_side=4096, numbers_per_chunk=2**25, largest_side=4096, most_kept=2**25
            )
        if torch.cpu._is_amx_tile_supported():
            # Products in bfloat16 take an eighth of the time here; elsewhere they may take longer.
            return replace(plan, searches_in_bfloat16=True, tile_side=832, cost_of_pair=2**17)
        return plan
