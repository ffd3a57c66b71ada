"""What the losses with mean fields share: sums over classes, taken some classes at a time."""

from typing import Any

import pytest
import torch

from pml_potential.fields import pair_sum
from pml_potential.functional import mean_fields
from tests.losses.loss_cases import all_gradients, batch, build, each_mean_field_loss


@pytest.mark.parametrize("numbers", [1, 30])
@pytest.mark.parametrize("regularization_weight", [0.0, 0.5])
@each_mean_field_loss
def test_classes_worked_on_in_pieces_change_nothing(
    monkeypatch: pytest.MonkeyPatch, loss_class: Any, regularization_weight: float, numbers: int
) -> None:
    loss = build(loss_class, torch.float64, num_classes=11, regularization_weight=regularization_weight)
    embeddings, labels = batch(torch.float64, classes=(0, 3, 4, 10))
    whole = all_gradients(loss, embeddings, labels)
    monkeypatch.setattr(mean_fields, "_NUMBERS_PER_CHUNK", numbers)
    monkeypatch.setattr(pair_sum, "_TILE_ROWS", 4)
    in_pieces = all_gradients(loss, embeddings, labels)
    torch.testing.assert_close(in_pieces, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("numbers", [1, 30, 2**20])
@each_mean_field_loss
def test_second_derivatives(monkeypatch: pytest.MonkeyPatch, loss_class: Any, numbers: int) -> None:
    """With classes that a miner left out, and classes without a member, all at once and in pieces."""
    monkeypatch.setattr(mean_fields, "_NUMBERS_PER_CHUNK", numbers)
    loss = build(loss_class, torch.float64, num_classes=7)
    embeddings, labels = batch(torch.float64, size=8, classes=(0, 3, 4, 5))
    chosen = torch.tensor([0, 4, 1, 1]), torch.tensor([4, 0, 5, 5]), torch.tensor([1, 2, 3, 6])

    def value(embeddings: torch.Tensor, mean_fields: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = torch.func.functional_call(
            loss, {"mean_fields": mean_fields}, (embeddings, labels, chosen)
        )
        return result

    assert torch.autograd.gradgradcheck(value, (embeddings, loss.mean_fields))


@each_mean_field_loss
def test_no_array_of_the_batch_and_all_classes_is_kept_for_the_backward_pass(
    monkeypatch: pytest.MonkeyPatch, loss_class: Any
) -> None:
    monkeypatch.setattr(mean_fields, "_NUMBERS_PER_CHUNK", 300)
    loss = build(loss_class, num_classes=500)
    embeddings, labels = batch()
    kept: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.untyped_storage().nbytes())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss(embeddings, labels).backward()
    assert max(kept) < len(embeddings) * 500 * embeddings.element_size()


@each_mean_field_loss
def test_mean_fields_refuse_references(loss_class: Any) -> None:
    references, ref_labels = batch(size=7, seed=2)
    with pytest.raises(ValueError, match=r"ref_emb has shape \(7, 3\)"):
        build(loss_class)(*batch(), ref_emb=references, ref_labels=ref_labels)


@each_mean_field_loss
def test_mean_fields_refuse_the_batch_itself_as_references(loss_class: Any) -> None:
    embeddings, labels = batch()
    with pytest.raises(ValueError, match=r"ref_emb has shape \(12, 3\)"):
        build(loss_class)(embeddings, labels, ref_emb=embeddings, ref_labels=labels)
