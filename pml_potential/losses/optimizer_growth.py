"""The optimizer state of a parameter that gets further rows."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

State = dict[str, Any]

_ZERO_FOR_A_NEW_ROW = {
    "acc_delta",
    "exp_avg",
    "exp_avg_sq",
    "exp_inf",
    "grad_avg",
    "max_exp_avg_sq",
    "momentum_buffer",
    "square_avg",
}
"""Names of the state that torch's optimizers initialise with zeros."""


def state_with_further_rows(optimizer: Optimizer, parameter: nn.Parameter, rows: int) -> State:
    """Return the optimizer state for a parameter after it gets further rows.

    A new row starts with the state of a fresh optimizer. Adam, AdamW, NAdam and RAdam divide moments by
    1 - beta^t, which is right for rows that have had t steps; a new row would make steps that are
    several times too large: about sqrt(1 / (1 - beta2)) / 5, for hundreds of steps. The step count
    therefore goes back to 1 / (1 - beta1), where the first moment has just seen enough; the moments of
    the other rows shrink accordingly, so their corrected moments stay the same.

    Args:
        optimizer: it is not changed.
        parameter: still without the further rows.
        rows: number of further rows.

    Raises:
        ValueError: The optimizer does not train the parameter, or its state cannot get further rows.
        TypeError: ``optimizer`` is not an optimizer.
    """
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer is a {type(optimizer).__name__}; it must be a torch.optim.Optimizer")
    groups = [group for group in optimizer.param_groups if any(p is parameter for p in group["params"])]
    if not groups:
        raise ValueError(
            f"optimizer is a {type(optimizer).__name__} that does not train the loss's parameter; hand "
            "over the one that does"
        )
    (group,) = groups
    if isinstance(optimizer, torch.optim.LBFGS):
        raise ValueError(
            "optimizer is an LBFGS, which has one state for all parameters; build a new one"
        )
    state = _rewound(optimizer.state.get(parameter, {}), group)
    return {
        name: _with_rows(optimizer, name, value, parameter, rows, group) for name, value in state.items()
    }


def _with_rows(
    optimizer: Optimizer, name: str, value: Any, parameter: Tensor, rows: int, group: State
) -> Any:
    if (
        value is None
        or isinstance(value, int | float)
        or (isinstance(value, Tensor) and value.ndim == 0)
    ):
        return value
    if isinstance(value, Tensor) and value.shape == parameter.shape:
        further = value.new_zeros(rows, *value.shape[1:])
        if name in _ZERO_FOR_A_NEW_ROW:
            return torch.cat([value, further])
        if name == "sum" and "initial_accumulator_value" in group:
            return torch.cat([value, further.fill_(group["initial_accumulator_value"])])
    shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
    raise ValueError(
        f"optimizer is an {type(optimizer).__name__}, whose {name} {shape} cannot get further rows; "
        "delete its state with optimizer.state.pop(parameter), and do not pass it here"
    )


def _rewound(state: State, group: State) -> State:
    """The same corrected moments at a smaller step count, if there are both moments and a count."""
    if not {"step", "exp_avg", "exp_avg_sq"} <= state.keys() or "betas" not in group:
        return state
    beta1, beta2 = map(float, group["betas"])
    # NAdam's momentum begins at half of beta1, and it corrects its first moment by a product of its own.
    is_nadam = "mu_product" in state
    enough = math.ceil(1 / (1 - (beta1 / 2 if is_nadam else beta1)))
    now = float(state["step"])
    if now <= enough:
        return state
    first = 1.0 if is_nadam else (1 - beta1**enough) / (1 - beta1**now)
    second = (1 - beta2**enough) / (1 - beta2**now)
    rewound = state | {
        "step": torch.full_like(state["step"], enough),
        "exp_avg": state["exp_avg"] * first,
        "exp_avg_sq": state["exp_avg_sq"] * second,
    }
    if "max_exp_avg_sq" in state:
        rewound["max_exp_avg_sq"] = state["max_exp_avg_sq"] * second
    return rewound
