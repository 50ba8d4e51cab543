"""What the decoders say: expected values of any modality in any cell. C cells, G_m features."""

import os
from collections.abc import Sequence
from typing import Any, Literal

from mmvae._checks import COUNT, check_numbers
from mmvae.data import checked_path
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader

from ._decoding import LibrarySize, Request, Values, decoded, drawn_cells, gathered


class ExpressionMethods(DataAccess):
    """What the decoders say of cells."""

    def get_normalized_expression(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        transform_batch: Any = None,
        gene_list: Sequence[str] | None = None,
        library_size: LibrarySize = 1.0,
        n_samples: int = 1,
        n_samples_overall: int | None = None,
        weights: Literal["uniform", "importance"] | None = None,
        batch_size: int | None = None,
        return_mean: bool = True,
        return_numpy: bool | None = None,
        silent: bool = True,
        *,
        modality: str | None = None,
        out: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
    ) -> Values:
        """Expected values of one modality or of all, decoded from everything that a cell has.

        Cells that lack a modality get a prediction. Depth is taken out: for ``nb``, ``zinb`` and ``poisson`` the
        values are shares of a cell's counts times ``library_size``; for ``bernoulli`` probabilities at median depth;
        for ``nb_mixture`` expected foreground counts; for ``normal`` and ``student_t`` means in units of the data.

        Parameters
        ----------
        adata, indices, batch_size
            As in :meth:`get_latent_representation`.
        transform_batch
            Decode as if all cells came from this batch, by name or code, or the mean over several; each cell's own by
            default.
        gene_list
            Features to return, by name, of any modality; all by default. The result is dense: name the ones needed where
            cells are many.
        library_size
            What shares are multiplied by. ``"latent"``: the depth of each cell as it was measured, since there is no latent
            one here, or the median where the modality is missing; for ``bernoulli`` the probabilities at that depth.
        n_samples
            1: values at the posterior mean. More: the mean over so many samples of the posterior.
        n_samples_overall
            Return so many samples of random cells, one each, drawn with replacement, in place of ``n_samples`` of all.
        weights
            ``"uniform"``, for ``n_samples_overall``. The importance weights of scvi-tools take a normal prior for granted.
        return_mean
            Whether to return the mean over samples, or each of them: single draws also where ``n_samples`` is 1.
        return_numpy
            Whether to return arrays in place of frames. Several samples of all cells always are one.
        silent
            Whether to show no progress bar.
        modality
            Which modality. By default all of them, by name.
        out
            File to write to, ``.h5ad`` or ``.zarr``, where the result does not fit in memory: an AnnData with the
            values as a dense X in single precision. It appears under this name once it is complete. Takes one modality.
        overwrite
            Whether ``out`` may replace a file of its kind; never one that values are read from.

        Returns
        -------
        DataFrame of cells by features, or an array, ``(n_cells, n_features)``; with several samples that are not averaged
        ``(n_samples, n_cells, n_features)``. A dictionary of these by modality, if there are several and none was named; in
        it are those that have any of ``gene_list``. With ``out`` its path, which ``anndata.read_h5ad(path, backed="r")`` and
        ``anndata.experimental.read_lazy(path)`` open without reading it.
        """
        path = None if out is None else checked_path(out, self.adata, adata, overwrite=overwrite)
        reader = Reader(self)
        n_samples = n_samples if n_samples_overall is None else 1
        return_mean = return_mean and n_samples_overall is None
        request = Request(
            reader, modality, gene_list, transform_batch, library_size, n_samples, return_mean=return_mean
        )
        _check(request, n_samples_overall, weights, out)
        data = reader.data(adata)
        cells, _ = reader.cells(data, indices)
        cells = drawn_cells(cells, n_samples_overall)
        blocks = decoded(reader, reader.minibatches(data, cells, batch_size, silent=silent), request)
        return gathered(blocks, data.obs_names[cells], request, path, return_numpy=bool(return_numpy))


def _check(request: Request, n_samples_overall: int | None, weights: str | None, out: Any) -> None:
    """Refuse what would not be what it is called."""
    faults = []
    if weights not in (None, "uniform"):
        faults.append(
            f"Expected weights='uniform'; got {weights!r}. Importance weights as scvi-tools has them take a normal prior for "
            "granted, and the priors here are learned."
        )
    if out is not None and (request.is_of_all or request.keeps_draws):
        faults.append(
            "Expected one modality and the mean over samples with out. Name a modality, and leave return_mean."
        )
    check_numbers({"n_samples_overall": COUNT}, faults, n_samples_overall=n_samples_overall)
