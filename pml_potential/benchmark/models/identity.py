"""No trunk, for data sets of vectors."""

from torch import nn

from pml_potential.benchmark.config.schema import ConfigError, Model


def identity(model: Model) -> nn.Module:
    """Pass vectors to the embedder unchanged.

    Args:
        model: the section that names it; values that could only be ignored are refused.

    Raises:
        ConfigError: Weights, an input, a pooling or a block are given, or the trunk is to be trained.
    """
    asked = {
        "weights": (model.weights, None),
        "input": (model.input, None),
        "pooling": (model.pooling, "avg"),
        "freeze_until": (model.freeze_until, None),
        "freeze_trunk": (model.freeze_trunk, True),
    }
    for key, (found, due) in asked.items():
        if found != due:
            shown = str(found) if key == "input" else repr(found)
            raise ConfigError(
                f"model.{key} is {shown}, and the trunk 'identity' passes vectors through unchanged; "
                f"set it to {'null' if due is None else str(due).lower()}",
                ("model", key),
            )
    return nn.Identity()
