"""Modalities as the decoders expect them, a minibatch of cells at a time. C cells, G_m features."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmvae._checks import COUNT, NOT_NEGATIVE, check_numbers
from mmvae.data import new_matrix
from mmvae.model._reader import Reader
from mmvae.module import Minibatch

# A path where it is written: `Any`, so that those who take the frame need not say so to a type checker.
Values: TypeAlias = pd.DataFrame | Any


class Request:
    """What a user asks for: a modality, its columns, the batch to decode in (``None``: each cell's own), a factor."""

    def __init__(
        self,
        reader: Reader,
        modality: str | None,
        features: Sequence[str] | None = None,
        transform_batch: Any = None,
        library_size: float = 1.0,
        n_samples: int = 1,
    ) -> None:
        self.modality, self.n_samples = reader.modality(modality), n_samples
        takes = {"n_samples": COUNT, "library_size": NOT_NEGATIVE}
        check_numbers(takes, n_samples=n_samples, library_size=library_size)
        known = pd.Index(reader.features(self.modality))
        self.columns = slice(None) if features is None else _columns(self.modality, known, features)
        self.features, self.batch = known[self.columns], reader.batch_code(transform_batch)
        self.factor = library_size if reader.module.likelihoods[self.modality].relative else 1.0


@torch.inference_mode()
def decoded(reader: Reader, minibatches: Iterable[Minibatch], request: Request) -> Iterator[np.ndarray]:
    """Expected values of the cells of each minibatch, ``(n_cells, n_columns)``."""
    for minibatch in minibatches:
        covariates = minibatch.in_batch(request.batch).covariates
        draws = fused_draws(reader, minibatch, request.n_samples)
        rates = (reader.module.rates(request.modality, fused, covariates)[:, request.columns] for fused in draws)
        total: Any = sum(rates)
        yield total.mul_(request.factor / request.n_samples).cpu().numpy()


def gathered(blocks: Iterable[np.ndarray], cells: pd.Index, features: pd.Index, path: Path | None) -> Values:
    """Blocks of cells as one frame, or in a file at ``path``."""
    shape = len(cells), len(features)
    with new_matrix(path, cells, features) if path else nullcontext(np.empty(shape, np.float32)) as matrix:
        start = 0
        for block in blocks:
            matrix[start : start + len(block)] = block
            start += len(block)
    return path if path else pd.DataFrame(matrix, index=cells, columns=features, copy=False)


def fused_draws(reader: Reader, minibatch: Minibatch, n_samples: int) -> Iterator[Tensor]:
    """What the decoders read: once at the posterior mean, or at each of ``n_samples`` draws."""
    fusion, posteriors = reader.module.fusion, reader.module.encode(minibatch)
    for _ in range(n_samples):
        latent = fusion.posterior(posteriors).loc if n_samples == 1 else fusion.draw(posteriors).latent
        yield fusion.fuse(latent, posteriors)


def _columns(name: str, known: pd.Index, features: Sequence[str]) -> np.ndarray:
    features = [features] if isinstance(features, str) else list(features)
    found = known.get_indexer(pd.Index(features))
    if (found < 0).any():
        unknown = [f for f, i in zip(features, found, strict=True) if i < 0]
        msg = f"Expected features of '{name}'; {len(unknown)} are unknown, such as '{unknown[0]}'."
        raise ValueError(msg)
    return found
