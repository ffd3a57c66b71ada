"""The one distance that a loss is defined on."""

from pytorch_metric_learning.distances import BaseDistance, CosineSimilarity, LpDistance


def check_distance(
    loss: str, distance: BaseDistance, allowed: type[LpDistance] | type[CosineSimilarity]
) -> None:
    """Raise unless ``distance`` is the one that the loss is defined on, of normalised embeddings."""
    fits = type(distance) is allowed and distance.normalize_embeddings and distance.power == 1
    if not fits or distance.p != 2:
        of = {name: getattr(distance, name, None) for name in ("normalize_embeddings", "p", "power")}
        arguments = ", ".join(f"{name}={value}" for name, value in of.items())
        raise ValueError(
            f"distance is {type(distance).__name__}({arguments}); {loss} is defined on "
            f"{allowed.__name__}() of normalised embeddings, with p=2 and power=1"
        )
