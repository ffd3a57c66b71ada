from collections.abc import Iterator
from typing import Any

import pytest
from torch import Tensor

from pml_potential.fields import neighbor_list
from pml_potential.fields.neighbors import Tile, search


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Numbers of rows and columns of the searches that lists make, empty ones left out."""
    sizes: list[tuple[int, int]] = []

    def watched(radius: float, rows: Tensor, columns: Tensor, *rest: Any, **more: Any) -> Iterator[Tile]:
        if len(rows) > 0 and len(columns) > 0:
            sizes.append((len(rows), len(columns)))
        yield from search(radius, rows, columns, *rest, **more)

    monkeypatch.setattr(neighbor_list, "search", watched)
    return sizes
