"""Whether the priors fit, what they draw, which cells are outliers to them, what is smooth in space."""

from itertools import starmap
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mmvae._checks import COUNT, SEED, check_numbers
from mmvae._keys import JOINT
from mmvae.analysis import outlier_share, two_sample_auc, verdict
from mmvae.data import some_of
from mmvae.model._configuration import check_graph
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader
from mmvae.priors import GaussianMarkovField, Prior, PriorContext
from mmvae.train import seeded

from ._decoding import LibrarySize, Request, expected, gathered
from ._posteriors import UnimodalPosterior, by_modality, fused_from

MIN_HELD_OUT, REFERENCE_CELLS, N_TESTED = 200, 10_000, 2_000


class PriorMethods(DataAccess):
    """What the priors are good for: whether they fit, draws from them, outliers to them, what they learnt of space."""

    def check_prior(self, n_cells: int = N_TESTED, seed: int = 0, *, modality: str | None = None) -> pd.DataFrame:
        """Whether draws of the priors look like cells, tested with a classifier :cite:p:`LopezPaz2017`.

        For each latent, one draw of every cell's posterior against as many of the prior. A classifier (logistic
        regression with squares and products, and gradient-boosted trees) learns to tell them apart, and its
        cross-validated AUC says how well it can: 0.5, not at all; 1, always. Below 0.6 the verdict is "close", below
        0.75 "roughly", else "differs". By chance the AUC strays from 0.5 by about 0.4 over the root of ``n_cells``.

        The row ``joint`` is about all latents of a cell together, in cells that have all modalities. Independent priors
        fail it even where each fits: what is missing is the dependence that ``prior="coupled"`` learns.

        Held-out cells are used if there are 200 or more, else all cells. A prior that looks at labels, covariates or
        the cell itself is drawn from in the context of each cell.

        Parameters
        ----------
        n_cells, seed
            Cells to use at most, and the seed of their choice, the draws and the classifier.
        modality
            The modality whose latent to test; all of them, and jointly, by default.

        Returns
        -------
        DataFrame with a row for each latent: ``latent``, ``n_cells``, ``auc`` and ``verdict``, in words.
        """
        check_numbers({"n_cells": COUNT, "seed": SEED}, n_cells=n_cells, seed=seed)
        return prior_fits(Reader(self), n_cells, seed, modality)

    @torch.inference_mode()
    def sample(
        self,
        n: int,
        modality: str | None = None,
        *,
        source: str | None = None,
        transform_batch: Any = None,
        library_size: LibrarySize = 1.0,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Expected values of new cells, drawn from the prior and decoded.

        The latents of a cell come from the prior that they have in common, if it is coupled or the fusion has one
        latent. Otherwise priors know nothing of each other: the latent of ``source`` alone is drawn from its prior, and
        the others are imputed as for a cell that lacks them (see :meth:`check_prior`). A new cell takes batch,
        covariates and the context of its prior from a random cell of the model's data that has ``source``.

        Parameters
        ----------
        n, seed
            Number of cells; seed of the draws.
        modality, transform_batch, library_size
            Modality to decode, which may be left out if there is one; batch to decode all cells in; what shares are
            multiplied by, or ``"latent"``, the depth of the cell that batch and covariates are from.
        source
            Modality whose latent is drawn from its prior; ``modality`` by default. With the same seed and source the
            new cells are the same, so that their modalities can be put together; without effect for one prior of all.

        Returns
        -------
        DataFrame of new cells, ``sample_0`` and on, by features, in the units of :meth:`get_normalized_expression`.
        """
        check_numbers({"n": COUNT, "seed": SEED}, n=n, seed=seed)
        reader, module = Reader(self), self.module
        request = Request(reader, reader.modality(modality), None, transform_batch, library_size)
        source = request.modality if source is None else reader.modality(source)
        latent, _ = module.fusion.latent_of(source)
        _, presence = reader.cells(reader.data())
        cells = np.random.default_rng(seed).choice(np.flatnonzero(presence[:, reader.names.index(source)]), n)
        blocks = []
        with seeded(seed):
            for inference in starmap(module.infer, reader.posteriors(None, cells)):
                values = _draw(module.priors[latent], inference.contexts[latent], len(inference.latent))
                fused = fused_from(module.fusion, latent, values, draw=True)
                rates = expected(reader, inference.minibatch, fused, request, request.modality)
                blocks.append({request.modality: rates.cpu().numpy()})
        return gathered(blocks, pd.Index([f"sample_{i}" for i in range(n)]), request)

    def get_outlier_score(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        *,
        modality: str | None = None,
        reference: Data | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        r"""Outlier score: rank of a cell's negative log prior density among the training cells, 0 to 1.

        The negative log prior density of a cell is :math:`-\sum_m \log p_m(z_m)` at the posterior means, over the
        modalities that it has. It is ranked among the training cells that have these modalities too, by these alone, so
        that what a cell lacks does not count. Where fewer than 50 training cells have all of them, the cell gets the
        mean of its ranks by each. Labels of cells are not looked at.

        A training cell's score is uniform between 0 and 1 by construction: new cells with many scores near 1 hold
        something that the training cells do not. The score is blind to what the encoders ignore, and so of little use
        where :meth:`get_modality_information` gives a few nats, and to modalities that are each in order but do not
        belong together. A cell of which the encoders make nothing lies in the middle of the latent, no unlikely place
        under priors ``"normal"`` and ``"conditional"``. Prior ``"mmvm"`` looks at the cell itself: there the score is
        about modalities that disagree.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_latent_representation`.
        modality
            The modality to go by; by default all that a cell has.
        reference
            Data to compare with instead of training cells; needed after a query was mapped, when the training cells
            are the query's, and where the model's data are not those that it was trained with.

        Returns
        -------
        Array ``(n_cells,)``, 0 to 1, high for outliers; NaN where a cell lacks ``modality``.
        """
        reader = Reader(self)
        if reference is None and self.adata is None:
            msg = "Expected training cells to compare with; the model was loaded without data. Give reference."
            raise ValueError(msg)
        if reference is None:
            among = reader.training_cells(REFERENCE_CELLS)
        else:
            among = some_of(reader.data(reference).n_obs, REFERENCE_CELLS)
        read = UnimodalPosterior.negative_log_prior
        columns = slice(None) if modality is None else [reader.names.index(reader.modality(modality))]
        scores = by_modality(reader, read, adata, indices, batch_size)[:, columns]
        return outlier_share(scores, by_modality(reader, read, reference, among, batch_size)[:, columns])

    @torch.no_grad()
    def spatial_spectrum(self, adata: Data | None = None, *, modality: str | None = None) -> pd.DataFrame:
        r"""Which dimensions of the latents are smooth in space, by what their prior ``gmrf`` learnt.

        Parameters
        ----------
        adata
            Data with a graph of neighbours; the model's own by default. Precision and smoothness do not depend on them.
        modality
            The modality whose latent to read; all by default.

        Returns
        -------
        DataFrame with a row for each dimension of each latent with that prior, the smoothest first. Columns:
        ``latent``; ``dimension``, its place in ``get_latent_representation(modality=latent)``, from 0;
        ``precision`` and ``smoothness``, the prior's :math:`\kappa` and :math:`\tau`
        (:class:`~mmvae.priors.GaussianMarkovField`); ``neighbor_correlation``, that of two neighbours under the prior,
        near 0 where space plays no part; and ``morans_i``, the same of the cells' posterior means :cite:p:`Moran1950`.
        """
        reader = Reader(self)
        data, every = reader.data(adata), {name: self.module.priors[name] for name in reader.latents(modality)}
        priors = {name: prior for name, prior in every.items() if isinstance(prior, GaussianMarkovField)}
        if not priors:
            msg = f"Expected a latent with prior 'gmrf'; got { {name: prior.name for name, prior in every.items()} }."
            raise ValueError(msg)
        check_graph(priors.values(), data)
        self._fill_graphs(data, priors)
        tables = []
        for name, prior in priors.items():
            assert prior.graph is not None
            learned = {"precision": prior.precision, "smoothness": prior.smoothness}
            learned |= {"neighbor_correlation": prior.neighbor_correlation(), "morans_i": prior.graph.morans_i()}
            columns = {key: value.cpu() for key, value in learned.items()}
            tables.append(pd.DataFrame({"latent": name, "dimension": range(prior.n_latent)} | columns))
        return pd.concat(tables).sort_values("neighbor_correlation", ascending=False, ignore_index=True)


def prior_fits(reader: Reader, n_cells: int = N_TESTED, seed: int = 0, modality: str | None = None) -> pd.DataFrame:
    """The table of :meth:`PriorMethods.check_prior`."""
    places = _places(reader, modality)
    own, cells = reader.data(), reader.model.validation_indices_ if reader.has_training_data else None
    if cells is None or len(cells) < MIN_HELD_OUT:
        cells = np.arange(own.n_obs)
    chosen = np.sort(np.random.default_rng(seed).permutation(cells)[:n_cells])
    with seeded(seed):
        draws = both_draws(reader, chosen)
    rows = [_test(name, draws[latent][:, :, dims], seed) for name, (latent, dims) in places.items()]
    if len(rows) > 1 and modality is None:
        rows.append(_test(JOINT, np.concatenate(list(draws.values()), axis=2), seed, joint=True))
    return pd.DataFrame(rows)


def _places(reader: Reader, modality: str | None) -> dict[str, tuple[str, slice]]:
    """Latent and dimensions of one modality or of all; one entry, by latent, where all lie in the same place."""
    places, latents = {name: reader.module.fusion.latent_of(name) for name in reader.names}, reader.latents(modality)
    first = next(iter(places.values()))
    if len(places) > 1 and all(place == first for place in places.values()):
        return {first[0]: first}
    if modality in places:
        return {modality: places[modality]}
    return {name: place for name, place in places.items() if place[0] in latents}


@torch.inference_mode()
def both_draws(reader: Reader, cells: np.ndarray) -> dict[str, np.ndarray]:
    """A draw of the posterior and one of the prior, by latent, ``(2, n_cells, width)``; NaN where not encoded."""
    found: dict[str, list[np.ndarray]] = {}
    for inference in starmap(reader.module.infer, reader.posteriors(None, cells)):
        for term in inference.prior_terms:
            encoded = term.mask[:, None]
            if term.observed_dims is not None:
                encoded = encoded & term.observed_dims.mask
            drawn = _draw(reader.module.priors[term.name], inference.contexts[term.name], len(term.sample))
            both = torch.where(encoded, torch.stack([term.sample, drawn]), torch.nan)
            found.setdefault(term.name, []).append(both.cpu().numpy())
    return {name: np.concatenate(blocks, axis=1) for name, blocks in found.items()}


def _draw(prior: Prior, context: PriorContext, n_cells: int) -> Tensor:
    """One draw for each cell, ``(n_cells, n_latent)``."""
    p = prior(context)
    return p.sample() if p.batch_shape else p.sample(torch.Size([n_cells]))


def _test(name: str, draws: np.ndarray, seed: int, *, joint: bool = False) -> dict[str, object]:
    """A row of :func:`check_prior`, of ``draws`` of the posterior and of the prior, ``(2, n_cells, width)``."""
    complete = ~np.isnan(draws[0]).any(axis=1)
    auc = two_sample_auc(draws[1][complete], draws[0][complete], seed)
    return {"latent": name, "n_cells": int(complete.sum()), "auc": auc, "verdict": verdict(auc, joint=joint)}
