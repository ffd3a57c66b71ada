"""The same in an Accelerate loop: ``pip install accelerate``."""

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from pml_potential.functional import mean_field_class_wise_multi_similarity_loss

CLASSES, EMBEDDING_SIZE = 10, 16


class MeanFields(nn.Module):
    """The class vectors as a module, so ``prepare`` moves them to the device of the network."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.randn(CLASSES, EMBEDDING_SIZE))

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        return mean_field_class_wise_multi_similarity_loss(embeddings, labels, self.vectors)


torch.manual_seed(0)
labels = torch.randint(CLASSES, (640,))
images = torch.randn(CLASSES, 32)[labels] + 0.3 * torch.randn(640, 32)
accelerator = Accelerator(cpu=True)
network, loss_func = nn.Linear(32, EMBEDDING_SIZE), MeanFields()
optimizer = torch.optim.Adam(
    [
        {"params": network.parameters(), "lr": 1e-3},
        {"params": loss_func.parameters(), "lr": 1e-1},
    ]
)
loader = DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True)
network, loss_func, optimizer, loader = accelerator.prepare(network, loss_func, optimizer, loader)
for epoch in range(3):
    for some_images, some_labels in loader:
        optimizer.zero_grad()
        loss = loss_func(network(some_images), some_labels)
        accelerator.backward(loss)
        optimizer.step()
    accelerator.print(f"epoch {epoch}: {loss.item():.4f}")
