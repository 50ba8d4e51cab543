"""Models from files and from references."""

import os
import warnings
from collections.abc import Sequence
from typing import Any, Literal, NoReturn, Self

import rich.pretty
from anndata import AnnData
from mudata import MuData
from scvi.model.base import ArchesMixin
from torch import nn

from mmvae._checks import check_is
from mmvae._compat import device_of, unpulled
from mmvae._errors import SetupError
from mmvae._keys import MODEL_NAME, SETUP_ARGS, SETUP_METHOD
from mmvae.data import check_type, renamed_faults
from mmvae.module import start_new_categories, train_new_categories
from mmvae.train import quiet

from ._data import Data, DataAccess
from ._model_file import SavedModel, in_words, is_saved, path_in, versions
from ._saved_data import FILES, read_saved
from ._saving import Saving


class Loading(Saving, ArchesMixin):
    """``load`` and ``load_query_data``, and what else reads a saved model."""

    @classmethod
    def load(
        cls,
        dir_path: str | os.PathLike[str],
        adata: Data | Literal[False] | None = None,
        accelerator: str = "auto",
        device: int | str = "auto",
        prefix: str | None = None,
        *,
        allowed_classes_names_list: Sequence[str] | None = None,
        trusted: bool = False,
    ) -> Self:
        """Load a model that was saved, with its data or others of the same features, which may lack modalities.

        No code of the file is run. A query is loaded as one: :meth:`train` goes on to learn weights of its new batches
        alone.

        Parameters
        ----------
        dir_path
            Folder that :meth:`save` wrote.
        adata
            Data; by default those that were saved with the model. ``False``: none, for methods that take data. A
            :class:`~mmvae.SetupError` lists all that does not fit the model, here, in :meth:`load_query_data`, and in
            methods that take data. Features may be in any order, and others among them are left out with a warning.
        accelerator, device
            Where the model is to be, as in Lightning: ``"cpu"``, ``"gpu"``, and which; by default a card if there is one.
        prefix
            What the names of the files begin with.
        allowed_classes_names_list
            Names of other classes whose models are loaded as of this one, such as a subclass of yours.
        trusted
            Whether to read a file that may run code as it is read, as models of mmvae 0.1 may. Only for files from whom
            you would run a program; saved again, the model loads without.

        Raises
        ------
        ValueError
            If there is no such file, or it is not whole, no model, not trusted, of a newer format, or of versions that
            made models otherwise; or if the data beside it were saved with another model.

        Warns
        -----
        UserWarning
            If there are no data, the file was read as ``trusted``, or weights are not finite.
        """
        _check_cells(adata)
        path = path_in(dir_path, prefix)
        saved = SavedModel.read(path, trusted=trusted)
        registry = saved.attributes["registry_"]
        if (name := registry[MODEL_NAME]) not in (cls.__name__, *(allowed_classes_names_list or ())):
            msg = f"Expected a model of class {cls.__name__}; '{path}' is one of {name}. Load it by its class."
            raise ValueError(msg)
        if weights := saved.not_finite():
            msg = f"Weights of '{path}' are not finite, such as {weights[:3]}, and so is what the model says. Train another."
            warnings.warn(msg, UserWarning, stacklevel=2)
        if adata is None:
            data = read_saved(path_in(dir_path, prefix, FILES[registry[SETUP_METHOD]]), saved.mark)
        else:
            data = None if adata is False else adata
        return cls._of_saved(saved, data, device_of(accelerator, device))

    @classmethod
    def _of_saved(cls, saved: SavedModel, data: Data | None, device: Any) -> Self:
        """The model that was saved, with these data."""
        attributes = {name: value for name, value in saved.attributes.items() if is_saved(name)}
        registry = attributes.pop("registry_")
        with quiet(), unpulled():  # cells that are read with the model stay in their order
            if data is not None:
                check_type(data, registry)
                set_up = cls.setup_anndata if registry[SETUP_METHOD] == "setup_anndata" else cls.setup_mudata
                set_up(data, source_registry=registry, **registry[SETUP_ARGS])
            try:
                made_with = attributes.pop("init_params_")
                others = {name: value for more in made_with["kwargs"].values() for name, value in more.items()}
                model = cls(data, registry=registry, **made_with["non_kwargs"], **others)
                for name, value in attributes.items():
                    setattr(model, name, value)
                model.module.load_state_dict(saved.weights)
            except (AttributeError, KeyError, RuntimeError, TypeError) as error:
                msg = (
                    f"Expected a model as these versions make them ({in_words(versions())}); got one by {in_words(saved.versions)}: "
                    f"{error}. Load it with the versions that saved it."
                )
                raise ValueError(msg) from error
            model.to_device(device)
            model.module.eval()
            if data is not None:
                model._validate_anndata(data)
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
        trusted: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Map data of new batches onto a trained model; :meth:`train` then learns weights of the new batches alone.

        Or of new categories of further covariates. All other weights, and so the reference's cells, stay as they are.

        Parameters
        ----------
        adata
            Data of the reference's features, in any order. They may lack modalities, and need not have labels; other
            features are left out with a warning.
        reference_model
            A trained model, or the folder of one.
        unfrozen, freeze_dropout
            Whether to train all weights, which makes a model of its own of the query; whether to train without dropout.
        trusted
            As in :meth:`load`, for the folder of a model.
        *args, **kwargs
            Passed to :meth:`scvi.model.base.ArchesMixin.load_query_data`, such as ``accelerator``.
        """
        check_is("adata", adata, MuData, AnnData)
        reference = cls._loaded(reference_model, trusted=trusted)
        _categories_of(reference)  # refused before anything is written to the data
        check_type(adata, reference.registry_)
        _check_cells(adata)
        kwargs |= {"unfrozen": unfrozen, "freeze_dropout": freeze_dropout}
        with quiet():
            try:
                model = super().load_query_data(adata, reference, *args, **kwargs)
            except KeyError as error:
                if (name := str(error.args[0])) not in getattr(adata, "mod", ()):
                    raise
                msg = f"modality '{name}' is not one of the reference's. Make a MuData of those that it has."
                raise SetupError(renamed_faults(adata, reference.registry_) or [msg]) from error
        known = _categories_of(model)
        start_new_categories(model.module, known)
        if unfrozen:
            model._count_pairs()
        own, of_reference = (known, None) if unfrozen else (None, known)
        dropout_is_frozen = freeze_dropout and not unfrozen
        model.remember(n_categories=own, known_categories=of_reference, dropout_is_frozen=dropout_is_frozen)
        model._freeze_reference()
        return model

    @classmethod
    def prepare_query_mudata(
        cls, mdata: MuData, reference_model: str | os.PathLike[str] | Self, *args: Any, **kwargs: Any
    ) -> Any:
        """As :meth:`scvi.model.base.ArchesMixin.prepare_query_mudata`, which see; no code of a file is run."""
        return super().prepare_query_mudata(mdata, cls._loaded(reference_model), *args, **kwargs)

    @classmethod
    def prepare_query_anndata(
        cls, adata: AnnData, reference_model: str | os.PathLike[str] | Self, *args: Any, **kwargs: Any
    ) -> Any:
        """As :meth:`scvi.model.base.ArchesMixin.prepare_query_anndata`, which see; no code of a file is run."""
        return super().prepare_query_anndata(adata, cls._loaded(reference_model), *args, **kwargs)

    @staticmethod
    def load_registry(
        dir_path: str | os.PathLike[str], prefix: str | None = None, *, trusted: bool = False
    ) -> dict[str, Any]:
        """What was registered of the data of a saved model; arguments are those of :meth:`load`."""
        return SavedModel.read(path_in(dir_path, prefix), trusted=trusted).attributes["registry_"]

    @classmethod
    def view_setup_args(
        cls, dir_path: str | os.PathLike[str], prefix: str | None = None, *, trusted: bool = False
    ) -> None:
        """Print the arguments of set-up of a saved model; arguments are those of :meth:`load`."""
        registry = cls.load_registry(dir_path, prefix, trusted=trusted)
        rich.print(f"Set up by {registry[MODEL_NAME]}.{registry[SETUP_METHOD]} with these arguments:")
        rich.pretty.pprint(registry[SETUP_ARGS])

    @classmethod
    def convert_legacy_save(cls, *args: Any, **kwargs: Any) -> NoReturn:
        """Refused: no MultiVAE was saved by scvi-tools before 0.15."""
        msg = "Expected a model that load reads; mmvae has never saved one in the form of scvi-tools before 0.15. Use load."
        raise NotImplementedError(msg)

    @classmethod
    def _loaded(cls, reference: str | os.PathLike[str] | Self, *, trusted: bool = False) -> Self:
        """A reference, which may be given as its folder."""
        check_is("reference_model", reference, cls, str, os.PathLike)
        if isinstance(reference, cls):
            return reference
        return cls.load(reference, False, "cpu", trusted=trusted)

    def _freeze_reference(self) -> None:
        """Let a query train the weights of new categories and nothing else; not saved by scvi-tools, so said anew."""
        if self.memory.known_categories is not None:
            train_new_categories(self.module, self.memory.known_categories)
        if self.memory.dropout_is_frozen:
            self.module.dropout.rate = 0.0
            for part in self.module.modules():
                if isinstance(part, nn.Dropout):
                    part.p = 0.0


def _check_cells(data: Data | Literal[False] | None) -> None:
    """Refuse data without cells, which scvi-tools would take for none."""
    if isinstance(data, Data) and data.n_obs == 0:
        raise SetupError(["there are no cells. Give data with some."])


def _categories_of(reference: DataAccess) -> dict[str, int]:
    known = reference.memory.n_categories
    if known is None:
        msg = "Expected a trained reference to map data onto; got one that is not trained. Call its train first."
        raise ValueError(msg)
    return known
