"""How hard each loss pulls and pushes at each distance: ``python -m benchmarks.force_figures``.

One embedding and one source on the unit circle, and the slope of the loss, by autograd, for a source of
the same class and for one of another class. Writes a figure for each loss to
``docs/images/force_NAME.png``, NAME being that of the page in ``docs/losses``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from matplotlib.figure import Figure
from pytorch_metric_learning.reducers import SumReducer
from torch import Tensor

from pml_potential import (
    ClassWiseMultiSimilarityLoss,
    CPMLLoss,
    MeanFieldClassWiseMultiSimilarityLoss,
    MeanFieldContrastiveLoss,
    PotentialFieldLoss,
)
from pml_potential.losses.field_loss import FieldLoss
from pml_potential.losses.mean_field_loss import MeanFieldLoss

IMAGES = Path(__file__).parents[1] / "docs" / "images"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""By Okabe and Ito: distinct to the colour-blind, too."""

Pair = Callable[[Tensor, bool], Tensor]
"""Loss of one embedding and one source at a distance, of the same class or not."""


@dataclass(frozen=True)
class Curves:
    """The contents of one figure.

    Attributes:
        source: the source that acts on the embedding, with its article.
        pairs: a loss of one pair for each label of the legend.
        log: whether forces differ by orders of magnitude.
    """

    source: str
    pairs: dict[str, Pair]
    log: bool = False


def field_pair(loss: FieldLoss) -> Pair:
    """Two embeddings and the sum of their energies; each is in the other's energy, hence the half."""
    return lambda distance, same: loss(_at(distance), torch.tensor([0, int(not same)])) / 2


def mean_field_pair(loss: MeanFieldLoss) -> Pair:
    """An embedding and a mean field; that of the other class lies where it exerts no force."""

    def value(distance: Tensor, same: bool) -> Tensor:
        embedding, source = _at(distance)
        # The other mean field is on the embedding, or opposite to it: no slope there.
        idle = embedding.detach() if not same else -embedding.detach()
        loss.mean_fields.data = torch.stack([source, idle] if same else [idle, source]).detach()
        value_of_loss: Tensor = loss(embedding[None], torch.tensor([0]))
        return value_of_loss

    return value


def class_wise_pair(loss: ClassWiseMultiSimilarityLoss) -> Pair:
    """Two embeddings and nothing else; the sum over the classes of the batch, not their mean."""
    return lambda distance, same: loss(_at(distance), torch.tensor([0, int(not same)]))


def force(pair: Pair, distances: Tensor, same: bool) -> Tensor:
    """Slope of the loss over the distance, for each of the distances; positive where it pulls."""
    slopes = []
    for distance in distances:
        at = distance.clone().requires_grad_()
        slopes.append(torch.autograd.grad(pair(at, same), at)[0])
    return torch.stack(slopes)


def _at(distance: Tensor) -> Tensor:
    """A point and one at this distance from it, both on the unit circle; only the first moves."""
    cosine = 1 - distance.square() / 2
    sine = distance * (1 - distance.square() / 4).sqrt()
    return torch.stack([torch.stack([cosine, sine]), distance.new_tensor([1.0, 0.0])])


def figures() -> dict[str, Curves]:
    """The figure of each loss, by the name of its page."""
    return {
        "potential_field_loss": Curves(
            "a point",
            {
                f"alpha = {alpha}": field_pair(
                    PotentialFieldLoss(2, 2, 0, alpha=alpha, reducer=SumReducer())
                )
                for alpha in (0, 1, 2, 4)
            },
            log=True,
        ),
        "cpml_loss": Curves(
            "a point",
            {
                f"delta = {delta}": field_pair(CPMLLoss(2, 2, 0, delta=delta, reducer=SumReducer()))
                for delta in (0.2, 0.5, 1.0)
            },
        ),
        "mean_field_contrastive_loss": Curves(
            "a mean field",
            {
                f"m_P = {near}, m_N = {far}": mean_field_pair(MeanFieldContrastiveLoss(2, 2, near, far))
                for near, far in ((0.02, 0.3), (0.2, 0.8))
            },
        ),
        "class_wise_multi_similarity_loss": Curves(
            "an embedding",
            {
                f"alpha = {alpha:g}, beta = {beta:g}": class_wise_pair(
                    ClassWiseMultiSimilarityLoss(alpha, beta, reducer=SumReducer())
                )
                for alpha, beta in ((0.01, 80.0), (2.0, 10.0))
            },
        ),
        "mean_field_class_wise_multi_similarity_loss": Curves(
            "a mean field",
            {
                f"alpha = {alpha:g}, beta = {beta:g}": mean_field_pair(
                    MeanFieldClassWiseMultiSimilarityLoss(2, 2, alpha, beta)
                )
                for alpha, beta in ((0.01, 80.0), (2.0, 10.0))
            },
        ),
    }


def draw(curves: Curves) -> Figure:
    """Pull on the left, push on the right, over the distances that the sphere has."""
    figure = Figure(figsize=(7.4, 2.9), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    distances = torch.linspace(0.012, 1.988, 166, dtype=torch.float64)
    for axes, same in zip(panels, (True, False), strict=True):
        for colour, (label, pair) in zip(COLOURS, curves.pairs.items(), strict=False):
            strength = force(pair, distances, same).abs()
            # On a logarithmic axis a curve ends where its force does.
            shown = strength.where(strength > 0, torch.nan) if curves.log else strength
            axes.plot(distances, shown, color=colour, label=label, linewidth=1.8)
        axes.set_xlabel("distance r")
        axes.set_xlim(0, 2)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_title(f"{curves.source} of the same class pulls", fontsize=10)
    panels[1].set_title(f"{curves.source} of another class pushes", fontsize=10)
    panels[0].set_ylabel("force |d loss / d r|")
    if curves.log:
        panels[0].set_yscale("log")
    panels[1].legend(frameon=False, fontsize=9)
    return figure


def main() -> None:
    """Draw all figures."""
    for name, curves in figures().items():
        draw(curves).savefig(IMAGES / f"force_{name}.png", dpi=110)


if __name__ == "__main__":
    main()
