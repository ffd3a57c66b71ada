"""The losses as classes come and go, and the checkpoints that know of them."""

import copy
from typing import Any

import pytest
import torch
from pytorch_metric_learning.utils.common_functions import TorchInitWrapper
from torch import Tensor
from torch.nn.functional import normalize

from pml_potential import ClassWiseMultiSimilarityLoss, CPMLLoss, PotentialFieldLoss
from tests.losses.class_growth import (
    ADDED,
    ALL_CLASSES,
    OPTIMIZERS,
    batch_of_all_classes,
    built_large,
    grown,
    one_step,
)
from tests.losses.loss_cases import (
    EMBEDDING_SIZE,
    MEAN_FIELD_LOSSES,
    NUM_CLASSES,
    all_gradients,
    batch,
    build,
    each_field_loss,
    each_loss_with_parameters,
    each_mean_field_loss,
)
from tests.losses.oracles import class_potentials, contrastive_law, cosine, power_law


def feature(name: str, note: str = "") -> pytest.MarkDecorator:
    return pytest.mark.feature("Classes and checkpoints", name, note)


OTHER_SIZES = "build the loss as the checkpoint's was, and call `add_classes` after loading"
NO_PROXIES = "the loss has no proxies"
NOTHING_PER_CLASS = "the loss learns nothing for a class"

other_proxies_per_class = feature("a checkpoint of other `proxies_per_class`")
other_num_classes = feature("a checkpoint of other `num_classes`")
add_classes = feature("`add_classes`", "hand over the optimizer, whose moments grow with the parameter")
logits = feature("`get_logits`", "its argmax classifies")
weight_init = feature("`weight_init_func`")
initialize_proxies = feature("`initialize_proxies`")
labels_beyond = feature("labels beyond `num_classes`")
class_wise = pytest.mark.parametrize("loss_class", [ClassWiseMultiSimilarityLoss])
each_loss_without_proxies = pytest.mark.parametrize(
    "loss_class", [*MEAN_FIELD_LOSSES, ClassWiseMultiSimilarityLoss]
)


def clusters(classes: int = NUM_CLASSES, members: int = 5) -> tuple[Tensor, Tensor]:
    """Embeddings near one direction for each class, of various lengths."""
    generator = torch.Generator().manual_seed(4)
    centres = normalize(torch.randn(classes, EMBEDDING_SIZE, generator=generator))
    labels = torch.arange(classes).repeat(members)
    noise = 0.02 * torch.randn(len(labels), EMBEDDING_SIZE, generator=generator)
    return (centres[labels] + noise) * (1 + labels[:, None]), labels


def learn(loss: Any, embeddings: Tensor, labels: Tensor) -> None:
    """Let the parameters of the loss find the classes of embeddings that stay where they are."""
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.05)
    for _ in range(100):
        optimizer.zero_grad()
        loss(embeddings, labels).backward()
        optimizer.step()


def assert_refused_checkpoint_changes_nothing(
    loss: Any, state: dict[str, Tensor], strict: bool, expectation: Any
) -> None:
    before = copy.deepcopy(loss.state_dict())
    value = loss(*batch())
    with expectation:
        loss.load_state_dict(state, strict=strict)
    torch.testing.assert_close(dict(loss.state_dict()), dict(before), rtol=0, atol=0)
    assert loss(*batch()) == value


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("saved", "own"),
    [
        pytest.param((10, 3), (15, 2), marks=other_num_classes, id="more classes in as many rows"),
        pytest.param((6, 2), (4, 2), marks=other_num_classes, id="fewer classes"),
        pytest.param((4, 2), (6, 2), marks=other_num_classes, id="more classes"),
        pytest.param((6, 2), (4, 3), marks=other_proxies_per_class, id="more proxies in as many rows"),
        pytest.param((4, 3), (4, 2), marks=other_proxies_per_class, id="fewer proxies"),
        pytest.param((4, 2), (4, 3), marks=other_proxies_per_class, id="more proxies"),
        pytest.param((4, 2), (4, 0), marks=other_proxies_per_class, id="no proxies"),
        pytest.param((4, 0), (4, 2), marks=other_proxies_per_class, id="from no proxies"),
    ],
)
@each_field_loss
def test_checkpoint_of_a_loss_of_other_sizes(
    loss_class: Any, saved: tuple[int, int], own: tuple[int, int], strict: bool, refuses: Any
) -> None:
    other, loss = (
        build(loss_class, num_classes=classes, proxies_per_class=per_class)
        for classes, per_class in (saved, own)
    )
    sizes = f"num_classes={saved[0]}, proxies_per_class={saved[1]}"
    expectation = refuses(OTHER_SIZES, f"the checkpoint is of a loss with {sizes}")
    assert_refused_checkpoint_changes_nothing(loss, other.state_dict(), strict, expectation)


@other_proxies_per_class
@each_loss_without_proxies
def test_proxies_per_class_of_a_loss_without_proxies(loss_class: Any, refuses: Any) -> None:
    with refuses(NO_PROXIES, "proxies_per_class"):
        build(loss_class, proxies_per_class=2)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("num_classes", [NUM_CLASSES - 1, NUM_CLASSES + 2])
@other_num_classes
@each_mean_field_loss
def test_mean_fields_of_other_classes(
    loss_class: Any, num_classes: int, strict: bool, refuses: Any
) -> None:
    state = build(loss_class, num_classes=num_classes).state_dict()
    expectation = refuses(OTHER_SIZES, "size mismatch for mean_fields")
    assert_refused_checkpoint_changes_nothing(build(loss_class), state, strict, expectation)


@other_num_classes
@class_wise
def test_checkpoint_that_knows_of_no_class(loss_class: Any) -> None:
    used, other = build(loss_class), build(loss_class)
    used(*batch_of_all_classes())
    other.load_state_dict(used.state_dict())
    assert other(*batch()) == build(loss_class)(*batch())


@other_num_classes
@each_field_loss
def test_checkpoint_of_a_model_around_a_loss_of_other_sizes(loss_class: Any, refuses: Any) -> None:
    other, loss = (
        build(loss_class, num_classes=classes, proxies_per_class=per_class)
        for classes, per_class in ((10, 3), (15, 2))
    )
    before = loss.proxies.detach().clone()
    with refuses(OTHER_SIZES, "the checkpoint is of a loss with num_classes=10"):
        torch.nn.Sequential(loss).load_state_dict(torch.nn.Sequential(other).state_dict())
    assert loss.proxies.equal(before)


@add_classes
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@each_loss_with_parameters
def test_a_grown_loss_is_one_built_with_all_classes(loss_class: Any, dtype: torch.dtype) -> None:
    loss = grown(loss_class, dtype)
    expected = all_gradients(built_large(loss, dtype), *batch_of_all_classes(dtype))
    assert next(loss.parameters()).dtype == dtype
    torch.testing.assert_close(all_gradients(loss, *batch_of_all_classes(dtype)), expected)


@add_classes
@pytest.mark.parametrize(
    ("optimizer_class", "settings"), [*OPTIMIZERS, (torch.optim.Adam, {"fused": True})]
)
@each_loss_with_parameters
def test_an_optimizer_that_is_handed_over_remembers(
    loss_class: Any, optimizer_class: Any, settings: dict[str, Any]
) -> None:
    """What it remembers of new rows is what steps without a gradient would have left."""
    loss = build(loss_class)
    (parameter,) = loss.parameters()
    optimizer = optimizer_class([parameter], lr=0.01, **settings)
    *_, gradient = all_gradients(loss, *batch())
    optimizer.step()
    loss.add_classes(ADDED, optimizer)

    large = built_large(loss)
    (of_large,) = large.parameters()
    of_all = optimizer_class([of_large], lr=0.01, **settings)
    of_large.grad = torch.zeros_like(of_large)
    of_large.grad[: len(gradient)] = gradient
    of_all.step()
    of_large.data = parameter.detach().clone()
    torch.testing.assert_close(one_step(loss, optimizer), one_step(large, of_all))


@add_classes
@each_loss_with_parameters
def test_checkpoint_of_a_grown_loss(loss_class: Any) -> None:
    loss = grown(loss_class)
    large = build(loss_class, num_classes=ALL_CLASSES)
    large.load_state_dict(loss.state_dict())
    assert large(*batch_of_all_classes()) == built_large(loss)(*batch_of_all_classes())


@add_classes
@each_loss_with_parameters
def test_a_checkpoint_is_loaded_and_the_loss_grows(loss_class: Any) -> None:
    trained, loss = build(loss_class), build(loss_class)
    learn(trained, *clusters())
    loss.load_state_dict(trained.state_dict())
    loss.add_classes(ADDED)
    (parameter,), (learnt,) = loss.parameters(), trained.parameters()
    assert parameter[: len(learnt)].equal(learnt)


@add_classes
@each_loss_with_parameters
def test_a_grown_loss_learns_its_new_classes(loss_class: Any) -> None:
    loss = grown(loss_class)
    embeddings, labels = clusters(ALL_CLASSES)
    before = loss(embeddings, labels)
    learn(loss, embeddings, labels)
    assert loss(embeddings, labels) < before


@add_classes
@class_wise
def test_classes_for_a_loss_that_needs_none(loss_class: Any, refuses: Any) -> None:
    with refuses(NOTHING_PER_CLASS, "no attribute 'add_classes'"):
        build(loss_class).add_classes(ADDED)


@logits
@pytest.mark.parametrize(
    ("loss_class", "laws"),
    [(PotentialFieldLoss, power_law(4, 0.7, 0.7, 0.35)), (CPMLLoss, contrastive_law(0.7))],
)
def test_logits_are_minus_the_potentials_up_to_a_constant(loss_class: Any, laws: Any) -> None:
    loss = build(loss_class, torch.float64, delta=0.7)
    embeddings, _ = batch(torch.float64)
    sources = loss.proxies.tolist(), loss.proxy_labels.tolist()
    potentials = torch.tensor(
        [class_potentials(z, *sources, laws, NUM_CLASSES) for z in embeddings.tolist()],
        dtype=torch.float64,
    )
    expected = (-potentials).softmax(dim=1)
    torch.testing.assert_close(loss.get_logits(embeddings).softmax(dim=1), expected)


@logits
@each_mean_field_loss
def test_logits_are_cosines_with_mean_fields(loss_class: Any) -> None:
    loss = build(loss_class)
    embeddings, _ = batch()
    fields = loss.mean_fields.tolist()
    expected = torch.tensor([[cosine(z, field) for field in fields] for z in embeddings.tolist()])
    torch.testing.assert_close(loss.get_logits(embeddings), expected)


@logits
@each_loss_with_parameters
def test_logits_name_the_class(loss_class: Any) -> None:
    loss = build(loss_class)
    embeddings, labels = clusters()
    learn(loss, embeddings, labels)
    assert loss.get_logits(embeddings).argmax(dim=1).equal(labels)


@logits
@class_wise
def test_logits_of_a_loss_without_parameters(loss_class: Any, refuses: Any) -> None:
    with refuses(NOTHING_PER_CLASS, "no attribute 'get_logits'"):
        build(loss_class).get_logits(batch()[0])


@initialize_proxies
@each_field_loss
def test_proxies_start_in_their_clusters(loss_class: Any) -> None:
    loss = build(loss_class, proxies_per_class=1)
    embeddings, labels = clusters()
    loss.initialize_proxies(embeddings, labels)
    cosines = normalize(loss.proxies.detach()) @ normalize(embeddings).T
    own = loss.proxy_labels[:, None] == labels
    assert cosines[own].min() > 0.99
    assert loss.get_logits(embeddings).argmax(dim=1).equal(labels)


@initialize_proxies
@each_loss_without_proxies
def test_a_start_for_proxies_that_are_not_there(loss_class: Any, refuses: Any) -> None:
    with refuses(NO_PROXIES, "no attribute 'initialize_proxies'"):
        build(loss_class).initialize_proxies(*clusters())


@labels_beyond
@pytest.mark.parametrize("label", [NUM_CLASSES, 1000])
@each_loss_with_parameters
def test_label_beyond_the_classes(loss_class: Any, label: int, refuses: Any) -> None:
    why = "labels are 0 to `num_classes` - 1; `add_classes` makes room"
    with refuses(why, f"labels holds {label}; with num_classes=4 the largest label is 3"):
        build(loss_class)(*batch(classes=(0, label)))


@labels_beyond
@class_wise
def test_class_wise_labels_are_any_numbers(loss_class: Any) -> None:
    loss = build(loss_class)
    embeddings, labels = batch()
    torch.testing.assert_close(
        all_gradients(loss, embeddings, 1000 * labels + 7), all_gradients(loss, embeddings, labels)
    )


@weight_init
@each_loss_with_parameters
def test_weight_init_func_makes_the_parameters(loss_class: Any) -> None:
    init = TorchInitWrapper(torch.nn.init.constant_, val=2.5)
    (parameter,) = build(loss_class, weight_init_func=init).parameters()
    assert (parameter == 2.5).all()


@weight_init
@class_wise
def test_nothing_to_initialize(loss_class: Any, refuses: Any) -> None:
    with refuses(NOTHING_PER_CLASS, "weight_init_func"):
        build(loss_class, weight_init_func=TorchInitWrapper(torch.nn.init.zeros_))
