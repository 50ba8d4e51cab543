"""Data that are larger than memory, as scvi-tools' data modules."""

from collections.abc import Iterable

import numpy as np
from torch import Tensor

from mmvae._checks import COUNT, COUNT_OR_ZERO, SHARE, SHARE_ABOVE_0, check_numbers
from mmvae.data import MosaicSplitter, numbers_of
from mmvae.train import defaults_for, quiet, schedule_for, split

from ._data import Data, Indices
from ._multivae import MultiVAE

TAKES = {
    "batch_size": COUNT,
    "train_size": SHARE_ABOVE_0,
    "validation_size": SHARE,
    "block_cells": COUNT,
    "buffer_cells": COUNT,
    "seed": COUNT_OR_ZERO,
}
INFERENCE_BATCH = 1_024


class MosaicDataModule(MosaicSplitter):
    """Minibatches of data whose values stay in files, for ``MultiVAE(registry=...).train(datamodule=...)``.

    Parameters
    ----------
    data
        MuData or AnnData that :meth:`MultiVAE.setup_mudata` or :meth:`MultiVAE.setup_anndata` registered, their values in
        files, such as :func:`mmvae.pp.read_backed` opens them.
    batch_size, train_size, validation_size, split_by, seed
        As in :meth:`MultiVAE.train`.
    block_cells
        Successive cells that are read together.
    buffer_cells
        Cells that are in memory, of so many blocks, and mixed there. There are two such buffers, one read while the other
        is used.

    Examples
    --------
    >>> mdata = mmvae.pp.read_backed({"rna": "rna.zarr", "protein": "protein.zarr"})
    >>> mmvae.MultiVAE.setup_mudata(mdata)
    >>> data = mmvae.MosaicDataModule(mdata)
    >>> model = mmvae.MultiVAE(registry=data.registry)
    >>> model.train(datamodule=data)
    >>> latent = model.get_latent_representation(dataloader=data.inference_dataloader())
    """

    def __init__(
        self,
        data: Data,
        *,
        batch_size: int | None = None,
        train_size: float = 0.9,
        validation_size: float | None = None,
        split_by: str | None = None,
        block_cells: int = 256,
        buffer_cells: int = 32_768,
        seed: int = 0,
    ) -> None:
        given = {"batch_size": batch_size, "train_size": train_size, "validation_size": validation_size, "seed": seed}
        check_numbers(TAKES, **given, block_cells=block_cells, buffer_cells=buffer_cells)
        manager = MultiVAE._get_most_recent_anndata_manager(data, required=True)
        parts = split(manager, split_by, train_size, validation_size, seed)
        self.batch_size = schedule_for(len(parts[0]), defaults_for(data.n_obs), batch_size=batch_size).batch_size
        stream = {"block_cells": block_cells, "buffer_cells": buffer_cells}
        with quiet():
            super().__init__(manager, external_indexing=list(parts), batch_size=self.batch_size, stream=stream)
        self.setup()

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return self.adata_manager.adata.n_obs

    def inference_dataloader(
        self, indices: Indices | None = None, batch_size: int = INFERENCE_BATCH
    ) -> Iterable[dict[str, Tensor]]:
        """Minibatches of the cells that ``indices`` name by number or as a mask, in their order; of all by default."""
        return self._streamed(np.asarray(numbers_of(self.adata_manager.adata, indices)), batch_size)
