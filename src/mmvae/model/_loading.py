"""Models from files and from references."""

import os
from typing import Any, Literal, Self

from anndata import AnnData
from mudata import MuData
from scvi.model.base import ArchesMixin
from torch import nn

from mmvae._checks import check_is
from mmvae._compat import unpulled
from mmvae._errors import SetupError
from mmvae.module import start_new_categories, train_new_categories
from mmvae.train import quiet

from ._data import Data, DataAccess


class Loading(DataAccess, ArchesMixin):
    """``load`` and ``load_query_data``."""

    @classmethod
    def load(
        cls, dir_path: str | os.PathLike[str], adata: Data | Literal[False] | None = None, *args: Any, **kwargs: Any
    ) -> Self:
        """Load a model that was saved, with its data or others of the same features, which may lack modalities.

        A query is loaded as one: :meth:`train` goes on to learn weights of its new batches alone.

        Parameters
        ----------
        dir_path
            Folder that :meth:`save` wrote.
        adata
            Data; by default those that were saved with the model. ``False``: none, for methods that take data. A
            :class:`~mmvae.SetupError` lists all that does not fit the model, here as in :meth:`load_query_data`.
        *args, **kwargs
            Passed to :meth:`scvi.model.base.BaseModelClass.load`, such as ``accelerator`` and ``prefix``.
        """
        with quiet(), unpulled():  # cells that are read with the model stay in their order
            model = super().load(os.fspath(dir_path), adata, *args, **kwargs)
        model._freeze_reference()
        return model

    @classmethod
    def load_query_data(
        cls,
        adata: Data,
        reference_model: str | os.PathLike[str] | Self,
        *args: Any,
        unfrozen: bool = False,
        freeze_dropout: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Map data of new batches onto a trained model; :meth:`train` then learns weights of the new batches alone.

        Or of new categories of further covariates. All other weights, and so the reference's cells, stay as they are.

        Parameters
        ----------
        adata
            Data of the reference's features. They may lack modalities, and need not have labels.
        reference_model
            A trained model, or the folder of one.
        unfrozen, freeze_dropout
            Whether to train all weights, which makes a model of its own of the query; whether to train without dropout.
        *args, **kwargs
            Passed to :meth:`scvi.model.base.ArchesMixin.load_query_data`, such as ``accelerator``.
        """
        check_is("adata", adata, MuData, AnnData)
        check_is("reference_model", reference_model, cls, str, os.PathLike)
        reference = os.fspath(reference_model) if isinstance(reference_model, os.PathLike) else reference_model
        if isinstance(reference, DataAccess):
            _categories_of(reference)  # refused before anything is written to the data
        kwargs |= {"unfrozen": unfrozen, "freeze_dropout": freeze_dropout}
        with quiet():
            try:
                model = super().load_query_data(adata, reference, *args, **kwargs)
            except KeyError as error:
                if (name := str(error.args[0])) not in getattr(adata, "mod", ()):
                    raise
                msg = f"modality '{name}' is not one of the reference's. Make a MuData of those that it has."
                raise SetupError([msg]) from error
        known = _categories_of(model)
        start_new_categories(model.module, known)
        if unfrozen:
            model._count_pairs()
        own, of_reference = (known, None) if unfrozen else (None, known)
        dropout_is_frozen = freeze_dropout and not unfrozen
        model.remember(n_categories=own, known_categories=of_reference, dropout_is_frozen=dropout_is_frozen)
        model._freeze_reference()
        return model

    def _freeze_reference(self) -> None:
        """Let a query train the weights of new categories and nothing else; not saved by scvi-tools, so said anew."""
        if self.memory.known_categories is not None:
            train_new_categories(self.module, self.memory.known_categories)
        if self.memory.dropout_is_frozen:
            self.module.dropout.rate = 0.0
            for part in self.module.modules():
                if isinstance(part, nn.Dropout):
                    part.p = 0.0


def _categories_of(reference: DataAccess) -> dict[str, int]:
    known = reference.memory.n_categories
    if known is None:
        msg = "Expected a trained reference to map data onto; got one that is not trained. Call its train first."
        raise ValueError(msg)
    return known
