"""Which data a method reads, and which of their cells."""

from collections.abc import Iterator
from typing import Any

from scvi.model.base import BaseModelClass
from torch import Tensor

from mmvae._checks import COUNT, check_numbers
from mmvae.data import numbers_of

from ._graph import AttachedGraphs, attach_graph, fill_graphs
from ._reader import Data, Indices


class DataAccess(BaseModelClass):
    """scvi-tools' access to data, for mosaics."""

    _graphs: AttachedGraphs | None = None

    def _validate_anndata(self, adata: Data | None = None, copy_if_view: bool = True) -> Data:
        """``adata`` registered like the model's own data, which they default to.

        Raises
        ------
        SetupError
            If the data do not fit the model, or were changed since they were registered.
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
        given = self.adata if adata is None else adata
        if not given.is_view and (manager := self.get_anndata_manager(given)) is not None:
            manager.check_unchanged()
        given = self.adata if adata is None else adata
        if not given.is_view and (manager := self.get_anndata_manager(given)) is not None:
            manager.check_unchanged()
        data = super()._validate_anndata(adata, copy_if_view)
        if is_bare:
            # scvi-tools makes the first data that such a model is given its own; but it was trained with others.
            self._adata = None
        return data

    def _make_data_loader(
        self, adata: Data, indices: Indices | None = None, batch_size: int | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Tensor]]:
        """:meth:`_loader` for scvi-tools' own methods, which compute KLs."""
        fill_graphs(self, adata)
        self.module.eval()
        return self._loader(adata, indices, batch_size, **kwargs)

    def _loader(
        self, adata: Data, indices: Indices | None = None, batch_size: int | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Tensor]]:
        """Minibatches of the cells that ``indices`` names by number or as a mask; of all if it is ``None``.

        If it names none there is one minibatch, without cells, so that what is read of it has its shape.
        """
        check_numbers({"batch_size": COUNT}, batch_size=batch_size)
        cells = numbers_of(adata, indices)
        attach_graph(self, adata)
        loader: Any = super()._make_data_loader(adata, cells, batch_size, **kwargs)
        return loader if len(cells) else iter([loader.collate_fn(loader.dataset[[]])])
