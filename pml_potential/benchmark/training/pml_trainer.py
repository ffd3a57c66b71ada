"""PML's trainer, with mixed precision and with names for a profiler."""

import warnings
from typing import Any, Literal

import torch
from pytorch_metric_learning.trainers import MetricLossOnly
from torch import Tensor, nn
from torch.profiler import record_function

from pml_potential.benchmark.training.process_group import sum_gradients, whole_batch
from pml_potential.gradient_cache import GradientCache


class PMLTrainer(MetricLossOnly):
    """``MetricLossOnly`` whose network may run in half precision; the loss stays in full precision.

    Args:
        dtype: of the network's arithmetic; None is full precision, as in PML. With float16 gradients
            are scaled, and a step whose gradients overflow is skipped.
        chunk_size: images that the network sees at once; None: the whole batch.
        **kwargs: those of ``MetricLossOnly``.
    """

    def __init__(
        self,
        dtype: Literal["float16", "bfloat16"] | None,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._dtype = None if dtype is None else getattr(torch, dtype)
        self._chunk_size = chunk_size
        super().__init__(**kwargs)
        self.scaler = torch.amp.GradScaler(self.data_device.type, enabled=dtype == "float16")

    def train_epoch(self, epoch: int) -> None:
        """Train one epoch, with its own data loader: prefetched batches end with the epoch."""
        self.train(start_epoch=epoch, num_epochs=epoch)
        # Ends the processes that loaded images.
        self.dataloader_iter = None

    def get_batch(self) -> tuple[Tensor, Tensor]:
        """Wait for the next batch: the images of this process, the labels of all."""
        with record_function("loading"):
            images, labels = super().get_batch()
        return images, whole_batch(labels.to(self.data_device))

    def compute_embeddings(self, data: Tensor) -> Tensor:
        """Embed a batch."""
        half = torch.autocast(self.data_device.type, self._dtype, enabled=self._dtype is not None)
        with record_function("network"), half:
            embeddings: Tensor = self._network()(data.to(self.data_device))
        # PML's losses would convert their own parameters to half precision.
        return embeddings if self._dtype is None else embeddings.float()

    def _network(self) -> Any:
        """The network that embeds a batch, at once or in chunks."""
        if self._chunk_size is None:
            return super().compute_embeddings
        network = nn.Sequential(self.models["trunk"], self.models["embedder"])
        # PML's trainer computes the loss of the embeddings: here they are only passed on.
        return GradientCache(network, lambda embeddings: embeddings, self._chunk_size)

    def maybe_get_metric_loss(self, embeddings: Tensor, labels: Tensor, indices_tuple: Any) -> Tensor:
        """Compute the loss."""
        with record_function("loss"):
            value: Tensor = super().maybe_get_metric_loss(embeddings, labels, indices_tuple)
        return value

    def maybe_mine_embeddings(self, embeddings: Tensor, labels: Tensor) -> Any:
        """Choose pairs or triplets."""
        with record_function("loss"):
            return super().maybe_mine_embeddings(embeddings, labels)

    def backward(self) -> None:
        """Compute the gradients."""
        with record_function("backward"):
            total: Any = self.losses["total_loss"]
            self.scaler.scale(total).backward()
            network = (parameter for model in self.models.values() for parameter in model.parameters())
            sum_gradients(network, self.loss_funcs["metric_loss"].parameters())

    def clip_gradients(self) -> None:
        """Clip the gradients, unscaled."""
        for optimizer in self.optimizers.values():
            self.scaler.unscale_(optimizer)
        super().clip_gradients()

    def step_lr_schedulers(self, end_of_epoch: bool = False) -> None:
        """Step the schedules, including that of a trunk that does not train yet."""
        with warnings.catch_warnings():
            # Its optimizer has taken no step, of which torch warns.
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
            super().step_lr_schedulers(end_of_epoch)

    def step_optimizers(self) -> None:
        """Take a step with every optimizer whose model is not frozen."""
        with record_function("optimizers"):
            for name, optimizer in self.optimizers.items():
                if name.removesuffix("_optimizer") not in self.freeze_these:
                    self.scaler.step(optimizer)
            self.scaler.update()
