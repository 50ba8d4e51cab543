"""Which data a method reads, and which of their cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmvae._checks import COUNT, check_numbers
from mmvae.data import numbers_of

from ._neighbors import NeighborMixin

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from anndata import AnnData
    from mudata import MuData
    from torch import Tensor

    from ._typing import Indices

READOUT_BATCH = 1_024


class CellMixin(NeighborMixin):
    """Data that a method is given or that are the model's own, in minibatches."""

    def _validate_anndata(self, adata: MuData | AnnData | None = None, copy_if_view: bool = True) -> MuData | AnnData:
        """``adata`` registered like the model's own data, which they default to.

        Raises
        ------
        ValueError
            If there are neither.
        """
        is_bare = self.adata is None
        if adata is None and is_bare:
            msg = (
                "Expected data; got none, and the model was loaded without. Give adata to MultiVAE.load, or to the "
                "method where it takes adata."
            )
            raise ValueError(msg)
        data = super()._validate_anndata(adata, copy_if_view)
        if is_bare:
            # scvi-tools makes the first data that such a model is given its own; but it was trained with others.
            self._adata = None
        return data

    def _make_data_loader(
        self, adata: MuData | AnnData, indices: Indices | None = None, batch_size: int | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Tensor]]:
        """Minibatches of the cells that ``indices`` names by number or as a mask; of all if it is ``None``.

        If it names none there is one minibatch, without cells, so that what is read of it has its shape.
        """
        check_numbers({"batch_size": COUNT}, batch_size=batch_size)
        cells = numbers_of(adata, indices)
        self.module.eval()
        self._link(adata)
        loader: Any = super()._make_data_loader(adata, cells, batch_size, **kwargs)
        return loader if len(cells) else iter([loader.collate_fn(loader.dataset[[]])])

    def _minibatches(
        self,
        adata: MuData | AnnData | None,
        indices: Indices | None,
        batch_size: int | None,
        dataloader: Iterator[dict[str, Tensor]] | None = None,
        **data_loader_kwargs: Any,
    ) -> Iterator[dict[str, Tensor]]:
        """Minibatches on the model's device, which then reads them without dropout."""
        if dataloader is None:
            adata = self._validate_anndata(adata)
            batch_size = READOUT_BATCH if batch_size is None else batch_size
            dataloader = self._make_data_loader(
                adata=adata, indices=indices, batch_size=batch_size, **data_loader_kwargs
            )
        self.module.eval()
        device = self.module.device
        return ({key: value.to(device) for key, value in tensors.items()} for tensors in dataloader)

    def _cell_names(self, adata: MuData | AnnData | None, indices: Indices | None) -> pd.Index:
        data = self.adata if adata is None else adata
        return data.obs_names[numbers_of(data, indices)]
