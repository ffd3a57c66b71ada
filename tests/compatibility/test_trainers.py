"""Each of PML's trainers takes the steps that a plain loop takes."""

import copy
from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import TripletMarginLoss
from pytorch_metric_learning.trainers import (
    CascadedEmbeddings,
    DeepAdversarialMetricLearning,
    MetricLossOnly,
    TrainWithClassifier,
    TwoStreamMetricLoss,
)
from pytorch_metric_learning.trainers.deep_adversarial_metric_learning import NegativeLpDistance
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, normalize
from torch.utils.data import TensorDataset

from pml_potential import ClassWiseMultiSimilarityLoss
from tests.compatibility.small_training import (
    CPU,
    TRUNK_SIZE,
    Modules,
    digits,
    embed,
    metric_loss,
    networks,
    networks_and_loss,
    optimizers,
    parameters,
    train,
)
from tests.losses.loss_cases import EMBEDDING_SIZE, NUM_CLASSES, build, each_loss

BATCH_SIZE = 8
NUM_BATCHES = 3


def data() -> tuple[Tensor, Tensor]:
    return digits(BATCH_SIZE * NUM_BATCHES)


def batches(*tensors: Tensor) -> list[tuple[Tensor, ...]]:
    return list(zip(*(tensor.split(BATCH_SIZE) for tensor in tensors), strict=True))


def trainer_arguments(modules: Modules, tensors: tuple[Tensor, ...]) -> dict[str, Any]:
    losses = {name: module for name, module in modules.items() if "loss" in name}
    models = {name: module for name, module in modules.items() if "loss" not in name}
    return {
        "models": models,
        "optimizers": optimizers(modules),
        "batch_size": BATCH_SIZE,
        "loss_funcs": losses,
        "dataset": TensorDataset(*tensors),
        "sampler": range(len(tensors[0])),
        "dataloader_num_workers": 0,
        "data_device": CPU,
    }


def assert_trained_alike(trained: Modules, by_hand: Modules, start: Modules) -> None:
    before, after = parameters(start), parameters(trained)
    # Three steps of Adam move a parameter by 0.03; where it does not matter, rounding moves it too.
    torch.testing.assert_close(after, parameters(by_hand), rtol=0, atol=1e-4)
    assert not any(new.equal(old) for new, old in zip(after, before, strict=True))


@pytest.mark.feature("Trainers", "`MetricLossOnly`")
@each_loss
def test_metric_loss_only(loss_class: Any) -> None:
    start = networks_and_loss(loss_class)
    trained, by_hand = copy.deepcopy(start), copy.deepcopy(start)
    MetricLossOnly(**trainer_arguments(trained, data())).train()
    train(by_hand, metric_loss, batches(*data()))
    assert_trained_alike(trained, by_hand, start)


def with_classifier(modules: Modules, images: Tensor, labels: Tensor) -> Tensor:
    embeddings = embed(modules, images)
    classification = cross_entropy(modules["classifier"](embeddings), labels)
    total: Tensor = modules["metric_loss"](embeddings, labels) + classification
    return total


@pytest.mark.feature("Trainers", "`TrainWithClassifier`")
@each_loss
def test_train_with_classifier(loss_class: Any) -> None:
    start = networks_and_loss(loss_class) | {
        "classifier": torch.nn.Linear(EMBEDDING_SIZE, NUM_CLASSES),
        "classifier_loss": torch.nn.CrossEntropyLoss(),
    }
    trained, by_hand = copy.deepcopy(start), copy.deepcopy(start)
    TrainWithClassifier(**trainer_arguments(trained, data())).train()
    train(by_hand, with_classifier, batches(*data()))
    assert_trained_alike(trained, by_hand, start)


def cascaded(modules: Modules, images: Tensor, labels: Tensor) -> Tensor:
    first, second = embed(modules, images).split(EMBEDDING_SIZE, dim=1)
    classification = cross_entropy(modules["classifier_1"](second), labels)
    metric = modules["metric_loss_0"](first, labels) + modules["metric_loss_1"](second, labels)
    total: Tensor = metric + classification
    return total


@pytest.mark.feature("Trainers", "`CascadedEmbeddings`")
@each_loss
def test_cascaded_embeddings(loss_class: Any) -> None:
    start = networks(embedding_size=2 * EMBEDDING_SIZE) | {
        "metric_loss_0": build(loss_class),
        "metric_loss_1": build(loss_class),
        "classifier_1": torch.nn.Linear(EMBEDDING_SIZE, NUM_CLASSES),
        "classifier_loss_1": torch.nn.CrossEntropyLoss(),
    }
    trained, by_hand = copy.deepcopy(start), copy.deepcopy(start)
    sizes = [EMBEDDING_SIZE, EMBEDDING_SIZE]
    CascadedEmbeddings(sizes, **trainer_arguments(trained, data())).train()
    train(by_hand, cascaded, batches(*data()))
    assert_trained_alike(trained, by_hand, start)


def all_triplets(labels: Tensor, with_itself: bool) -> tuple[Tensor, ...]:
    same = labels[:, None] == labels
    positive = same if with_itself else same & ~torch.eye(len(labels), dtype=torch.bool)
    return (positive[:, :, None] & ~same[:, None, :]).nonzero(as_tuple=True)


def two_streams(modules: Modules, anchors: Tensor, others: Tensor, labels: Tensor) -> Tensor:
    embeddings = torch.cat([embed(modules, anchors), embed(modules, others)])
    first, positives, negatives = all_triplets(labels, with_itself=True)
    triplets = first, positives + len(labels), negatives + len(labels)
    value: Tensor = modules["metric_loss"](embeddings, labels.repeat(2), triplets)
    return value


@pytest.mark.feature(
    "Trainers",
    "`TwoStreamMetricLoss`",
    "PML joins the streams to one batch with triplets between them; only CWMS keeps to their pairs, "
    "the others weight the members by them",
)
@each_loss
def test_two_stream_metric_loss(loss_class: Any) -> None:
    start = networks_and_loss(loss_class)
    trained, by_hand = copy.deepcopy(start), copy.deepcopy(start)
    images, labels = data()
    streams = images, images + 0.1 * torch.randn_like(images), labels
    TwoStreamMetricLoss(**trainer_arguments(trained, streams)).train()
    train(by_hand, two_streams, batches(*streams))
    assert_trained_alike(trained, by_hand, start)


def adversarial(modules: Modules, images: Tensor, labels: Tensor) -> Tensor:
    features = modules["trunk"](images)
    metric = modules["metric_loss"](modules["embedder"](features), labels)
    triplets = all_triplets(labels, with_itself=False)
    anchors, positives, negatives = (features[indices] for indices in triplets)
    synthetic = modules["generator"](torch.cat([anchors, positives, negatives], dim=1))
    mixed = modules["embedder"](torch.stack([anchors, positives, synthetic], dim=1).flatten(0, 1))
    mixed_labels = labels[torch.stack(triplets, dim=1).flatten()]
    in_order = tuple(torch.arange(len(mixed)).view(-1, 3).T)
    away = TripletMarginLoss(margin=-0.05, distance=NegativeLpDistance())
    total: Tensor = (
        metric
        + modules["metric_loss"](mixed, mixed_labels, in_order)
        + away(mixed, mixed_labels, in_order)
        + mse_loss(normalize(synthetic), normalize(anchors))
        + mse_loss(normalize(synthetic), normalize(negatives))
    )
    return total


@pytest.mark.feature(
    "Trainers",
    "`DeepAdversarialMetricLearning`",
    "the trainer never steps `metric_loss_optimizer` or `synth_loss_optimizer`: "
    "hand the parameters of the loss to `embedder_optimizer`",
)
@each_loss
def test_deep_adversarial_metric_learning(loss_class: Any) -> None:
    generator = torch.nn.Linear(3 * TRUNK_SIZE, TRUNK_SIZE)
    start = networks_and_loss(loss_class) | {"generator": generator}
    trained, by_hand = copy.deepcopy(start), copy.deepcopy(start)
    losses = {"synth_loss": trained["metric_loss"], "g_adv_loss": TripletMarginLoss(margin=0.05)}
    arguments = trainer_arguments(trained | losses, data())
    arguments["optimizers"] = optimizers(
        {
            "trunk": trained["trunk"],
            "embedder": torch.nn.ModuleList([trained["embedder"], trained["metric_loss"]]),
            "generator": trained["generator"],
        }
    )
    DeepAdversarialMetricLearning(g_triplets_per_anchor="all", **arguments).train()
    train(by_hand, adversarial, batches(*data()))
    assert_trained_alike(trained, by_hand, start)


def digits_of_six_classes() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(n_class=6, return_X_y=True)
    return torch.tensor(images / 16).float(), torch.tensor(labels)


def train_on_digits(loss: Any, steps: int) -> float:
    """Train a small network with the loss in a plain loop; return the last loss of all images."""
    images, labels = digits_of_six_classes()
    torch.manual_seed(0)
    trunk = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8))
    optimizer = torch.optim.Adam([*trunk.parameters(), *loss.parameters()], lr=3e-3)
    for _ in range(steps):
        chosen = torch.randint(len(images), (64,))
        optimizer.zero_grad()
        loss(trunk(images[chosen]), labels[chosen]).backward()
        optimizer.step()
    last: float = loss(trunk(images), labels).item()
    return last


@pytest.mark.feature("Trainers", "a plain training loop")
@each_loss
def test_a_plain_training_loop_lowers_the_loss(loss_class: Any) -> None:
    sizes = {} if loss_class is ClassWiseMultiSimilarityLoss else {"num_classes": 6, "embedding_size": 8}
    torch.manual_seed(1)
    loss = loss_class(**sizes)
    start, end = (train_on_digits(copy.deepcopy(loss), steps) for steps in (0, 60))
    assert end < start
