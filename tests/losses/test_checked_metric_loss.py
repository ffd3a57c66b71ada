"""Every loss refuses bad input, and computes in full precision, before its formula sees anything."""

import re
from typing import Any

import pytest
import torch
from pytorch_metric_learning.reducers import DoNothingReducer
from pytorch_metric_learning.regularizers import LpRegularizer
from torch import Tensor

from pml_potential import PotentialFieldLoss
from pml_potential.losses import NonFiniteError
from pml_potential.losses.checked_metric_loss import CheckedMetricLoss
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    FIELD_LOSSES,
    LOSSES,
    all_gradients,
    batch,
    build,
    each_loss,
    each_loss_with_parameters,
    embeddings_with,
    labels_with,
)

LOSSES_OF_TWO_TERMS = [loss for loss in LOSSES if loss not in FIELD_LOSSES]
half_precisions = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])


class Lengths(CheckedMetricLoss):
    """The length of each embedding, with everything noted that the formula is handed."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.handed: list[Any] = []
        self.autocast: list[bool] = []

    def compute_loss(
        self,
        embeddings: Tensor,
        labels: Tensor,
        indices_tuple: tuple[Tensor, ...] | None,
        ref_emb: Tensor | None,
        ref_labels: Tensor | None,
    ) -> dict[str, dict[str, Any]]:
        self.handed = [embeddings, labels, indices_tuple, ref_emb, ref_labels]
        self.autocast.append(torch.is_autocast_enabled("cpu"))
        lengths = embeddings.norm(dim=1)
        self.record(lengths=lengths)
        elements = torch.arange(len(lengths))
        return {"loss": {"losses": lengths, "indices": elements, "reduction_type": "element"}}


@pytest.mark.parametrize(
    ("dtype", "parameter", "expected"),
    [
        (torch.float16, torch.float16, torch.float32),
        (torch.bfloat16, torch.float32, torch.float32),
        (torch.float32, torch.float32, torch.float32),
        (torch.float32, torch.float64, torch.float64),
        (torch.float64, torch.float32, torch.float64),
    ],
)
def test_the_formula_computes_in_the_widest_dtype_and_at_least_in_float32(
    dtype: torch.dtype, parameter: torch.dtype, expected: torch.dtype
) -> None:
    loss = Lengths().to(parameter)
    embeddings, labels = batch(dtype)
    references, ref_labels = batch(torch.float16, seed=2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(embeddings, labels, ref_emb=references, ref_labels=ref_labels)
    assert value.dtype == loss.handed[0].dtype == loss.handed[3].dtype == expected
    assert loss.autocast == [False]
    torch.testing.assert_close(value, embeddings.to(expected).norm(dim=1).mean())


def test_the_formula_is_handed_what_the_caller_hands_over() -> None:
    loss = Lengths()
    (embeddings, labels), (references, ref_labels) = batch(), batch(seed=2)
    indices = tuple(torch.arange(3) for _ in range(3))
    loss(embeddings, labels, indices, references, ref_labels)
    assert loss.handed[2] is indices
    expected = [embeddings, labels, references, ref_labels]
    found = [loss.handed[place] for place in (0, 1, 3, 4)]
    assert all(a.equal(b) for a, b in zip(found, expected, strict=True))
    loss(embeddings, labels)
    assert loss.handed[2:] == [None, None, None]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_parameter_that_is_not_finite_is_refused_before_the_formula(value: float) -> None:
    loss = Lengths()
    loss.weight.data.fill_(value)
    with pytest.raises(NonFiniteError, match="the loss's weight hold NaN or infinity"):
        loss(*batch())
    assert loss.handed == []


def test_the_reducer_sees_the_labels_of_the_elements() -> None:
    class NotesLabels(DoNothingReducer):
        def forward(self, loss_dict: Any, embeddings: Any, labels: Any) -> Any:
            self.labels = labels
            return super().forward(loss_dict, embeddings, labels)

    reducer = NotesLabels()
    embeddings, labels = batch()
    Lengths(reducer=reducer)(embeddings, labels)
    assert reducer.labels.equal(labels)


def test_a_regularizer_sees_the_embeddings_in_full_precision() -> None:
    embeddings, labels = batch(torch.float16)
    loss = Lengths(embedding_regularizer=LpRegularizer(), embedding_reg_weight=0.5)
    assert loss(embeddings, labels).item() == pytest.approx(
        1.5 * embeddings.float().norm(dim=1).mean().item()
    )


def test_recorded_terms_are_means_of_the_last_call() -> None:
    loss = Lengths(collect_stats=True)
    for seed in (1, 2):
        embeddings, labels = batch(seed=seed)
        loss(embeddings, labels)
        assert loss.lengths == pytest.approx(embeddings.norm(dim=1).mean().item())


def test_terms_are_not_recorded_unasked() -> None:
    loss = Lengths()
    loss(*batch())
    assert not hasattr(loss, "lengths")


@half_precisions
@each_loss
def test_half_precision_gives_the_float32_value(loss_class: Any, dtype: torch.dtype) -> None:
    embeddings, labels = batch(dtype)
    half = all_gradients(build(loss_class), embeddings, labels)
    full = all_gradients(build(loss_class), embeddings.float(), labels)
    assert half[0].dtype == torch.float32
    assert half[0] == full[0]
    assert half[1].dtype == dtype
    torch.testing.assert_close(half[1], full[1].to(dtype))


@half_precisions
@each_loss
def test_autocast_gives_the_float32_value(loss_class: Any, dtype: torch.dtype) -> None:
    loss = build(loss_class)
    inputs, labels = batch()
    torch.manual_seed(5)
    trunk = torch.nn.Linear(EMBEDDING_SIZE, EMBEDDING_SIZE)
    with torch.autocast("cpu", dtype=dtype):
        embeddings = trunk(inputs)
        value = loss(embeddings, labels)
    embeddings.retain_grad()
    value.backward()
    assert embeddings.dtype == embeddings.grad.dtype == dtype
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(embeddings.float(), labels).item(), rel=1e-6)
    assert trunk.weight.grad is not None
    assert trunk.weight.grad.isfinite().all()


@half_precisions
@each_loss
def test_autocast_around_float32_embeddings_changes_nothing(loss_class: Any, dtype: torch.dtype) -> None:
    embeddings, labels = batch()
    loss = build(loss_class)
    with torch.autocast("cpu", dtype=dtype):
        assert loss(embeddings, labels) == loss(embeddings.clone(), labels)
        inside = loss(embeddings, labels)
    assert inside == loss(embeddings, labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@each_loss_with_parameters
def test_parameters_keep_dtype_and_storage(loss_class: Any, dtype: torch.dtype) -> None:
    loss = build(loss_class)
    (parameter,) = loss.parameters()
    storage, values = parameter.data_ptr(), parameter.detach().clone()
    all_gradients(loss, *batch(dtype))
    assert next(loss.parameters()) is parameter
    assert parameter.dtype == parameter.grad.dtype == torch.float32
    assert parameter.data_ptr() == storage
    assert parameter.equal(values)


@each_loss
def test_float64_embeddings_give_a_float64_value(loss_class: Any) -> None:
    assert build(loss_class)(*batch(torch.float64)).dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32])
@each_loss
def test_labels_of_any_integer_dtype_do(loss_class: Any, dtype: torch.dtype) -> None:
    embeddings, labels = batch()
    loss = build(loss_class)
    assert loss(embeddings, labels.to(dtype)) == loss(embeddings, labels)


@each_loss
def test_references_and_their_labels_go_together(loss_class: Any) -> None:
    embeddings, labels = batch()
    with pytest.raises(ValueError, match="ref_labels is None"):
        build(loss_class)(embeddings, labels, ref_emb=embeddings)
    with pytest.raises(ValueError, match="ref_emb is None"):
        build(loss_class)(embeddings, labels, ref_labels=labels)


@pytest.mark.parametrize(
    ("ref_emb", "ref_labels", "message"),
    [
        (torch.ones(4, 7), torch.arange(4), "ref_emb has shape (4, 7)"),
        (embeddings_with(float("nan")), batch()[1], "ref_emb[5] has the norm nan"),
        (batch()[0], batch()[1][:4], "ref_labels has shape (4,)"),
        (batch()[0], labels_with(-1), "ref_labels holds -1"),
    ],
)
@each_loss
def test_bad_references(loss_class: Any, ref_emb: Any, ref_labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        build(loss_class)(*batch(), ref_emb=ref_emb, ref_labels=ref_labels)


@each_loss_with_parameters
def test_loss_on_another_device(loss_class: Any) -> None:
    loss = build(loss_class).to(torch.device("meta"))
    with pytest.raises(ValueError, match="are on meta and the embeddings on cpu"):
        loss(*batch())
    with pytest.raises(ValueError, match="are on meta and the embeddings on cpu"):
        loss.get_logits(batch()[0])


@pytest.mark.parametrize("loss_class", LOSSES_OF_TWO_TERMS)
def test_attraction_and_repulsion_add_up_to_the_loss(loss_class: Any) -> None:
    loss = build(loss_class, torch.float64, collect_stats=True)
    value = loss(*batch(torch.float64))
    assert loss.attraction_loss > 0
    assert loss.attraction_loss + loss.repulsion_loss == pytest.approx(value.item(), rel=1e-12)


def test_one_class_knows_no_repulsion() -> None:
    loss = build(LOSSES_OF_TWO_TERMS[-1], collect_stats=True)
    loss(*batch(classes=(2,)))
    assert loss.repulsion_loss == 0


@each_loss
def test_statistics_leave_value_and_gradient_as_they_are(loss_class: Any) -> None:
    silent, watched = (
        all_gradients(build(loss_class, collect_stats=collects), *batch()) for collects in (False, True)
    )
    torch.testing.assert_close(watched, silent, rtol=0, atol=0)


@each_loss
def test_nothing_is_collected_unasked(loss_class: Any) -> None:
    loss = build(loss_class)
    loss(*batch())
    assert not loss.collect_stats
    assert not hasattr(loss, "_record_these_stats")
    names = ("attraction_energy", "attraction_loss", "share_of_acting_pairs", "mean_proxy_distance")
    assert not any(hasattr(loss, name) for name in names)


def test_values_are_not_looked_at_without_check_finite() -> None:
    loss = PotentialFieldLoss(num_classes=2, embedding_size=3, proxies_per_class=1, check_finite=False)
    # A field skips pairs that are nowhere.
    assert loss(torch.full((2, 3), torch.nan), torch.tensor([0, 1])).shape == ()
    with pytest.raises(ValueError, match=r"must be \(batch_size, 3\)"):
        loss(torch.ones(2, 4), torch.tensor([0, 1]))
    with pytest.raises(TypeError, match="check_finite is 1; it must be True or False"):
        PotentialFieldLoss(2, 3, check_finite=1)
