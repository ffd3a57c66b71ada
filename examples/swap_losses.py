# %% [markdown]
# # Swapping losses in PML's metric-loss example
#
# The example of pytorch-metric-learning that trains with `MetricLossOnly`, with the same parts in the
# same order; only the loss changes. Run it as a script, or cell by cell in an editor that knows `# %%`.
# The images are the glyphs that come with this package, so that nothing is downloaded: characters in 16
# typefaces, half of them for training and the other half, which training never sees, for the test.

# %%
import torch
from pytorch_metric_learning import losses, miners, samplers, testers, trainers
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from torch import nn
from torch.utils.data import TensorDataset

import pml_potential
from pml_potential.benchmark.data.datasets import load_glyphs

torch.manual_seed(0)

# %% [markdown]
# ## Data
#
# The losses with proxies or mean fields number their classes from 0.

# %%
glyphs = load_glyphs()
images = torch.from_numpy(glyphs.images).float().unsqueeze(1) / 127.5 - 1
labels = torch.from_numpy(glyphs.labels).long()
num_classes = len(glyphs.class_names) // 2
is_train = labels < num_classes
train_dataset = TensorDataset(images[is_train], labels[is_train])
test_dataset = TensorDataset(images[~is_train], labels[~is_train])

# %% [markdown]
# ## Losses
#
# The first two are PML's own. Those of this package take their place without any other change; what PML
# can do with them is listed on the page "What works with pytorch-metric-learning".

# %%
embedding_size = 64
sizes = {"num_classes": num_classes, "embedding_size": embedding_size}
loss_funcs = {
    "TripletMarginLoss": losses.TripletMarginLoss(margin=0.1),
    "ProxyAnchorLoss": losses.ProxyAnchorLoss(**sizes),
    "PotentialFieldLoss": pml_potential.PotentialFieldLoss(**sizes, proxies_per_class=5, alpha=1),
    "CPMLLoss": pml_potential.CPMLLoss(**sizes, proxies_per_class=5),
    "MeanFieldContrastiveLoss": pml_potential.MeanFieldContrastiveLoss(**sizes),
    "ClassWiseMultiSimilarityLoss": pml_potential.ClassWiseMultiSimilarityLoss(),
    "MeanFieldClassWiseMultiSimilarityLoss": pml_potential.MeanFieldClassWiseMultiSimilarityLoss(
        **sizes
    ),
}


# %% [markdown]
# ## Network, optimizers, sampler, trainer
#
# The trap: a loss with proxies or mean fields has parameters, and they need an optimizer. PML's trainers
# call it `metric_loss_optimizer`. Without it everything runs, the proxies stay where they started, and
# nobody says so. `MultiSimilarityMiner` belongs to the triplet loss; a field finds its pairs by itself.


# %%
def build_models():
    trunk = nn.Sequential(
        *(nn.Conv2d(1, 24, 5, stride=2, padding=2), nn.BatchNorm2d(24), nn.ReLU()),
        *(nn.Conv2d(24, 48, 3, stride=2, padding=1), nn.BatchNorm2d(48), nn.ReLU()),
        *(nn.Conv2d(48, 96, 3, padding=1), nn.BatchNorm2d(96), nn.ReLU()),
        *(nn.AdaptiveMaxPool2d(1), nn.Flatten()),
    )
    return {"trunk": trunk, "embedder": nn.Linear(96, embedding_size)}


def train(loss_func, num_epochs):
    models = build_models()
    optimizers = {
        f"{name}_optimizer": torch.optim.Adam(model.parameters(), lr=3e-3)
        for name, model in models.items()
    }
    if any(True for _ in loss_func.parameters()):
        optimizers["metric_loss_optimizer"] = torch.optim.RMSprop(loss_func.parameters(), lr=1e-2)
    mining_funcs = {}
    if isinstance(loss_func, losses.TripletMarginLoss):
        mining_funcs["tuple_miner"] = miners.MultiSimilarityMiner(epsilon=0.1)
    trainers.MetricLossOnly(
        models,
        optimizers,
        batch_size=32,
        loss_funcs={"metric_loss": loss_func},
        dataset=train_dataset,
        mining_funcs=mining_funcs,
        sampler=samplers.MPerClassSampler(train_dataset.tensors[1], m=4, length_before_new_iter=3200),
        dataloader_num_workers=0,
    ).train(num_epochs=num_epochs)
    return models


# %% [markdown]
# ## Test
#
# Classes that the network has never seen: for each image, are its nearest neighbours of its class?


# %%
def test(models):
    tester = testers.GlobalEmbeddingSpaceTester(
        dataloader_num_workers=0,
        accuracy_calculator=AccuracyCalculator(
            include=("mean_average_precision_at_r", "precision_at_1"), k="max_bin_count"
        ),
    )
    accuracies = tester.test({"test": test_dataset}, 0, models["trunk"], models["embedder"])["test"]
    return accuracies["mean_average_precision_at_r_level0"], accuracies["precision_at_1_level0"]


# %% [markdown]
# ## Every loss in turn
#
# One epoch is enough to see that each of them learns. It says nothing about which is best: for that,
# each needs a search for its hyperparameters, on validation classes, and repetitions. That is what
# `pml-potential run` is for.

# %%
results = {"untrained": test(build_models())}
for name, loss_func in loss_funcs.items():
    results[name] = test(train(loss_func, num_epochs=1))

print("| loss | MAP@R | P@1 |\n|---|---|---|")
for name, (map_at_r, precision_at_1) in results.items():
    print(f"| {name} | {map_at_r:.3f} | {precision_at_1:.3f} |")
