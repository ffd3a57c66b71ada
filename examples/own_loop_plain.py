"""A field and its proxies in a loop of plain torch."""

import torch

from pml_potential.functional import potential_field_energy

CLASSES, PROXIES_PER_CLASS, EMBEDDING_SIZE = 10, 2, 16

torch.manual_seed(0)
centres = torch.randn(CLASSES, 32)
network = torch.nn.Sequential(
    torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, EMBEDDING_SIZE)
)
proxies = torch.nn.Parameter(torch.randn(CLASSES * PROXIES_PER_CLASS, EMBEDDING_SIZE))
proxy_labels = torch.arange(CLASSES).repeat_interleave(PROXIES_PER_CLASS)
optimizer = torch.optim.Adam(
    [{"params": network.parameters(), "lr": 1e-3}, {"params": [proxies], "lr": 1e-1}]
)
for step in range(60):
    labels = torch.randint(CLASSES, (64,))
    images = centres[labels] + 0.3 * torch.randn(64, 32)
    optimizer.zero_grad()
    energies = potential_field_energy(
        network(images), labels, proxies, proxy_labels, alpha=2.0, delta=0.5
    )
    loss = energies.mean()
    loss.backward()
    optimizer.step()
    if step % 10 == 0:
        print(f"step {step}: {loss.item():.4f}")
