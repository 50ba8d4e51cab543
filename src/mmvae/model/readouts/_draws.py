"""Draws of a modality that cells do not show. C cells, G features, S draws."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch

from mmvae.model._data import Data
from mmvae.model._reader import READOUT_BATCH, Reader
from mmvae.module import Minibatch

from ._decoding import Request, fused_draws, in_batches, mean_of
from ._posteriors import fused_mean

# Values of all draws of a minibatch at the most.
BLOCK_VALUES = 2**24
# From latents, codes of batches and standard normal noise to size factors, ``(C,)``.
Totals: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Hidden:
    """Cells of some data, of which the encoders do not see some modalities, ``names``."""

    reader: Reader
    data: Data
    cells: np.ndarray
    names: Sequence[str]

    def minibatches(
        self, batch_size: int | None = None, *, silent: bool = True
    ) -> Iterator[tuple[Minibatch, Minibatch]]:
        """The cells as they are, and as they are seen."""
        for minibatch in self.reader.minibatches(self.data, self.cells, batch_size, silent=silent):
            seen = minibatch
            for name in self.names:
                seen = seen.without(name)
            yield minibatch, seen


class Draws(NamedTuple):
    """Of expected values and of what would be measured, ``(C, G, S)``; mean and variance of the latter's means, ``(C, G)``."""

    rates: np.ndarray
    counts: np.ndarray
    mean: np.ndarray
    variance: np.ndarray


@torch.inference_mode()
def drawn(reader: Reader, seen: Minibatch, request: Request, totals: Totals) -> Draws:
    """Draws of the posterior, each of them with a depth of its own, in the batches that are asked for by turns."""
    module, name, columns = reader.module, request.modality, request.columns[request.modality]
    posteriors = module.encode(seen)
    latent = fused_mean(module.fusion, posteriors).cpu().numpy()
    shape = len(seen), len(request.features[name])
    rates, counts = (np.empty((*shape, request.n_samples), np.float32) for _ in range(2))
    means = np.zeros((2, *shape))  # double, as the variance is a difference of large numbers
    for number, fused in enumerate(fused_draws(reader, seen, request, posteriors)):
        layers = list(in_batches(reader, seen, fused, request, name))
        hidden, batch = layers[number % len(layers)]
        depth = totals(latent, batch.cpu().numpy().ravel(), torch.randn(len(seen)).numpy())
        size_factor = torch.as_tensor(depth, dtype=fused.dtype, device=fused.device)[:, None]
        distribution = module.likelihoods[name](hidden, size_factor, batch).distribution
        rates[..., number] = mean_of(reader, seen, layers, request, name).cpu().numpy()
        counts[..., number] = distribution.sample()[:, columns].cpu().numpy()
        mean = distribution.mean[:, columns].double().cpu().numpy()
        means += np.stack([mean, mean**2]) / request.n_samples
    return Draws(rates, counts, means[0], means[1] - means[0] ** 2)


def block(request: Request) -> int:
    """Cells of a minibatch whose draws fit in memory."""
    n_values = request.n_samples * len(request.features[request.modality])
    return int(np.clip(BLOCK_VALUES // max(1, n_values), 1, READOUT_BATCH))
