"""The same in a Lightning module: ``pip install lightning``."""

from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from pml_potential.functional import mean_field_contrastive_loss

CLASSES, EMBEDDING_SIZE = 10, 16


class Embedder(lightning.LightningModule):
    """A network, and the mean fields as one more parameter of the module."""

    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Linear(32, EMBEDDING_SIZE)
        self.mean_fields = torch.nn.Parameter(torch.randn(CLASSES, EMBEDDING_SIZE))

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        images, labels = batch
        loss = mean_field_contrastive_loss(self.network(images), labels, self.mean_fields)
        self.log("loss", loss)
        return loss

    def configure_optimizers(self) -> Any:
        parts = [
            {"params": self.network.parameters(), "lr": 1e-3},
            {"params": [self.mean_fields], "lr": 1e-1},
        ]
        return torch.optim.Adam(parts)


if __name__ == "__main__":
    lightning.seed_everything(0, verbose=False)
    labels = torch.randint(CLASSES, (640,))
    images = torch.randn(CLASSES, 32)[labels] + 0.3 * torch.randn(640, 32)
    trainer = lightning.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Embedder(), DataLoader(TensorDataset(images, labels), batch_size=64, shuffle=True))
    print(f"loss {trainer.callback_metrics['loss'].item():.4f}")
