"""A training loop of one's own in PyTorch: a CNN on a share of MNIST, sent through the wallet.

    python examples/torch_cnn_mnist.py WALLET 3/20 [UPDATES]

The ledger's configuration says `model = "cnn-small"` and `dataset = "mnist"` (or "digits"). The worker would train the
same model by itself; a loop of one's own is for other optimisers, schedules, devices or augmentations.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from bflmec.client import Wallet
from bflmec.client.sources import share_of
from bflmec.errors import NoEdgeNodeError
from bflmec.learning.datasets import load_dataset
from bflmec.learning.torch_models import cnn_small


def train(module: torch.nn.Module, loader: torch.utils.data.DataLoader, epochs: int) -> None:
    """Adam instead of the worker's SGD; everything else is the usual loop."""
    optimizer = torch.optim.Adam(module.parameters(), lr=1e-3)
    module.train()
    for _ in range(epochs):
        for x, y in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(x), y).backward()
            optimizer.step()


def main(folder: str, share: str, updates: int = 3) -> None:
    torch.set_num_threads(1)
    number, of = map(int, share.split("/"))
    with Wallet.open(folder) as wallet:
        wallet.register()
        data = wallet.config.data
        dataset = load_dataset(data.dataset, Path(data.directory) if data.directory else None)
        x, y = share_of(wallet.config, dataset, number, of)
        samples = torch.utils.data.TensorDataset(torch.tensor(x), torch.tensor(y))
        loader = torch.utils.data.DataLoader(samples, batch_size=10, shuffle=True)
        module, spec = cnn_small(dataset.features, dataset.classes), wallet.model.spec
        for _ in range(updates):
            gradient = wallet.latest_global_gradient()
            module.load_state_dict(
                {name: torch.tensor(part) for name, part in spec.unflatten(gradient.weights).items()}
            )
            train(module, loader, epochs=1)
            weights = spec.flatten({name: part.detach().numpy() for name, part in module.named_parameters()})
            try:
                filed = wallet.submit(weights=np.asarray(weights))
            except NoEdgeNodeError as error:
                print(f"no connection, kept for later: {error}")
            else:
                print(
                    f"anchor {gradient.anchor.number}: sequence {filed.sequence}, edge node {filed.edge_node}",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:4]))
