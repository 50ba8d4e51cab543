"""Modalities as the decoders expect them, a minibatch of cells at a time. C cells, G_m features, S draws."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmvae._checks import COUNT, NOT_NEGATIVE, check_numbers
from mmvae._keys import LATENT
from mmvae.data import new_matrix
from mmvae.model._reader import Reader
from mmvae.module import Minibatch

# A frame, an array, a path, or one of these by modality: `Any`, so that who takes it need not say which to a type checker.
Values: TypeAlias = pd.DataFrame | Any
LibrarySize: TypeAlias = float | Literal["latent"]


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
    def draws(self) -> tuple[int, ...]:
        """The dimensions that results have before cells and features."""
        return () if self.return_mean or self.n_samples == 1 else (self.n_samples,)


@torch.inference_mode()
def decoded(reader: Reader, minibatches: Iterable[Minibatch], request: Request) -> Iterator[dict[str, np.ndarray]]:
    """By modality, expected values of the cells of each minibatch, ``(n_cells, n_columns)``, all draws of them if asked for."""
    for minibatch in minibatches:
        # The same draws for all modalities, which so belong together.
        draws = list(fused_draws(reader, minibatch, request))
        found = {}
        for name in request.columns:
            values = (expected(reader, minibatch, fused, request, name) for fused in draws)
            over = torch.stack([own.cpu() for own in values]) if request.draws else _mean(values)
            found[name] = over.cpu().numpy()
        yield found


def fused_draws(reader: Reader, minibatch: Minibatch, request: Request) -> Iterator[Tensor]:
    """What the decoders read, ``(n_cells, U)``: at each draw of the posterior, or once at its mean."""
    fusion, posteriors = reader.module.fusion, reader.module.encode(minibatch)
    at_mean = request.return_mean and request.n_samples == 1
    for _ in range(request.n_samples):
        latent = fusion.posterior(posteriors).loc if at_mean else fusion.draw(posteriors).latent
        yield fusion.fuse(latent, posteriors)


def expected(reader: Reader, minibatch: Minibatch, fused: Tensor, request: Request, name: str) -> Tensor:
    """Expected values of a modality, the mean over the batches that are asked for, ``(n_cells, n_columns)``."""
    module, columns = reader.module, request.columns[name]
    is_at_depth, is_share = request.library_size == LATENT, module.likelihoods[name].relative
    depth = module.size_factors(name, minibatch) if is_at_depth else request.library_size if is_share else None
    covariates = (minibatch.in_batch(code).covariates for code in request.batches)
    return _mean(module.rates(name, fused, own, depth)[:, columns] for own in covariates)


def gathered(
    blocks: Iterable[dict[str, np.ndarray]],
    cells: pd.Index,
    request: Request,
    path: Path | None = None,
    *,
    return_numpy: bool = False,
) -> Values:
    """Blocks of cells as one frame or array, or in a file at ``path``; by modality where none was named of several."""
    with ExitStack() as files:
        found = {name: _empty(files, cells, features, request, path) for name, features in request.features.items()}
        start = 0
        for block in blocks:
            stop = start + next(iter(block.values())).shape[-2]
            for name, values in block.items():
                found[name][..., start:stop, :] = values
            start = stop
    if path is not None:
        found = dict.fromkeys(found, path)
    elif not (return_numpy or request.draws):
        found = {n: pd.DataFrame(found[n], cells, names, copy=False) for n, names in request.features.items()}
    return found if request.is_of_all else found[request.modality]


def _empty(files: ExitStack, cells: pd.Index, features: pd.Index, request: Request, path: Path | None) -> Any:
    if path is None:
        return np.empty((*request.draws, len(cells), len(features)), np.float32)
    return files.enter_context(new_matrix(path, cells, features))


def _mean(values: Iterator[Tensor]) -> Tensor:
    """The mean of tensors of one shape, in the memory of two."""
    total, n = next(values).clone(), 1
    for own in values:
        total, n = total.add_(own), n + 1
    return total.div_(n)


def _columns(known: dict[str, pd.Index], gene_list: Sequence[str]) -> dict[str, np.ndarray]:
    """Places of the wanted features, in the one modality or those of several that have any."""
    wanted = pd.Index([gene_list] if isinstance(gene_list, str) else list(gene_list))
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
