"""An animation of what decay does: ``python -m benchmarks.field_animation``.

Two classes of points in a plane. One is in two groups and has one point among the other class, as with
a wrong label. Points and proxies follow their forces under PFML and under CPML, side by side. Writes
``docs/images/field.png``, the start, and ``docs/images/field_animation.gif``.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from torch import Tensor

from pml_potential import CPMLLoss, PotentialFieldLoss
from pml_potential.analysis import class_field, draw_field, field_map, plane_field

IMAGES = Path(__file__).parents[1] / "docs" / "images"
EXTENT = (-1.4, 1.4, -1.1, 1.1)
FRAMES = 24
STEPS_PER_FRAME = 3
LONGEST_STEP = 0.012
MILLISECONDS = 140
COLOURS = 48

Toy = tuple[PotentialFieldLoss | CPMLLoss, Tensor, float]
"""A loss with its proxies, the embeddings, and how far a force of 1 moves a point in a step."""


def toys() -> tuple[dict[str, Toy], Tensor]:
    """Both losses at the same start, and the labels of the embeddings."""
    generator = torch.Generator().manual_seed(1)

    def group(x: float, y: float, count: int) -> Tensor:
        return torch.tensor([x, y]) + 0.13 * torch.randn(count, 2, generator=generator)

    embeddings = torch.cat(
        [group(-0.9, 0.45, 8), group(-0.35, -0.6, 7), torch.tensor([[0.75, -0.05]]), group(0.85, 0.4, 9)]
    )
    labels = torch.tensor([0] * 16 + [1] * 9)
    proxies = torch.tensor([[-0.5, 0.75], [-0.75, -0.45], [0.45, 0.65], [1.15, 0.1]])
    found: dict[str, Toy] = {
        "PFML: the force decays with distance": (
            PotentialFieldLoss(2, 2, proxies_per_class=2, alpha=2.0, delta=0.15, delta_rep=0.3),
            embeddings.clone(),
            1e-4,
        ),
        "CPML: the pull grows with distance": (
            CPMLLoss(2, 2, proxies_per_class=2, delta=0.3),
            embeddings.clone(),
            1e-3,
        ),
    }
    for loss, _, _ in found.values():
        loss.proxies.data.copy_(proxies)
    return found, labels


@torch.no_grad()
def step(toy: Toy, labels: Tensor) -> None:
    """Move every embedding and every proxy along its force, at most by ``LONGEST_STEP``."""
    loss, embeddings, rate = toy
    points = torch.cat([embeddings, loss.proxies])
    classes = torch.cat([labels, loss.proxy_labels])
    moves = torch.zeros_like(points)
    for label in range(loss.num_classes):
        own = classes == label
        moves[own] = rate * class_field(points[own], label, points, classes, loss.potential)[1]
    length = moves.norm(dim=1, keepdim=True)
    points += moves * (LONGEST_STEP / length.clamp_min(LONGEST_STEP))
    embeddings.copy_(points[: len(embeddings)])
    loss.proxies.copy_(points[len(embeddings) :])


def frames() -> Iterator[Image.Image]:
    """The frames of the training."""
    found, labels = toys()
    figure = field_map(
        {name: plane_field(*toy[:2], labels, 0, None, EXTENT) for name, toy in found.items()}
    )
    figure.set_dpi(66)
    canvas = FigureCanvasAgg(figure)
    for _ in range(FRAMES):
        for axes, (name, toy) in zip(figure.axes, found.items(), strict=True):
            axes.clear()
            draw_field(axes, plane_field(*toy[:2], labels, 0, None, EXTENT))
            axes.set_title(name)
            for _ in range(STEPS_PER_FRAME):
                step(toy, labels)
        canvas.draw()
        yield Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def animate(folder: Path) -> None:
    """Write the picture and the animation."""
    found, labels = toys()
    field_map(
        {name: plane_field(*toy[:2], labels, 0, None, EXTENT) for name, toy in found.items()}
    ).savefig(folder / "field.png", dpi=90)
    first, *others = frames()
    # One palette for all frames: with one each, colours would flicker. It also covers rare colours,
    # such as those of the dots.
    palette = first.quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    pictures = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in (first, *others)]
    durations = [1500, *[MILLISECONDS] * (len(pictures) - 2), 3000]
    pictures[0].save(
        folder / "field_animation.gif",
        save_all=True,
        append_images=pictures[1:],
        duration=durations,
        loop=0,
        optimize=False,
    )


if __name__ == "__main__":
    animate(IMAGES)
