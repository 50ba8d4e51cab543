"""What data the model expects: samples of them, parameters of their distributions. C cells, G_m features, S samples."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import sparse
import torch
from scipy.stats import rankdata
from scvi.utils import track
from torch import Tensor

from mmvae._checks import POSITIVE, check_numbers, name_faults
from mmvae.likelihoods import Likelihood
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import READOUT_BATCH, Reader
from mmvae.train import seeded

from ._decoding import Read, Request, collected, decoded

TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "pearson": np.asarray,
    "spearman": lambda values: rankdata(values, axis=0),
}


class PredictiveMethods(DataAccess):
    """What data the model expects of cells."""

    def posterior_predictive_sample(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        transform_batch: Any = None,
        n_samples: int = 1,
        gene_list: Sequence[str] | None = None,
        batch_size: int | None = None,
        *,
        silent: bool = True,
        modality: str | None = None,
    ) -> Any:
        """Data as the model expects them of the same cells: samples of the likelihood at samples of the posterior.

        Cells that lack the modality get a prediction, at median depth; the others have their own depth.
        ``scvi.criticism.PosteriorPredictiveCheck`` compares the samples with the data; give it as ``indices`` the cells that
        have the modality.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_latent_representation`.
        transform_batch
            Decode as if all cells came from this batch, by name or code; each cell's own by default.
        n_samples
            Samples of each cell.
        gene_list, silent, modality
            As in :meth:`get_normalized_expression`.

        Returns
        -------
        Array, ``(n_cells, n_features)``, or ``(n_cells, n_features, n_samples)`` for several samples: a sparse one,
        ``sparse.GCXS``, of counts. A dictionary of these by modality, if there are several and none was named.
        """
        reader = Reader(self)
        request = Request(reader, modality, gene_list, transform_batch, n_samples=n_samples, return_mean=False)
        if len(request.batches) > 1:
            msg = "Expected one transform_batch, as the mean of counts over several is no count; got several."
            raise ValueError(msg)
        size = max(1, READOUT_BATCH // n_samples) if batch_size is None else batch_size
        minibatches = reader.minibatches(adata, indices, size, silent=silent)
        found: dict[str, list[Any]] = {name: [] for name in request.columns}
        for block in decoded(reader, minibatches, request, _sample):
            for name, values in block.items():
                found[name].append(_compressed(values, reader.module.likelihoods[name]))
        return request.as_asked({name: _joined(parts) for name, parts in found.items()})

    def get_likelihood_parameters(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        n_samples: int = 1,
        give_mean: bool = False,
        batch_size: int | None = None,
        *,
        modality: str | None = None,
    ) -> dict[str, Any]:
        """Parameters of the distribution of each value, at samples of the posterior.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_latent_representation`.
        n_samples
            Samples of each cell.
        give_mean
            Whether to return the mean over samples; of one sample, the parameters at the posterior's mean.
        modality
            Which modality. By default all of them, by name.

        Returns
        -------
        Arrays by parameter, ``(n_cells, n_features)``, or ``(n_samples, n_cells, n_features)`` for several samples. ``nb`` and
        ``zinb`` have ``"mean"``, in counts, at the depth that the cell has, or the median where it lacks the modality, and
        ``"dispersions"``, inverse ones; ``zinb`` has ``"dropout"``, too. ``poisson`` and ``bernoulli`` have ``"mean"``,
        ``normal`` and ``student_t`` ``"mean"`` and ``"scale"``; ``nb_mixture`` has ``"background"``, ``"foreground"``,
        ``"dispersions"`` and ``"background_probability"``. A dictionary of these by modality, if there are several and none
        was named.
        """
        reader = Reader(self)
        request = Request(reader, modality, n_samples=n_samples, return_mean=give_mean)
        names = {name: list(reader.module.likelihoods[name].parameter_names) for name in request.columns}
        if lacking := [name for name, own in names.items() if not own]:
            msg = f"Expected a likelihood that states its parameter_names; that of '{lacking[0]}' states none."
            raise ValueError(msg)
        blocks = decoded(reader, reader.minibatches(adata, indices, batch_size), request, _parameters)
        values = collected(blocks, reader.cell_names(adata, indices), request)
        found = {m: {n: values[m][..., i, :, :] for i, n in enumerate(own)} for m, own in names.items()}
        return request.as_asked(found)

    def get_latent_library_size(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        give_mean: bool = True,
        batch_size: int | None = None,
        *,
        modality: str | None = None,
    ) -> np.ndarray | dict[str, np.ndarray]:
        """Depth of each cell in a modality: its total count, or size factor if one was registered, on the scale of totals.

        It is what was measured, as depth is no latent here.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_latent_representation`.
        give_mean
            Without effect; scvi-tools has it.
        modality
            Which modality. By default all that have counts, by name.

        Returns
        -------
        Array ``(n_cells, 1)``, NaN where a cell lacks the modality. A dictionary of these by modality, if there are several
        modalities and none was named.
        """
        reader = Reader(self)
        request = Request(reader, modality)
        parts: dict[str, list[Tensor]] = {name: [] for name in _names_with_depth(reader, request)}
        for minibatch in reader.minibatches(adata, indices, batch_size):
            for name, own in parts.items():
                own.append(reader.module.size_factors(name, minibatch, absent=torch.nan).cpu())
        return request.as_asked({name: torch.cat(own).numpy() for name, own in parts.items()})

    @seeded(0)
    def get_feature_correlation_matrix(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        n_samples: int = 10,
        batch_size: int = 64,
        rna_size_factor: float = 1000,
        transform_batch: Any = None,
        correlation_type: Literal["spearman", "pearson"] = "spearman",
        silent: bool = True,
        *,
        modality: str | None = None,
        gene_list: Sequence[str] | None = None,
    ) -> pd.DataFrame:
        """Correlations of features, of all modalities together, free of counting noise.

        Of samples of what counts are drawn from: expected values, with the overdispersion of negative binomials, background
        of proteins as 0. By default of the cells that have all modalities in question: values that are predicted from other
        modalities agree with them more than measured ones. All samples are held in memory, in double precision: name the
        features or the cells where they are many.

        Parameters
        ----------
        adata, batch_size
            As in :meth:`get_latent_representation`.
        indices
            Cells, by number or as a mask; by default those that have all modalities in question.
        n_samples
            Samples of each cell.
        rna_size_factor
            Depth of the samples, of modalities whose values are shares.
        transform_batch
            As in :meth:`get_normalized_expression`; the mean of the correlations where there are several.
        correlation_type
            ``"spearman"``, of ranks, or ``"pearson"``.
        silent
            Whether to show no progress bar.
        modality, gene_list
            Which modality and features, by name; by default those of all modalities.

        Returns
        -------
        DataFrame of features by features, named as ``"rna:CD4"`` where there are several modalities.
        """
        faults = name_faults({"correlation_type": TRANSFORMS}, correlation_type=correlation_type)
        check_numbers({"rna_size_factor": POSITIVE}, faults, rna_size_factor=rna_size_factor)
        reader = Reader(self)
        request = Request(reader, modality, gene_list, transform_batch, n_samples=n_samples, return_mean=False)
        data = reader.data(adata)
        cells = _complete(reader, data, indices, list(request.columns))
        matrices = []
        for batch in track(request.batches, description="Batches", disable=silent):
            minibatches = reader.minibatches(data, cells, batch_size)
            blocks = decoded(reader, minibatches, request.in_batch(batch), _denoised(rna_size_factor))
            values = np.concatenate([np.concatenate([*block.values()], axis=-1) for block in blocks], axis=-2)
            matrices.append(_correlation(values.reshape(-1, values.shape[-1]), correlation_type))
        names = [f"{m}:{f}" if request.is_of_all else f for m, own in request.features.items() for f in own]
        return pd.DataFrame(np.mean(matrices, axis=0), index=names, columns=names)


def _sample(likelihood: Likelihood, hidden: Tensor, depth: Tensor, batch: Tensor) -> Tensor:
    return likelihood.sample(hidden, depth, batch)


def _parameters(likelihood: Likelihood, hidden: Tensor, depth: Tensor, batch: Tensor) -> Tensor:
    return likelihood.distribution_parameters(hidden, depth, batch)


def _denoised(library_size: float) -> Read:
    return lambda likelihood, hidden, depth, batch: likelihood.denoised(hidden, library_size, batch)


def _compressed(values: np.ndarray, likelihood: Likelihood) -> Any:
    """Samples of cells, ``(S, C, G)`` or ``(C, G)``, with the samples last; sparse unless most of them are no 0."""
    values = np.moveaxis(values, 0, -1) if values.ndim == 3 else values
    return values if likelihood.values == "real" else sparse.GCXS.from_numpy(values, compressed_axes=(0,))


def _joined(parts: Iterable[Any]) -> Any:
    parts = list(parts)
    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else sparse.concatenate(parts)


def _names_with_depth(reader: Reader, request: Request) -> list[str]:
    """Modalities whose values have a total."""
    names = [name for name in request.columns if reader.module.likelihoods[name].values != "real"]
    if not names:
        msg = f"Expected a modality of counts; values of {list(request.columns)} are real numbers, which have no depth."
        raise ValueError(msg)
    return names


def _complete(reader: Reader, data: Data, indices: Indices | None, names: list[str]) -> np.ndarray:
    """Numbers of the cells that are named, by default of those that have all of some modalities."""
    cells, presence = reader.cells(data, indices)
    if indices is None:
        cells = cells[presence[:, [reader.names.index(name) for name in names]].all(axis=1)]
    if len(cells) < 2:
        msg = f"Expected two cells at the least that have {names}; got {len(cells)}. Give modality or indices."
        raise ValueError(msg)
    return cells


def _correlation(values: np.ndarray, kind: str) -> np.ndarray:
    """Correlations of columns, NaN with one that is constant."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.atleast_2d(np.corrcoef(TRANSFORMS[kind](values), rowvar=False))
