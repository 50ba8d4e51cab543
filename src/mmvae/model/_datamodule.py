"""Data that are larger than memory, as scvi-tools' data modules."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch.distributed as dist
from torch import Tensor

from mmvae.data import BLOCK_CELLS, BUFFER_CELLS, MosaicSplitter, numbers_of
from mmvae.train import HeldOut, check_arguments, defaults_for, quiet, schedule_for, split

from ._data import Data, Indices
from ._multivae import MultiVAE

INFERENCE_BATCH = 1_024


class MosaicDataModule(MosaicSplitter):
    """Minibatches of data whose values stay in files, for ``MultiVAE(registry=...).train(datamodule=...)``.

    Cells are read in blocks of successive ones, the blocks in random order, and shuffled in memory, while the next ones
    are read. Each training cell comes once in an epoch.

    Parameters
    ----------
    data
        Registered MuData or AnnData, their values in files, such as :func:`mmvae.pp.read_backed` opens them; cells may
        lack modalities. Where all values are in memory, cells are drawn one by one.
    batch_size, train_size, validation_size, split_by, seed
        As in :meth:`MultiVAE.train`.
    block_cells, buffer_cells
        Successive cells that are read together, where fewer than a chunk of the file are read no sooner; cells in
        memory at a time, which with what is read meanwhile takes four times their values, of 8 bytes each.

    Examples
    --------
    >>> mdata = mmvae.pp.read_backed({"rna": "rna.zarr", "protein": "protein.zarr"})
    >>> mmvae.MultiVAE.setup_mudata(mdata)
    >>> data = mmvae.MosaicDataModule(mdata)
    >>> model = mmvae.MultiVAE(registry=data.registry)
    >>> model.train(datamodule=data)
    >>> latent = model.get_latent_representation(dataloader=data.inference_dataloader())

    Notes
    -----
    Where successive cells are alike, as in files that are sorted by cell type, the share of a type in a minibatch
    varies up to ``1 + batch_size * block_cells / buffer_cells`` times as much as in random draws, 3 times with the
    defaults and 256 cells. That did not show in the loss (``docs/beyond_memory.md``); a larger buffer makes up for it.

    A minibatch, of this data module or of another for :meth:`MultiVAE.train`, is a dictionary of tensors, with m a
    modality's name: ``present``, boolean, ``(n_cells, n_modalities)``; ``rows_m``, the places in the minibatch of the
    cells that have m, ascending; ``X_m``, their values, ``(n_present, n_features)``, or those that are stored, row by
    row, ``(n_stored,)``, with ``columns_m`` and where each row starts, ``starts_m``, ``(n_present + 1,)``; ``ind_x``,
    the cells' numbers; ``batch``, ``(n_cells, 1)``, and whatever else was registered, such as ``labels``, as codes of
    the registry.
    """

    def __init__(
        self,
        data: Data,
        *,
        batch_size: int | None = None,
        train_size: float | None = None,
        validation_size: float | None = None,
        split_by: str | None = None,
        block_cells: int = BLOCK_CELLS,
        buffer_cells: int = BUFFER_CELLS,
        seed: int = 0,
    ) -> None:
        check_arguments(locals())
        self._data = data  # which the manager does not keep
        manager: Any = MultiVAE._get_most_recent_anndata_manager(data, required=True)
        manager.check_unchanged()
        parts = split(manager, HeldOut(split_by, train_size, validation_size), seed)
        self.batch_size = schedule_for(len(parts[0]), defaults_for(data.n_obs), size=batch_size).batch_size
        stream = {"block_cells": block_cells, "buffer_cells": buffer_cells}
        with quiet():
            super().__init__(manager, external_indexing=list(parts), batch_size=self.batch_size, stream=stream)
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Split the cells; of several processes, which Lightning has started before, each reads cells of its own."""
        super().setup(stage)
        self.data_loader_kwargs["distributed_sampler"] = dist.is_available() and dist.is_initialized()

    @property
    def n_obs(self) -> int:
        """Number of cells."""
        return self.adata_manager.adata.n_obs

    def inference_dataloader(
        self, indices: Indices | None = None, batch_size: int = INFERENCE_BATCH
    ) -> Iterable[dict[str, Tensor]]:
        """Minibatches of the cells that ``indices`` name by number or as a mask, in their order; of all by default."""
        self.adata_manager.check_unchanged()
        return self._streamed(np.asarray(numbers_of(self.adata_manager.adata, indices)), batch_size)
