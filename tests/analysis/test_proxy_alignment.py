import itertools
import math

import pytest
import torch
from pytorch_metric_learning.testers import GlobalEmbeddingSpaceTester
from pytorch_metric_learning.trainers import MetricLossOnly
from torch import Tensor
from torch.utils.data import TensorDataset

from pml_potential import PotentialFieldLoss
from pml_potential.analysis import ProxyAlignmentTracker, proxies_of, proxy_alignment


def on_circle(*degrees: float) -> Tensor:
    angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def chord(degrees: float) -> float:
    return 2 * math.sin(math.radians(degrees) / 2)


def zeros(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.long)


def test_one_proxy_is_as_far_as_its_nearest_embedding() -> None:
    found = proxy_alignment(on_circle(0), zeros(1), on_circle(-90, 20, 60), zeros(3))
    assert found.mean == pytest.approx(chord(20))


def test_two_proxies_do_not_share_an_embedding() -> None:
    """Both are nearest to 0 degrees; one of the two goes there, and the other one to -40."""
    found = proxy_alignment(on_circle(10, -5), zeros(2), on_circle(0, -40, 90), zeros(3))
    assert found.mean == pytest.approx(math.sqrt((chord(10) ** 2 + chord(35) ** 2) / 2))


def test_lengths_do_not_matter() -> None:
    proxies, embeddings = on_circle(10, 70), on_circle(0, 50, 100)
    scaled = proxy_alignment(7 * proxies, zeros(2), 0.1 * embeddings, zeros(3))
    assert scaled.mean == pytest.approx(proxy_alignment(proxies, zeros(2), embeddings, zeros(3)).mean)


def test_the_mean_is_over_classes_and_not_over_proxies() -> None:
    found = proxy_alignment(
        on_circle(10, 10, 180),
        torch.tensor([3, 3, 1]),
        on_circle(0, 20, 90, 180),
        torch.tensor([3, 3, 3, 1]),
    )
    assert found.by_class == {1: pytest.approx(0, abs=1e-9), 3: pytest.approx(chord(10))}
    assert found.mean == pytest.approx(chord(10) / 2)


def test_three_proxies_share_two_embeddings_as_evenly_as_they_can() -> None:
    """Each serves two at most, so that one of the three near 0 has to go to 90 degrees."""
    found = proxy_alignment(on_circle(0, 0, 0), zeros(3), on_circle(0, 90), zeros(2))
    assert found.mean == pytest.approx(chord(90) / math.sqrt(3))


def test_no_assignment_is_better() -> None:
    generator = torch.Generator().manual_seed(0)
    proxies, embeddings = (torch.randn(n, 6, generator=generator) for n in (4, 7))
    unit_p, unit_z = (torch.nn.functional.normalize(x.double()) for x in (proxies, embeddings))
    best = min(
        (unit_p - unit_z[list(chosen)]).square().sum(dim=1).mean().sqrt().item()
        for chosen in itertools.permutations(range(7), 4)
    )
    found = proxy_alignment(proxies, zeros(4), embeddings, zeros(7))
    assert found.mean == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize(
    ("proxy_labels", "labels", "message"),
    [
        ([0, 1], [0, 0], "class 1 has a proxy and no embedding"),
        ([0, 0], [0, 2], "class 2 has an embedding and no proxy"),
        ([0], [0, 0], r"proxy_labels has shape \(1,\); it must be \(2,\)"),
    ],
)
def test_classes_that_do_not_match_are_refused(
    proxy_labels: list[int], labels: list[int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        proxy_alignment(
            on_circle(0, 1), torch.tensor(proxy_labels), on_circle(0, 1), torch.tensor(labels)
        )


def test_other_widths_and_infinite_proxies_are_refused() -> None:
    with pytest.raises(ValueError, match=r"embeddings has shape \(2, 3\); it must be"):
        proxy_alignment(on_circle(0), zeros(1), torch.ones(2, 3), zeros(2))
    with pytest.raises(ValueError, match=r"proxies\[0\] has the norm inf"):
        proxy_alignment(torch.inf * torch.ones(1, 2), zeros(1), on_circle(0), zeros(1))


def test_the_tracker_follows_a_training_of_pml() -> None:
    torch.manual_seed(0)
    labels = torch.arange(24) % 3
    dataset = TensorDataset(torch.eye(4)[labels] + 0.1 * torch.randn(24, 4), labels)
    trunk = torch.nn.Linear(4, 4)
    loss = PotentialFieldLoss(3, 4, proxies_per_class=2, alpha=1.0)
    tester = GlobalEmbeddingSpaceTester(dataloader_num_workers=0)
    tracker = ProxyAlignmentTracker(loss, lambda: tester.get_all_embeddings(dataset, trunk))
    trainer = MetricLossOnly(
        models={"trunk": trunk},
        optimizers={
            "trunk_optimizer": torch.optim.SGD(trunk.parameters(), lr=0),
            "metric_loss_optimizer": torch.optim.Adam(loss.parameters(), lr=0.1),
        },
        batch_size=24,
        loss_funcs={"metric_loss": loss},
        dataset=dataset,
        dataloader_num_workers=0,
        end_of_epoch_hook=tracker,
    )
    trainer.train(num_epochs=10)
    assert [epoch for epoch, _ in tracker.history] == list(range(1, 11))
    first, last = tracker.history[0][1], tracker.history[-1][1]
    assert last.mean < 0.7 * first.mean
    with torch.no_grad():
        embeddings = trunk(dataset.tensors[0])
    assert proxy_alignment(*proxies_of(loss), embeddings, labels).mean == pytest.approx(last.mean)
