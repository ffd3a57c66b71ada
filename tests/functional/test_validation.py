import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pml_potential import (
    ClassWiseMultiSimilarityLoss,
    CPMLLoss,
    MeanFieldClassWiseMultiSimilarityLoss,
    MeanFieldContrastiveLoss,
    PotentialFieldLoss,
)
from pml_potential.losses import NonFiniteError
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    batch,
    build,
    each_loss,
    each_loss_with_parameters,
    embeddings_with,
    labels_with,
)

NAN, INF = float("nan"), float("inf")


BAD_LABELS: list[tuple[Any, type[Exception], str]] = [
    (labels_with(-3), ValueError, "labels holds -3"),
    (batch()[1].float(), TypeError, "labels has dtype torch.float32"),
    (batch()[1].bool(), TypeError, "labels has dtype torch.bool"),
    (batch()[1].to(torch.complex64), TypeError, "labels has dtype torch.complex64"),
    (batch()[1][:7], ValueError, r"labels has shape (7,); it must be (12,)"),
    (batch()[1][:, None], ValueError, r"labels has shape (12, 1)"),
    (torch.tensor(1), ValueError, r"labels has shape ()"),
    (None, ValueError, "labels is None"),
    (batch()[1].tolist(), TypeError, "labels is a list"),
]


@pytest.mark.parametrize(("labels", "error", "message"), BAD_LABELS)
@each_loss
def test_bad_labels(loss_class: Any, labels: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=re.escape(message)):
        build(loss_class)(batch()[0], labels)


@pytest.mark.parametrize("label", [4, 1000])
@each_loss_with_parameters
def test_label_beyond_the_classes(loss_class: Any, label: int) -> None:
    with pytest.raises(ValueError, match=f"labels holds {label}; with num_classes=4"):
        build(loss_class)(batch()[0], labels_with(label))


BAD_EMBEDDINGS: list[tuple[Any, type[Exception], str]] = [
    (torch.ones(12), ValueError, "embeddings has shape (12,)"),
    (torch.ones(12, 3, 1), ValueError, "embeddings has shape (12, 3, 1)"),
    (torch.tensor(1.0), ValueError, "embeddings has shape ()"),
    (torch.ones(0, EMBEDDING_SIZE), ValueError, "embeddings has shape (0, 3)"),
    (torch.ones(12, EMBEDDING_SIZE).long(), TypeError, "embeddings has dtype torch.int64"),
    (
        torch.ones(12, EMBEDDING_SIZE, dtype=torch.complex64),
        TypeError,
        "embeddings has dtype torch.complex64",
    ),
    ([[1.0, 2.0, 3.0]], TypeError, "embeddings is a list"),
    (embeddings_with(NAN), NonFiniteError, "embeddings[5] has the norm nan"),
    (embeddings_with(INF), NonFiniteError, "embeddings[5] has the norm inf"),
    (embeddings_with(-INF), NonFiniteError, "embeddings[5] has the norm inf"),
    (embeddings_with(1e30), NonFiniteError, "embeddings[5] has the norm inf"),
    (embeddings_with(1e30).bfloat16(), NonFiniteError, "embeddings[5] has the norm inf"),
    (embeddings_with(1e30).half(), NonFiniteError, "embeddings[5] has the norm inf"),
]


@pytest.mark.parametrize(("embeddings", "error", "message"), BAD_EMBEDDINGS)
@each_loss
def test_bad_embeddings(loss_class: Any, embeddings: Any, error: type[Exception], message: str) -> None:
    labels = batch()[1][: len(embeddings)] if getattr(embeddings, "ndim", 1) else batch()[1]
    with pytest.raises(error, match=re.escape(message)):
        build(loss_class)(embeddings, labels)


@each_loss_with_parameters
def test_embeddings_of_wrong_width(loss_class: Any) -> None:
    with pytest.raises(ValueError, match=r"embeddings has shape \(12, 5\).*\(batch_size, 3\)"):
        build(loss_class)(torch.ones(12, 5), batch()[1])


@pytest.mark.parametrize("embeddings", [embeddings_with(NAN), torch.ones(2, 7), torch.ones(3)])
@each_loss_with_parameters
def test_logits_of_bad_embeddings(loss_class: Any, embeddings: Tensor) -> None:
    with pytest.raises(ValueError, match="embeddings"):
        build(loss_class).get_logits(embeddings)


def test_numbers_that_only_float64_can_square_are_fine_in_float64() -> None:
    embeddings, labels = batch(torch.float64)
    loss = build(PotentialFieldLoss)
    torch.testing.assert_close(loss(1e30 * embeddings, labels), loss(embeddings, labels))


BAD_NUMBERS: list[tuple[Any, str, Any, type[Exception]]] = [
    *(
        (loss_class, name, value, error)
        for loss_class in (
            PotentialFieldLoss,
            CPMLLoss,
            MeanFieldContrastiveLoss,
            MeanFieldClassWiseMultiSimilarityLoss,
        )
        for name in ("num_classes", "embedding_size")
        for value, error in [(0, ValueError), (-2, ValueError), (2.0, TypeError), ("3", TypeError)]
    ),
    *(
        (loss_class, "proxies_per_class", value, error)
        for loss_class in (PotentialFieldLoss, CPMLLoss)
        for value, error in [(-1, ValueError), (1.5, TypeError), (True, TypeError)]
    ),
    *(
        (loss_class, name, value, error)
        for loss_class, names in (
            (PotentialFieldLoss, ("delta", "delta_rep")),
            (CPMLLoss, ("delta",)),
        )
        for name in names
        for value, error in [
            (0, ValueError),
            (0.01, ValueError),
            (-0.2, ValueError),
            (2.1, ValueError),
            (NAN, ValueError),
            (INF, ValueError),
            ("0.2", TypeError),
            (False, TypeError),
        ]
    ),
    (CPMLLoss, "delta", None, TypeError),
    (PotentialFieldLoss, "delta", None, TypeError),
    *(
        (PotentialFieldLoss, "alpha", value, error)
        for value, error in [
            (-0.1, ValueError),
            (8.5, ValueError),
            (NAN, ValueError),
            (None, TypeError),
            ("4", TypeError),
        ]
    ),
    *(
        (MeanFieldContrastiveLoss, name, value, error)
        for name in ("pos_margin", "neg_margin")
        for value, error in [
            (-0.1, ValueError),
            (2.5, ValueError),
            (NAN, ValueError),
            (None, TypeError),
        ]
    ),
    *(
        (loss_class, name, value, error)
        for loss_class in (ClassWiseMultiSimilarityLoss, MeanFieldClassWiseMultiSimilarityLoss)
        for name in ("alpha", "beta")
        for value, error in [
            (0, ValueError),
            (-1.0, ValueError),
            (1001, ValueError),
            (NAN, ValueError),
            ("80", TypeError),
        ]
    ),
    *(
        (loss_class, "base", value, error)
        for loss_class in (ClassWiseMultiSimilarityLoss, MeanFieldClassWiseMultiSimilarityLoss)
        for value, error in [(-1.1, ValueError), (1.1, ValueError), (NAN, ValueError)]
    ),
    *(
        (loss_class, "regularization_weight", value, error)
        for loss_class in (MeanFieldContrastiveLoss, MeanFieldClassWiseMultiSimilarityLoss)
        for value, error in [
            (-0.1, ValueError),
            (INF, ValueError),
            (NAN, ValueError),
            (None, TypeError),
        ]
    ),
]


@pytest.mark.parametrize(("loss_class", "name", "value", "error"), BAD_NUMBERS)
def test_argument_out_of_range(loss_class: Any, name: str, value: Any, error: type[Exception]) -> None:
    quoted = repr(value) if error is TypeError else str(value)
    with pytest.raises(error, match=rf"^{name} is {re.escape(quoted)}; it must"):
        build(loss_class, **{name: value})


@pytest.mark.parametrize(
    ("loss_class", "arguments"),
    [
        (PotentialFieldLoss, {"alpha": np.float64(3), "num_classes": np.int64(4)}),
        (PotentialFieldLoss, {"alpha": 8, "delta": 2, "delta_rep": 0.011}),
        (CPMLLoss, {"proxies_per_class": np.int64(0)}),
        (MeanFieldContrastiveLoss, {"pos_margin": 0, "neg_margin": 2}),
        (ClassWiseMultiSimilarityLoss, {"alpha": 1000, "base": -1}),
        (MeanFieldClassWiseMultiSimilarityLoss, {"beta": np.float32(80), "base": 1}),
    ],
)
def test_bounds_and_numbers_of_numpy_are_allowed(loss_class: Any, arguments: dict[str, Any]) -> None:
    assert build(loss_class, **arguments)(*batch()).isfinite()


@each_loss
def test_unknown_argument(loss_class: Any) -> None:
    with pytest.raises(TypeError, match="detla"):
        build(loss_class, detla=0.2)
