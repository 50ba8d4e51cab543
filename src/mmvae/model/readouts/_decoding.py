"""Modalities as the decoders expect them, a minibatch of cells at a time. C cells, G_m features, S draws."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from typing import Any, Literal, Self, TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmvae._checks import COUNT, NOT_NEGATIVE, check_numbers, listed
from mmvae._keys import LATENT
from mmvae.data import new_matrix
from mmvae.fusion import Posteriors
from mmvae.likelihoods import Likelihood
from mmvae.model._reader import Reader
from mmvae.module import Minibatch

# A frame, an array, a path, or one of these by modality: `Any`, so that who takes it need not say which to a type checker.
Values: TypeAlias = pd.DataFrame | Any
LibrarySize: TypeAlias = float | Literal["latent"]
# What is read of a likelihood in cells of such hidden activations, size factors and batches, ``(..., n_cells, G_m)``.
Read: TypeAlias = Callable[[Likelihood, Tensor, Tensor, Tensor], Tensor]


class Request:
    """What a user asks of the decoders.

    ``columns`` and their names, ``features``, by modality, those of all where none is named; ``batches``, the codes of
    those to decode in, over which values are averaged, ``None`` for each cell's own; the depth; and draws of the
    posterior, of which all are returned or the mean, which for one draw is the value at the posterior's mean.
    """

    def __init__(
        self,
        reader: Reader,
        modality: str | None,
        gene_list: Sequence[str] | None = None,
        transform_batch: Any = None,
        library_size: LibrarySize = 1.0,
        n_samples: int = 1,
        *,
        return_mean: bool = True,
    ) -> None:
        is_number = library_size != LATENT
        takes = {"n_samples": COUNT, "library_size": NOT_NEGATIVE}
        check_numbers(takes, n_samples=n_samples, library_size=library_size if is_number else None)
        names = reader.names if modality is None else [reader.modality(modality)]
        known = {name: pd.Index(reader.features(name)) for name in names}
        self.columns = {name: slice(None) for name in names} if gene_list is None else _columns(known, gene_list)
        self.features = {name: known[name][own] for name, own in self.columns.items()}
        self.batches, self.library_size = reader.batch_codes(transform_batch), library_size
        self.n_samples, self.return_mean, self.is_of_all = n_samples, return_mean, len(names) > 1

    @property
    def modality(self) -> str:
        """The modality, where there is one."""
        (name,) = self.columns
        return name

    @property
    def keeps_draws(self) -> bool:
        """Whether results have a dimension of draws, before all others."""
        return not self.return_mean and self.n_samples > 1

    def in_batch(self, code: int | None) -> Self:
        """The same, decoded in one batch."""
        own = copy(self)
        own.batches = [code]
        return own

    def as_asked(self, found: dict[str, Any]) -> Any:
        """By modality, where none of several was named; else what was found of the one."""
        return found if self.is_of_all else found[self.modality]

    def expected(self, likelihood: Likelihood, hidden: Tensor, size_factor: Tensor, batch: Tensor) -> Tensor:
        """Expected values at the depth that is asked for, ``(n_cells, G_m)``."""
        if self.library_size == LATENT:
            return likelihood.expected(hidden, size_factor, batch)
        return likelihood.scaled(hidden, self.library_size, batch)


@torch.inference_mode()
def decoded(
    reader: Reader, minibatches: Iterable[Minibatch], request: Request, read: Read | None = None
) -> Iterator[dict[str, np.ndarray]]:
    """By modality, what is read of the cells of each minibatch, ``(..., n_cells, n_columns)``, all draws of it if asked for.

    By default, expected values.
    """
    for minibatch in minibatches:
        # The same draws for all modalities, which so belong together.
        draws = list(fused_draws(reader, minibatch, request))
        found = {}
        for name in request.columns:
            values = (expected(reader, minibatch, fused, request, name, read) for fused in draws)
            over = torch.stack([own.cpu() for own in values]) if request.keeps_draws else _mean(values)
            found[name] = over.cpu().numpy()
        yield found


def fused_draws(
    reader: Reader, minibatch: Minibatch, request: Request, posteriors: Posteriors | None = None
) -> Iterator[Tensor]:
    """What the decoders read, ``(n_cells, U)``: at each draw of the posterior, or once at its mean."""
    fusion = reader.module.fusion
    posteriors = reader.module.encode(minibatch) if posteriors is None else posteriors
    at_mean = request.return_mean and request.n_samples == 1
    for _ in range(request.n_samples):
        latent = fusion.posterior(posteriors).loc if at_mean else fusion.draw(posteriors).latent
        yield fusion.fuse(latent, posteriors)


def in_batches(
    reader: Reader, minibatch: Minibatch, fused: Tensor, request: Request, name: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """Hidden activations of a modality in each batch that is asked for, ``(n_cells, G_m)``, and the cells' codes of it."""
    for code in request.batches:
        covariates = minibatch.in_batch(code).covariates
        yield reader.module.decoders[name](fused, covariates), covariates.batch


def expected(
    reader: Reader, minibatch: Minibatch, fused: Tensor, request: Request, name: str, read: Read | None = None
) -> Tensor:
    """Expected values of a modality, or what else is read, the mean over the batches that are asked for."""
    return mean_of(reader, minibatch, in_batches(reader, minibatch, fused, request, name), request, name, read)


def mean_of(
    reader: Reader,
    minibatch: Minibatch,
    layers: Iterable[tuple[Tensor, Tensor]],
    request: Request,
    name: str,
    read: Read | None = None,
) -> Tensor:
    """:func:`expected` of what :func:`in_batches` gives."""
    likelihood, read = reader.module.likelihoods[name], read or request.expected
    depth, columns = reader.module.size_factors(name, minibatch), request.columns[name]
    return _mean(read(likelihood, hidden, depth, batch)[..., columns] for hidden, batch in layers)


def drawn_cells(cells: np.ndarray, n_samples: int | None) -> np.ndarray:
    """So many of the cells at random, with replacement; all as they are where it is ``None``."""
    check_numbers({"n_samples_overall": COUNT}, n_samples_overall=n_samples)
    if n_samples is None:
        return cells
    if not len(cells):
        msg = "Expected cells to draw n_samples_overall from; got none. Give other indices."
        raise ValueError(msg)
    return cells[torch.randint(len(cells), (n_samples,)).numpy()]


def gathered(
    blocks: Iterable[dict[str, np.ndarray]],
    cells: pd.Index,
    request: Request,
    path: Path | None = None,
    *,
    return_numpy: bool = False,
) -> Values:
    """Blocks of cells as one frame or array, or in a file at ``path``; by modality where none was named of several."""
    found = collected(blocks, cells, request, path)
    if path is not None:
        found = dict.fromkeys(found, path)
    elif not return_numpy:
        found = {name: _framed(values, cells, request.features[name]) for name, values in found.items()}
    return request.as_asked(found)


def collected(
    blocks: Iterable[dict[str, np.ndarray]], cells: pd.Index, request: Request, path: Path | None = None
) -> dict[str, Any]:
    """Blocks of cells by modality as one array, ``(..., n_cells, n_columns)``, or in a file at ``path``."""
    found: dict[str, Any] = {}
    with ExitStack() as files:
        if path is not None:  # before anything is decoded, so that what there is no room for is found at once
            new = {name: new_matrix(path, cells, features) for name, features in request.features.items()}
            found = {name: files.enter_context(matrix) for name, matrix in new.items()}
        start = stop = 0
        for block in blocks:
            for name, values in block.items():
                if name not in found:
                    found[name] = np.empty((*values.shape[:-2], len(cells), values.shape[-1]), np.float32)
                stop = start + values.shape[-2]
                found[name][..., start:stop, :] = values
            start = stop
    return found


def _framed(values: np.ndarray, cells: pd.Index, features: pd.Index) -> Values:
    """As a frame, unless there are more dimensions than cells and features."""
    return pd.DataFrame(values, cells, features, copy=False) if values.ndim == 2 else values


def _mean(values: Iterator[Tensor]) -> Tensor:
    """The mean of tensors of one shape, in the memory of three."""
    total, n = next(values), 1
    for own in values:
        total, n = total + own, n + 1
    return total / n if n > 1 else total


def _columns(known: dict[str, pd.Index], gene_list: Sequence[str]) -> dict[str, np.ndarray]:
    """Places of the wanted features, in the one modality or those of several that have any."""
    wanted = pd.Index(listed("gene_list", gene_list)).unique()
    found = {name: own.get_indexer(wanted) for name, own in known.items()}
    is_known = np.any([places >= 0 for places in found.values()], axis=0)
    if not is_known.all():
        unknown = wanted[~is_known]
        msg = (
            f"Expected features of {' or '.join(map(repr, known))}; {len(unknown)} are unknown, such as '{unknown[0]}'."
        )
        raise ValueError(msg)
    inside = {name: places[places >= 0] for name, places in found.items()}
    return {name: places for name, places in inside.items() if len(places) or len(known) == 1}
