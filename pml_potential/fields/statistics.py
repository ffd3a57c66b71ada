"""What a field does, without the constant that dominates its energy."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from torch import Tensor

from pml_potential.fields.forces import Forces


@dataclass
class Interaction:
    """What the pairs of one kind do where they act.

    Attributes:
        energy: of the targets, beyond the plateau of the potential.
        acting_pairs: number of pairs that exert a force on each other, each counted once.
    """

    energy: float = 0.0
    acting_pairs: int = 0

    def watch(self, forces: Iterable[Forces], energies: Tensor) -> Iterator[Forces]:
        """Pass forces on, and note what they are and what they add to the energies."""
        before = energies.sum()
        for some in forces:
            self.acting_pairs += int(some.slope.count_nonzero())
            yield some
        self.energy += (energies.sum() - before).item()


@dataclass
class FieldStatistics:
    """What ``point_energies`` finds on its way, if it is handed one of these to fill.

    Attributes:
        attraction: between points of one class.
        repulsion: between points of different classes.
    """

    attraction: Interaction = field(default_factory=Interaction)
    repulsion: Interaction = field(default_factory=Interaction)
