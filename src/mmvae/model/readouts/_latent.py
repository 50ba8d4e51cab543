"""Where a cell lies: in the fused latent, in a modality's own, in what the modalities share. C cells."""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS
from torch import Tensor

from mmvae._checks import COUNT, check_numbers, name_faults
from mmvae._keys import FUSED, SHARED, UNWEIGHTED
from mmvae.analysis import SharedSubspace
from mmvae.fusion import Fusion, Posteriors
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader, agreed
from mmvae.module import Minibatch
from mmvae.train import seeded

from ._weights import weighted

N_DRAWS = 64


class LatentMethods(DataAccess):
    """Where cells lie in the latents."""

    @torch.inference_mode()
    def get_latent_representation(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        give_mean: bool = True,
        mc_samples: int = 1,
        batch_size: int | None = None,
        return_dist: bool = False,
        dataloader: Iterator[dict[str, Tensor]] | None = None,
        *,
        modality: str | None = None,
        representation: str | None = None,
        **data_loader_kwargs: Any,
    ) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Latent representation of cells, whatever they have.

        Parameters
        ----------
        adata
            Data other than the model's own. They may lack modalities.
        indices
            Cells, by number or as a mask; all by default.
        give_mean, mc_samples
            Whether to return the posterior mean, or else the mean of so many samples.
        batch_size
            Cells at a time.
        return_dist
            Whether to return the mean and the variance of the posterior. Where it is no Gaussian, under fusion
            ``"attention"`` and for imputed latents, the variance is that of 64 draws.
        dataloader
            Minibatches to use in place of ``adata``.
        modality
            ``"fused"``, the default: the latents of all modalities, predicted from the others where a cell lacks one. Each is scaled
            to a total variance of its draws of 1 over the training cells that have it, times its weight of
            :meth:`get_modality_weights`, so that a modality which is mostly noise moves cells less; a joint latent is
            left as it is. ``"unweighted"``: without that, as the decoders read it. ``"shared"``: what the modalities agree
            on (see below). The name of a modality: its own latent, predicted where a cell lacks it.
        representation
            Another name of ``modality``.
        **data_loader_kwargs
            Passed to the loader.

        Returns
        -------
        Array of shape ``(n_cells, n_dimensions)``, in the order of ``indices`` or of the data; with ``return_dist``
        the means and variances.

        Notes
        -----
        ``"shared"`` is a generalised canonical correlation analysis of the modalities' latents over the training cells
        that have several, within batches, fitted on first use and saved with the model. It has a dimension for each
        correlation that chance does not explain (see :meth:`get_shared_spectrum`), wider the more the modalities agree
        on it. Where there is none, it holds the two that are nearest to it, with a warning. ``"fused"`` is the default,
        for mosaics too, because cell types lie further apart in it; ``benchmarks/peers`` scores both.
        """
        reader = Reader(self)
        asked = agreed(modality=modality, representation=representation)
        faults = name_faults({"modality": [FUSED, UNWEIGHTED, SHARED, *reader.names]}, modality=asked)
        check_numbers({"mc_samples": COUNT}, faults, mc_samples=mc_samples)
        representation = FUSED if asked is None else asked
        cells = reader.posteriors(adata, indices, batch_size, dataloader, **data_loader_kwargs)
        if representation == SHARED:
            if return_dist:
                msg = "Expected return_dist=False for 'shared', which has no posterior; got True."
                raise ValueError(msg)
            return shared_representation(reader, cells)
        means, variances = [], []
        for _, posteriors in cells:
            if give_mean or return_dist:
                means.append(_place(reader, representation, posteriors).cpu())
            else:
                draws = [_place(reader, representation, posteriors, draw=True) for _ in range(mc_samples)]
                means.append(torch.stack(draws).mean(dim=0).cpu())
            if return_dist:
                variances.append(_variance(reader, representation, posteriors).cpu())
        together = torch.cat(means).numpy()
        return (together, torch.cat(variances).numpy()) if return_dist else together

    def get_shared_spectrum(self) -> np.ndarray:
        r"""Eigenvalues of the correlation matrix of the modalities' latents, largest first, ``(n_dimensions,)``.

        Where all M modalities correlate by :math:`\rho`, that is an eigenvalue of :math:`1 + (M - 1) \rho`; with two
        modalities it is 1 plus a canonical correlation. Eigenvalues above ``model.memory.shared["threshold"]`` are
        dimensions of ``"shared"``: the largest one exceeds it in about one of a hundred trainings where modalities are
        independent, as permuted cells show. Modalities are correlated within batches and missing patterns. In a mosaic
        the correlations of a pair count by the root of the number of cells that have both, relative to the pair with
        the most, so that chance is the same for all pairs; those of rare pairs are larger than they seem here.
        """
        return shared_subspace(Reader(self)).spectrum

    def get_reliability(self) -> pd.Series:
        r"""Split-half reliability of each modality's latent: whether the halves of its features tell the same.

        As in psychometrics :cite:p:`Spearman1910`. Of the latent's means a and b, each from a random half of the
        features, summed over dimensions, and stepped up from half the features to all,

        .. math:: h_m = \frac{\sum_d \operatorname{cov}(a_d, b_d)}{\sum_d \frac{1}{2}(\operatorname{var} a_d
            + \operatorname{var} b_d)}, \qquad r_m = \frac{2 h_m}{1 + h_m}

        Near 0, what the latent holds is the noise of single features, or each feature tells something of its own, as in
        a panel of very few. It needs no labels, nor cells with several modalities. It depends on ``input_dropout``,
        which teaches an encoder to do with some of the features: compare models that have the same.

        Returns
        -------
        Reliability by modality, between 0.01 and 1, over training cells; 0.01 for a modality whose latent is the same for
        all cells, and 1 for one of a single feature or without training cells.

        Raises
        ------
        RuntimeError
            If no training has come to its end.
        """
        return pd.Series(_remembered(Reader(self).model.memory.reliability), name="reliability")

    def get_modality_weights(self) -> pd.DataFrame:
        r"""How much each modality counts in the ``"fused"`` representation, and why.

        A modality counts by how much of its latent repeats, over how much it has to itself. Of the latent's variance, the
        posterior means have the share :math:`c_m`, and another modality tells the share :math:`a_m`. With the reliability
        :math:`r_m` of :meth:`get_reliability`,

        .. math:: w_m \propto \frac{\max(c_m r_m, a_m)}{1 - a_m}

        Both :math:`c_m r_m` and :math:`a_m` are lower bounds of what is no noise. Few markers that each tell something of
        their own have a small :math:`r_m`, and a large :math:`a_m` where the rna tells it, too. In a modality of noise both
        are small. Peaks repeat in other peaks, but where no other modality knows of what they repeat, they count less.
        Where all modalities are independent, each counts by what is reliable of it; where some agree, one that none of them
        knows of counts little, and ``"unweighted"`` may show more of it. A joint latent, such as fusion ``"poe"`` has, is not
        weighed.

        :math:`a_m` is :math:`c_m` times the variance of the means that the mean of a cell's 15 nearest neighbours in the
        latent of another modality explains, corrected for the noise of that mean; the largest over the others. The rule
        has no label in it. ``benchmarks/weights.py`` scores it beside others, on the sets on which it was chosen.

        Returns
        -------
        By modality the columns ``"reliability"``, :math:`r_m`, ``"certainty"``, :math:`c_m`, ``"agreement"``, :math:`a_m`,
        NaN where fewer than 50 training cells have the modality and another one, and ``"weight"``, the largest of which is
        1. All are over 10,000 training cells at the most, and as many of those with several modalities.

        Raises
        ------
        RuntimeError
            If no training has come to its end, or that of a version that knew no weights.
        """
        memory = Reader(self).model.memory
        weights = _remembered(memory.weights)
        columns = {name: getattr(memory, name) for name in ("reliability", "certainty", "agreement")}
        return pd.DataFrame(columns | {"weight": weights})


def _remembered(values: dict[str, float] | None) -> dict[str, float]:
    """What was measured at the end of a training; ``RuntimeError`` where that was not."""
    if values is None:
        msg = "Expected a model trained to its end by this version of mmvae; got another. Call train."
        raise RuntimeError(msg)
    return values


def _place(reader: Reader, representation: str, posteriors: Posteriors, *, draw: bool = False) -> Tensor:
    """Mean of a representation's posterior, or a draw of it, ``(n_cells, n_dimensions)``."""
    fusion = reader.module.fusion
    if representation in reader.names:
        own = fusion.unimodal_posterior(representation, posteriors)
        return own.sample() if draw else own.loc
    latent = fusion.draw(posteriors).latent if draw else fusion.posterior(posteriors).loc
    fused = fusion.fuse(latent, posteriors)
    return weighted(fusion, reader.model.memory, fused) if representation == FUSED else fused


def _variance(reader: Reader, representation: str, posteriors: Posteriors) -> Tensor:
    fusion = reader.module.fusion
    if representation in reader.names:
        return fusion.unimodal_posterior(representation, posteriors).variance
    variance = _fused_variance(fusion, posteriors)
    if representation == FUSED:  # what is weighted is the standard deviation
        variance = weighted(fusion, reader.model.memory, variance.sqrt()).square()
    return variance


def _fused_variance(fusion: Fusion, posteriors: Posteriors) -> Tensor:
    """Variance of what the decoders read, ``(n_cells, U)``; from draws, always the same, where it is no Gaussian's.

    It is none where the fusion transforms the latent, and where a latent is imputed from draws of others.
    """
    exact, parts = fusion.posterior(posteriors).variance, fusion.split(posteriors.joined.loc)
    as_drawn = type(fusion).fuse is Fusion.fuse
    if as_drawn and (posteriors.is_complete or not parts):
        return exact
    with seeded(0):
        draws = torch.stack([fusion.fuse(fusion.draw(posteriors).latent, posteriors) for _ in range(N_DRAWS)])
    drawn = draws.var(dim=0)
    return torch.where(posteriors.by_dimension(posteriors.encoded), exact, drawn) if as_drawn else drawn


def shared_representation(reader: Reader, cells: Iterable[tuple[Minibatch, Posteriors]]) -> np.ndarray:
    """Place of each cell in what the modalities share, ``(n_cells, n_dimensions)``; warns if that is nothing."""
    subspace = shared_subspace(reader)
    if subspace.n_shared == 0:
        msg = (
            f"The modalities agree on nothing beyond chance: the largest eigenvalue is {subspace.spectrum[0]:.2f}, and "
            f"chance gives up to {subspace.threshold:.2f}. 'shared' holds the two dimensions nearest to agreement, "
            "which may be noise. Use modality='fused'."
        )
        warnings.warn(msg, UserWarning, stacklevel=4)
    return np.concatenate([subspace.transform(*_modality_means(reader, [minibatch])) for minibatch in cells])


def shared_subspace(reader: Reader) -> SharedSubspace:
    """What the modalities share; fitted to the training cells on first use, and remembered."""
    model = reader.model
    if model.memory.shared is None:
        cells = reader.training_cells()
        means, presence = _modality_means(reader, reader.posteriors(None, cells))
        batches = reader.codes(REGISTRY_KEYS.BATCH_KEY)[cells]
        model.remember(shared=dict(vars(SharedSubspace.fit(means, presence, batches))))
    return SharedSubspace(**model.memory.shared or {})


@torch.inference_mode()
def _modality_means(
    reader: Reader, cells: Iterable[tuple[Minibatch, Posteriors]]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Posterior means of each modality and which cells have it."""
    means: dict[str, list[Tensor]] = {name: [] for name in reader.names}
    present = []
    for minibatch, posteriors in cells:
        for name in reader.names:
            means[name].append(reader.module.fusion.unimodal_posterior(name, posteriors).loc.cpu())
        present.append(minibatch.present.cpu())
    return {n: torch.cat(means.pop(n)).double().numpy() for n in reader.names}, torch.cat(present).numpy()
