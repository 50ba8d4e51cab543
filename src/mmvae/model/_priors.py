"""Asking the priors: do they fit, what would they draw, which cells do they not expect? C cells, M modalities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS

from mmvae._keys import JOINT
from mmvae.data import presence_of
from mmvae.module import covariates_of
from mmvae.train import seeded

from ._components import ComponentMixin
from ._outliers import outlier_share
from ._profiles import fused_from
from ._two_sample import FEWEST_CELLS, UNTESTED, two_sample_auc, verdict
from ._views import views

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor
    from torch.distributions import Distribution

    from mmvae.priors import Prior, PriorContext

    from ._typing import Indices

FEWEST_HELD_OUT = 200
REFERENCE_CELLS = 10_000


class PriorMixin(ComponentMixin):
    """Fit of the priors, draws from them, and outliers to them."""

    def check_prior(self, n_cells: int = 2_000, seed: int = 0) -> pd.DataFrame:
        """Whether draws of the priors look like cells, tested with a classifier :cite:p:`LopezPaz2017`.

        For each latent, one draw of the posterior of every cell against as many draws of the prior. A classifier
        (logistic regression with squares and products, and gradient-boosted trees) learns to tell them apart, and its
        cross-validated AUC says how well it can: 0.5, not at all; 1, always. Below 0.6 the verdict is "close", below
        0.75 "roughly", else "differs". By chance alone the AUC strays from 0.5 by about 0.4 over the root of
        ``n_cells``.

        The row ``joint`` is about all latents of a cell together, in cells that have all modalities. Priors that are
        independent fail it even where each fits: the difference to the others is the dependence between modalities,
        which ``prior="coupled"`` learns.

        Held-out cells are used if there are 200 or more, else all cells, to which the priors were fitted. A prior that
        looks at labels, covariates or the cell itself is drawn from in the context of each cell.

        Parameters
        ----------
        n_cells
            Cells to use at most.
        seed
            Of the cells, the draws and the classifier.

        Returns
        -------
        DataFrame with a row for each latent, of which the columns are ``latent``, ``n_cells``, ``auc``, and
        ``verdict``, in words.

        Raises
        ------
        ValueError
            If the model was loaded without data.
        """
        self._check_if_trained(warn=False)
        self._validate_anndata()
        held_out = np.asarray(() if self.validation_indices_ is None else self.validation_indices_, dtype=int)
        cells = held_out if len(held_out) >= FEWEST_HELD_OUT else np.arange(self.adata.n_obs)
        generator = np.random.default_rng(seed)
        with seeded(seed):
            draws = self._both_draws(np.sort(generator.permutation(cells)[:n_cells]))
        rows = [
            _test(name, [values[holder][:, block] for values in draws], seed)
            for name, (holder, block) in self._blocks().items()
        ]
        if len(rows) > 1:
            rows.append(_test(JOINT, [np.concatenate(list(v.values()), axis=1) for v in draws], seed, joint=True))
        return pd.DataFrame(rows)

    def sample(
        self,
        n: int,
        modality: str | None = None,
        *,
        source: str | None = None,
        batch: str | None = None,
        library_size: float = 1.0,
        seed: int = 0,
    ) -> pd.DataFrame:
        """Expected values of new cells, drawn from the prior and decoded.

        The latents of a cell come from the prior that they have in common, if it is coupled or the fusion has one
        latent. Otherwise priors know nothing of each other, and drawing each latent from its own would make chimeras:
        one latent alone, that of ``source``, is drawn from its prior, and the others are filled in as for a cell that
        lacks them. How far such cells can be trusted, :meth:`check_prior` says.

        A new cell takes batch and covariates from a random cell of the model's data that has ``source``; a prior that
        looks at labels, covariates or the cell is that of this cell.

        Parameters
        ----------
        n
            Number of cells.
        modality
            Modality to decode; may be left out if there is one.
        source
            Modality whose latent is drawn from its prior; ``modality`` by default. With the same seed and source the
            new cells are the same, so that their modalities can be put together; without effect for one prior of all.
        batch
            Batch to decode in, for all cells.
        library_size
            What shares are multiplied by.
        seed
            Of the draws.

        Returns
        -------
        DataFrame of new cells, ``sample_0`` and on, by features, in the units of :meth:`get_normalized_expression`:
        expected values, without the noise of counting.

        Raises
        ------
        ValueError
            If a modality or batch is unknown, ``n`` is below 1, or the model was loaded without data.
        """
        if n < 1:
            msg = f"Expected n of at least 1; got {n}."
            raise ValueError(msg)
        modality = self._one_modality(modality)
        self._validate_anndata()
        source = self._one_modality(modality if source is None else source)
        request = self._request(modality, None, batch, library_size, 1)
        holder, _ = self.module.fusion.place(source)
        eligible = np.flatnonzero(presence_of(self.adata, [source])[:, 0])
        cells = np.random.default_rng(seed).choice(eligible, n)
        blocks = []
        with seeded(seed):
            for latent, tensors in self._prior_draws(holder, cells):
                if request["batch"] is not None:
                    tensors[REGISTRY_KEYS.BATCH_KEY] = torch.full_like(
                        tensors[REGISTRY_KEYS.BATCH_KEY], request["batch"]
                    )
                blocks.append(self._decoded_draws(holder, latent, tensors, modality) * request["scale"])
        names = pd.Index([f"sample_{i}" for i in range(n)])
        return pd.DataFrame(np.concatenate(blocks), index=names, columns=self._features[modality])

    def get_outlier_score(
        self,
        adata: MuData | AnnData | None = None,
        indices: Sequence[int] | None = None,
        *,
        reference: MuData | AnnData | None = None,
        batch_size: int | None = None,
    ) -> np.ndarray:
        r"""How unexpected a cell is to the priors: the share of training cells that are less so.

        The surprise of a cell is :math:`-\sum_m \log p_m(z_m)` at the posterior means, over the modalities that it
        has. It is ranked among the training cells that have these modalities too, by the same modalities alone, so that
        what a cell lacks makes it neither more nor less of an outlier. Where fewer than 50 training cells have all of
        them, the cell gets the mean of its ranks by each. Labels of cells are not looked at.

        A training cell's score is uniform between 0 and 1 by construction: 0.99 is one in a hundred. New cells with
        many scores near 1 hold something that the training cells do not. The score is blind to what the encoders
        ignore, and so of little use where :meth:`get_modality_information` gives a few nats, and to modalities that are
        each in order but do not belong together. A cell of which the encoders make
        nothing lies in the middle of the latent, which is no unlikely place under priors ``"normal"`` and
        ``"conditional"``. Prior ``"mmvm"`` looks at the cell itself: there the score is about
        modalities that disagree.

        Parameters
        ----------
        adata
            Data other than the model's own.
        indices
            Cells, by number or as a mask; all by default.
        reference
            Data to compare with instead of training cells; needed after a query was mapped, when the training cells
            are the query's.
        batch_size
            Cells at a time.

        Returns
        -------
        Array ``(n_cells,)``, 0 to 1, high for outliers.

        Raises
        ------
        ValueError
            If the model has no data and ``reference`` is not given.
        """
        self._check_if_trained(warn=False)
        if reference is None and self.adata is None:
            msg = "Expected training cells to compare with; the model was loaded without data. Give reference."
            raise ValueError(msg)
        own = self.adata if reference is None else reference
        trained = self.train_indices_ if reference is None else None
        among = np.arange(own.n_obs) if trained is None else np.asarray(trained)
        among = np.sort(np.random.default_rng(0).permutation(among)[:REFERENCE_CELLS])
        return outlier_share(self._surprise(adata, indices, batch_size), self._surprise(own, among, batch_size))

    @torch.inference_mode()
    def _surprise(self, adata: MuData | AnnData | None, indices: Indices | None, batch_size: int | None) -> np.ndarray:
        """Minus log-density of each modality's posterior mean, in nats, ``(n_cells, M)``; NaN without the modality."""
        blocks = []
        for tensors in self._minibatches(adata, indices, batch_size):
            outputs = self.module.inference(**self.module._get_inference_input(tensors))
            block = np.full((len(outputs["z"]), len(self.modalities)), np.nan)
            for view in views(self.module, tensors, outputs):
                block[view.rows.cpu().numpy(), self.modalities.index(view.name)] = view.surprise().cpu().numpy()
            blocks.append(block)
        return np.concatenate(blocks) if blocks else np.zeros((0, len(self.modalities)))

    def _blocks(self) -> dict[str, tuple[str, slice]]:
        """Where each modality's view lies, by modality; one entry, by latent, where all lie in the same place."""
        places = {name: self.module.fusion.place(name) for name in self.modalities}
        first = next(iter(places.values()))
        if len(places) > 1 and all(place == first for place in places.values()):
            return {first[0]: first}
        return places

    @torch.inference_mode()
    def _priced(self, cells: np.ndarray) -> Iterator[tuple[dict[str, Tensor], dict[str, tuple]]]:
        """Minibatches, and prior, latent and context of each latent."""
        for tensors in self._minibatches(None, cells, None):
            outputs = self.module.inference(**self.module._get_inference_input(tensors))
            priced = self.module.priced(outputs, self.module.annotations(tensors))
            yield tensors, {latent.name: (prior, latent, context) for prior, latent, context in priced}

    @torch.inference_mode()
    def _both_draws(self, cells: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """A draw of the posterior and one of the prior for each latent and cell, ``(n_cells, width)``; NaN where not encoded."""
        found: tuple[dict[str, list], dict[str, list]] = ({}, {})
        for _, latents in self._priced(cells):
            for name, (prior, latent, context) in latents.items():
                known = torch.ones_like(latent.sample, dtype=torch.bool) if latent.known is None else latent.known
                for store, draw in zip(found, (latent.sample, _draw(prior, context, len(latent.sample))), strict=True):
                    block = draw.new_full((len(latent.rows), draw.shape[-1]), torch.nan)
                    block[latent.rows] = torch.where(known, draw, torch.nan)
                    store.setdefault(name, []).append(block.cpu().numpy())
        first, second = ({name: np.concatenate(blocks) for name, blocks in store.items()} for store in found)
        return first, second

    @torch.inference_mode()
    def _prior_draws(self, holder: str, cells: np.ndarray) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Draws of a latent's prior in the contexts of cells that have the latent, with their minibatches."""
        for tensors, latents in self._priced(cells):
            prior, latent, context = latents[holder]
            yield _draw(prior, context, len(latent.sample)), tensors

    @torch.inference_mode()
    def _decoded_draws(self, holder: str, latent: Tensor, tensors: Mapping[str, Tensor], modality: str) -> np.ndarray:
        fused = fused_from(self.module, holder, latent, draw=True)
        return self.module.rates(modality, fused, covariates_of(tensors)).cpu().numpy()


def _draw(prior: Prior, context: PriorContext, n_cells: int) -> Tensor:
    """One draw for each cell, ``(n_cells, n_latent)``."""
    p: Distribution = prior(context)
    return p.sample() if p.batch_shape else p.sample(torch.Size([n_cells]))


def _test(name: str, draws: Sequence[np.ndarray], seed: int, *, joint: bool = False) -> dict[str, object]:
    """A row of :meth:`PriorMixin.check_prior`, of ``draws`` of the posterior and of the prior."""
    complete = ~np.isnan(draws[0]).any(axis=1)
    row: dict[str, object] = {"latent": name, "n_cells": int(complete.sum())}
    if complete.sum() < FEWEST_CELLS:
        return row | {"auc": np.nan, "verdict": UNTESTED}
    auc = two_sample_auc(draws[1][complete], draws[0][complete], seed)
    return row | {"auc": auc, "verdict": verdict(auc, joint=joint)}
