"""What the decoders say: expected values of any modality in any cell. C cells, G_m features."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmvae._checks import COUNT, NOT_NEGATIVE, check_numbers
from mmvae.data import checked_path, new_matrix
from mmvae.model._data import Data, DataAccess, Indices
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


class ExpressionMethods(DataAccess):
    """What the decoders say of cells."""

    def get_normalized_expression(
        self,
        adata: Data | None = None,
        modality: str | None = None,
        indices: Indices | None = None,
        *,
        features: Sequence[str] | None = None,
        transform_batch: str | None = None,
        library_size: float = 1.0,
        n_samples: int = 1,
        batch_size: int | None = None,
        out: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Values:
        """Expected values of a modality, decoded from everything that a cell has.

        Cells that lack the modality get a prediction. Depth is taken out: for ``nb``, ``zinb`` and ``poisson`` the
        values are shares of a cell's counts times ``library_size``; for ``bernoulli`` probabilities at median depth;
        for ``nb_mixture`` expected foreground counts; for ``normal`` and ``student_t`` means in units of the data.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_latent_representation`.
        modality
            Which modality; may be left out if there is one.
        features
            Features to return, by name; all by default. The result is dense: name the ones needed where cells are many.
        transform_batch
            Decode as if all cells came from this batch; each cell's own by default.
        library_size
            What shares are multiplied by.
        n_samples
            1: values at the posterior mean. More: the mean over so many samples of the posterior.
        out
            File to write to, ``.h5ad`` or ``.zarr``, where the result does not fit in memory: an AnnData with the
            values as a dense X in single precision. It appears under this name once it is complete.
        overwrite
            Whether ``out`` may replace a file of its kind; never one that values are read from.

        Returns
        -------
        DataFrame of cells by features; with ``out`` its path, which ``anndata.read_h5ad(path, backed="r")`` and
        ``anndata.experimental.read_lazy(path)`` open without reading it.
        """
        path = None if out is None else checked_path(out, self.adata, adata, overwrite=overwrite)
        reader = Reader(self)
        request = Request(reader, modality, features, transform_batch, library_size, n_samples)
        decoded = _decoded(reader, reader.minibatches(adata, indices, batch_size), request)
        return _gathered(decoded, reader.cell_names(adata, indices), request.features, path)

    def impute(
        self,
        modality: str,
        indices: Indices | None = None,
        *,
        adata: Data | None = None,
        features: Sequence[str] | None = None,
        transform_batch: str | None = None,
        library_size: float = 1.0,
        n_samples: int = 1,
        batch_size: int | None = None,
        out: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Values:
        """Expected values of a modality, predicted from the *other* modalities of a cell.

        The cell's own measurement of ``modality``, if it has one, is withheld, so that predictions for measured cells
        can be held against what was measured. Units are those of :meth:`get_normalized_expression`. Where no cell of a
        batch has the modality, nothing is known of the batch's effect on it: name one that has it as
        ``transform_batch``.

        Parameters
        ----------
        modality
            Which modality to predict. Cells that have nothing else are refused.
        indices
            Cells, by number or as a mask; by default those that lack the modality.
        adata, features, transform_batch, library_size, n_samples, batch_size, out, overwrite
            As in :meth:`get_normalized_expression`.

        Returns
        -------
        DataFrame of cells by features; with ``out`` its path.
        """
        path = None if out is None else checked_path(out, self.adata, adata, overwrite=overwrite)
        reader = Reader(self)
        request = Request(reader, modality, features, transform_batch, library_size, n_samples)
        data = reader.data(adata)
        cells = _imputable(reader, data, request.modality, indices)
        minibatches = (m.without(request.modality) for m in reader.minibatches(data, cells, batch_size))
        return _gathered(_decoded(reader, minibatches, request), data.obs_names[cells], request.features, path)


def _columns(name: str, known: pd.Index, features: Sequence[str]) -> np.ndarray:
    features = [features] if isinstance(features, str) else list(features)
    found = known.get_indexer(pd.Index(features))
    if (found < 0).any():
        unknown = [f for f, i in zip(features, found, strict=True) if i < 0]
        msg = f"Expected features of '{name}'; {len(unknown)} are unknown, such as '{unknown[0]}'."
        raise ValueError(msg)
    return found


def _imputable(reader: Reader, data: Data, modality: str, indices: Indices | None) -> np.ndarray:
    """Numbers of the cells to impute, by default those that lack the modality."""
    cells, presence = reader.cells(data, indices)
    index = reader.names.index(modality)
    if indices is None:
        return cells[~presence[:, index]]
    others = np.delete(presence, index, axis=1).any(axis=1)
    if not others.all():
        example = data.obs_names[cells[~others][0]]
        msg = (
            f"Expected cells with another modality than '{modality}' to predict it from; {int((~others).sum())} "
            f"cells, such as '{example}', have none. Leave them out of indices."
        )
        raise ValueError(msg)
    return cells


@torch.inference_mode()
def _decoded(reader: Reader, minibatches: Iterable[Minibatch], request: Request) -> Iterator[np.ndarray]:
    """Expected values of the cells of each minibatch, ``(n_cells, n_columns)``."""
    for minibatch in minibatches:
        covariates = minibatch.in_batch(request.batch).covariates
        draws = _fused_draws(reader, minibatch, request.n_samples)
        rates = (reader.module.rates(request.modality, fused, covariates)[:, request.columns] for fused in draws)
        total: Any = sum(rates)
        yield total.mul_(request.factor / request.n_samples).cpu().numpy()


def _gathered(blocks: Iterable[np.ndarray], cells: pd.Index, features: pd.Index, path: Path | None) -> Values:
    """Blocks of cells as one frame, or in a file at ``path``."""
    shape = len(cells), len(features)
    with new_matrix(path, cells, features) if path else nullcontext(np.empty(shape, np.float32)) as matrix:
        start = 0
        for block in blocks:
            matrix[start : start + len(block)] = block
            start += len(block)
    return path if path else pd.DataFrame(matrix, index=cells, columns=features, copy=False)


def _fused_draws(reader: Reader, minibatch: Minibatch, n_samples: int) -> Iterator[Tensor]:
    """What the decoders read: once at the posterior mean, or at each of ``n_samples`` draws."""
    fusion, posteriors = reader.module.fusion, reader.module.encode(minibatch)
    for _ in range(n_samples):
        latent = fusion.posterior(posteriors).loc if n_samples == 1 else fusion.draw(posteriors).latent
        yield fusion.fuse(latent, posteriors)
