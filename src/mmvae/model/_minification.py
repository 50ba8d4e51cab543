"""Models whose data hold posteriors in place of values. n_m cells that have modality m, D_m latent dimensions."""

from typing import Any

import numpy as np
import torch
from scvi.model.base import BaseMinifiedModeModelClass

from mmvae._keys import POSTERIORS, SETUP_METHOD
from mmvae.data import WAYS, Minification, StoredPosterior, rows_of

from ._data import DataAccess, digest_of_encoders
from ._reader import Reader
from .readouts import remember_imputation


class Minifying(DataAccess, BaseMinifiedModeModelClass):
    """``minify_mudata`` and ``minify_adata``."""

    adata: Any  # scvi-tools' property

    def minify_mudata(
        self,
        minified_data_type: str = POSTERIORS,
        use_latent_qzm_key: str = "X_latent_qzm",
        use_latent_qzv_key: str = "X_latent_qzv",
    ) -> None:
        """Replace the model's data by a copy that holds the posteriors of its cells in place of their values.

        Of each modality, means and variances of the cells that have it, and their depths; what a cell lacks is known as
        before. The MuData that the model was made with is left as it is. What is read of posteriors, such as latents,
        expected values, imputation, labels and outlier scores, is read as before, and no encoder is run. What imputation
        needs to know of values, see :meth:`check_imputation`, is measured before they go.
        What is about the values, such as the ELBO, :meth:`leave_one_out` and :meth:`train`, is refused, and so are
        differential tests but with ``compare="cells", all_stats=False``; :meth:`diagnose` leaves out what is explained. Data
        with their values may be given to methods that take ``adata``. :meth:`save` with ``save_anndata=True`` saves the small data,
        and :meth:`load` loads them.

        Parameters
        ----------
        minified_data_type
            ``"latent_posterior_parameters"``: values are zeros, which take no room. Or
            ``"latent_posterior_parameters_with_counts"``: values are kept, and shared with the data of before.
        use_latent_qzm_key, use_latent_qzv_key
            Names in ``obsm`` of each modality for means and variances, ``(n_m, D_m)``. Unlike in scvi-tools they are made
            here, and need not be there before.

        Notes
        -----
        The model lets go of the data of before, which are freed if nothing else holds them. After a training in the same
        process ``model.trainer`` does: set it to ``None``, or save the model and load it.
        """
        self._minify("setup_mudata", minified_data_type, use_latent_qzm_key, use_latent_qzv_key)

    def minify_adata(
        self,
        minified_data_type: str = POSTERIORS,
        use_latent_qzm_key: str = "X_latent_qzm",
        use_latent_qzv_key: str = "X_latent_qzv",
    ) -> None:
        """As :meth:`minify_mudata`, for a model of an AnnData."""
        self._minify("setup_anndata", minified_data_type, use_latent_qzm_key, use_latent_qzv_key)

    def _minify(self, setup: str, way: str, mean: str, variance: str) -> None:
        if (own := self.registry_[SETUP_METHOD]) != setup:
            right = "minify_adata" if own == "setup_anndata" else "minify_mudata"
            msg = f"Expected data registered with {setup}; got data registered with {own}. Use {right}."
            raise ValueError(msg)
        if way not in WAYS or mean == variance:
            msg = f"Expected minified_data_type as one of {list(WAYS)} and two keys that differ; got {way!r}, {mean!r} "
            msg += f"and {variance!r}."
            raise ValueError(msg)
        reader = Reader(self)
        data, before = reader.data(), Minification.of(self.adata)
        how = Minification(way, mean, variance, digest_of_encoders(self.module))
        if before is not None and how.has_values and not before.has_values:
            msg = f"Expected data with values, to keep them; got minified data, which hold none. Use {POSTERIORS!r}."
            raise ValueError(msg)
        if not how.has_values:
            remember_imputation(reader)
        self.adata = how.apply(data, self.adata_manager.layers, _posteriors(reader))


@torch.inference_mode()
def _posteriors(reader: Reader) -> dict[str, StoredPosterior]:
    """Posterior of each row of each modality that the data have, and its size factor."""
    found: dict[str, list[tuple[np.ndarray, ...]]] = {name: [] for name in reader.names}
    for minibatch, posteriors in reader.posteriors():
        for name, q in posteriors.normals.items():
            own = minibatch.take(name, q.loc), minibatch.take(name, q.variance), minibatch.size_factors[name]
            found[name].append(tuple(part.cpu().numpy() for part in own))
    return {
        name: StoredPosterior(*(_by_row(reader, name, np.concatenate(part)) for part in zip(*parts, strict=True)))
        for name, parts in found.items()
        if (rows_of(reader.data(), name) >= 0).any()
    }


def _by_row(reader: Reader, name: str, values: np.ndarray) -> np.ndarray:
    """Values of cells, in the order of all cells, by the rows of the modality, which may be in another."""
    rows = rows_of(reader.data(), name)
    ordered = np.empty_like(values)
    ordered[rows[rows >= 0]] = values
    return ordered
