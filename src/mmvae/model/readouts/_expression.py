"""What the decoders say: expected values of any modality in any cell. C cells, G_m features."""

import os
from collections.abc import Sequence

from mmvae.data import checked_path
from mmvae.model._data import Data, DataAccess, Indices
from mmvae.model._reader import Reader

from ._decoding import Request, Values, decoded, gathered


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
        blocks = decoded(reader, reader.minibatches(adata, indices, batch_size), request)
        return gathered(blocks, reader.cell_names(adata, indices), request.features, path)
