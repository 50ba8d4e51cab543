"""Whether the priors fit, what they draw, and which cells are outliers to them: C cells, M modalities."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmvae._keys import JOINT
from mmvae.analysis import outlier_share, two_sample_auc, verdict
from mmvae.fusion import Fusion
from mmvae.model._reader import Data, Indices, Reader
from mmvae.module import Inference
from mmvae.priors import Prior, PriorContext
from mmvae.train import seeded

from ._expression import Request
from ._profiles import fused_from
from ._unimodal import UnimodalPosterior, by_modality

MIN_HELD_OUT = 200
REFERENCE_CELLS = 10_000


def check_prior(reader: Reader, n_cells: int, seed: int) -> pd.DataFrame:
    """Two-sample test of posterior against prior for each latent, and for all of them together."""
    own, held_out = reader.own_data(), reader.validation_cells()
    cells = held_out if len(held_out) >= MIN_HELD_OUT else np.arange(own.n_obs)
    chosen = np.sort(np.random.default_rng(seed).permutation(cells)[:n_cells])
    with seeded(seed):
        draws = _both_draws(reader, chosen)
    rows = [
        _test(name, [values[latent][:, dims] for values in draws], seed)
        for name, (latent, dims) in _places(reader.module.fusion).items()
    ]
    if len(rows) > 1:
        rows.append(_test(JOINT, [np.concatenate(list(v.values()), axis=1) for v in draws], seed, joint=True))
    return pd.DataFrame(rows)


@torch.inference_mode()
def sample(reader: Reader, n: int, source: str, request: Request, seed: int) -> pd.DataFrame:
    """Expected values of ``n`` new cells, the latent of ``source`` drawn from its prior, cells by features."""
    if n < 1:
        msg = f"Expected n of at least 1; got {n}."
        raise ValueError(msg)
    module, own = reader.module, reader.own_data()
    latent, _ = module.fusion.latent_of(source)
    _, presence = reader.cells(own, None)
    cells = np.random.default_rng(seed).choice(np.flatnonzero(presence[:, reader.names.index(source)]), n)
    blocks = []
    with seeded(seed):
        for inference in _inferences(reader, cells):
            values = _draw(module.priors[latent], inference.contexts[latent], len(inference.latent))
            covariates = inference.minibatch.in_batch(request.batch).covariates
            rates = module.rates(request.modality, fused_from(module.fusion, latent, values, draw=True), covariates)
            blocks.append((request.factor * rates[:, request.columns]).cpu().numpy())
    names = pd.Index([f"sample_{i}" for i in range(n)])
    return pd.DataFrame(np.concatenate(blocks), index=names, columns=request.features)


def outlier_scores(
    reader: Reader, adata: Data | None, indices: Indices | None, reference: Data | None, batch_size: int | None
) -> np.ndarray:
    """Rank of each cell's negative log prior density among reference cells, 0 to 1, ``(n_cells,)``."""
    if reference is None and not reader.has_data:
        msg = "Expected training cells to compare with; the model was loaded without data. Give reference."
        raise ValueError(msg)
    if reference is None:
        among = reader.training_cells(REFERENCE_CELLS)
    else:
        among = np.sort(np.random.default_rng(0).permutation(reference.n_obs)[:REFERENCE_CELLS])
    read = UnimodalPosterior.negative_log_prior
    scores = by_modality(reader, read, adata, indices, batch_size)
    return outlier_share(scores, by_modality(reader, read, reference, among, batch_size))


def _places(fusion: Fusion) -> dict[str, tuple[str, slice]]:
    """Latent and dimensions of each modality, by modality; one entry, by latent, where all lie in the same place."""
    places = {name: fusion.latent_of(name) for name in fusion.n_latent}
    first = next(iter(places.values()))
    if len(places) > 1 and all(place == first for place in places.values()):
        return {first[0]: first}
    return places


def _inferences(reader: Reader, cells: np.ndarray) -> Iterator[Inference]:
    for minibatch, posteriors in reader.posteriors(None, cells):
        yield reader.module.infer(minibatch, posteriors)


@torch.inference_mode()
def _both_draws(reader: Reader, cells: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A draw of the posterior and one of the prior for each latent and cell, ``(n_cells, width)``; NaN where not encoded."""
    found: tuple[dict[str, list[np.ndarray]], dict[str, list[np.ndarray]]] = ({}, {})
    for inference in _inferences(reader, cells):
        for term in inference.prior_terms:
            encoded = term.mask[:, None]
            if term.observed_dims is not None:
                encoded = encoded & term.observed_dims.mask
            drawn = _draw(reader.module.priors[term.name], inference.contexts[term.name], len(term.sample))
            for store, draw in zip(found, (term.sample, drawn), strict=True):
                store.setdefault(term.name, []).append(torch.where(encoded, draw, torch.nan).cpu().numpy())
    first, second = ({name: np.concatenate(blocks) for name, blocks in store.items()} for store in found)
    return first, second


def _draw(prior: Prior, context: PriorContext, n_cells: int) -> Tensor:
    """One draw for each cell, ``(n_cells, n_latent)``."""
    p = prior(context)
    return p.sample() if p.batch_shape else p.sample(torch.Size([n_cells]))


def _test(name: str, draws: Sequence[np.ndarray], seed: int, *, joint: bool = False) -> dict[str, object]:
    """A row of :func:`check_prior`, of ``draws`` of the posterior and of the prior."""
    complete = ~np.isnan(draws[0]).any(axis=1)
    auc = two_sample_auc(draws[1][complete], draws[0][complete], seed)
    return {"latent": name, "n_cells": int(complete.sum()), "auc": auc, "verdict": verdict(auc, joint=joint)}
