from collections.abc import Iterator
from typing import Any

import pytest
from torch import Tensor

from pml_potential.fields import neighbor_list
from pml_potential.fields.neighbors import pairs_within
from pml_potential.fields.pairs import Pairs


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Numbers of rows and columns of the searches that lists make."""
    sizes: list[tuple[int, int]] = []

    def watched(
        radius: float, rows: Tensor, columns: Tensor, *rest: Any, **more: Any
    ) -> Iterator[Pairs]:
        sizes.append((len(rows), len(columns)))
        yield from pairs_within(radius, rows, columns, *rest, **more)

    monkeypatch.setattr(neighbor_list, "pairs_within", watched)
    return sizes
