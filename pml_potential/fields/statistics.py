"""Statistics of a field, without the constant that dominates its energy."""

from dataclasses import dataclass


@dataclass
class FieldStatistics:
    """Sums over the pairs that act, in which a pair counts once for each of its ends that is a target.

    Attributes:
        attraction: Σ psi_att over pairs of one class.
        attracting: number of these pairs.
        repulsion: Σ [psi_rep(r) - psi_rep(delta_rep)] over pairs of different classes.
        acting_pairs: all pairs that act, each counted once.
    """

    attraction: float = 0.0
    attracting: int = 0
    repulsion: float = 0.0
    acting_pairs: int = 0
