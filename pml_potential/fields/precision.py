"""How exact torch's matrix products are."""

import torch


def float32_products_are_exact() -> bool:
    """Whether products of float32 matrices round to float32, and not to TF32 or bfloat16.

    That is torch's default, which ``torch.set_float32_matmul_precision`` changes.
    """
    try:
        return torch.get_float32_matmul_precision() == "highest"
    except RuntimeError:
        # torch refuses to answer if the setting of one backend contradicts the global one.
        return False
