"""Models to files, and copies of models."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from mudata import MuData

from mmvae._files import check_room, claimed
from mmvae._keys import SCVI_UUID, SETUP_METHOD
from mmvae.data import annotations_of, joined, size_of

from ._data import DataAccess
from ._model_file import SavedModel, is_saved, path_in, versions
from ._one_thread import check_no_other_trains
from ._saved_data import FILES, clear_waiting, real_path, waiting


class Saving(DataAccess):
    """``save``."""

    def save(
        self,
        dir_path: str | os.PathLike[str],
        prefix: str | None = None,
        overwrite: bool = False,
        save_anndata: bool = False,
        **anndata_write_kwargs: Any,
    ) -> None:
        """Save the model in a folder, as ``model.pt``, from which :meth:`load` reads it without running code.

        Files are there whole or not at all, and the model of before is kept if this fails, however it ends.

        Parameters
        ----------
        dir_path
            The folder, which is made unless it is there. Other files in it are left as they are.
        prefix
            What the names of the files begin with.
        overwrite
            Whether files of these names are replaced.
        save_anndata
            Whether to save the model's data, too, as ``mdata.h5mu`` or ``adata.h5ad``. They belong to this model alone:
            :meth:`load` refuses them beside another.
        **anndata_write_kwargs
            Passed to the data's ``write``, such as ``compression="gzip"``.

        Raises
        ------
        ValueError
            If there is such a file and ``overwrite`` is not given, or no data to save; a :class:`~mmvae.SetupError` if
            these were changed since they were set up.
        OSError
            If the disk is full, or has no room for the data.
        TypeError
            If an attribute whose name ends in ``_`` is of a type that no file can hold without code.
        """
        model = path_in(dir_path, prefix)
        data = real_path(path_in(dir_path, prefix, FILES[self.registry_[SETUP_METHOD]]))
        self._check_save([model, data][: 1 + save_anndata], anndata_write_kwargs, overwrite=overwrite)
        mark = uuid4().hex if save_anndata else None
        saved = saved_model(self, mark)
        with _made(model.parent), claimed(model, overwrite=overwrite) as claim:
            if save_anndata and not anndata_write_kwargs:  # which may compress
                check_room(data.parent, size_of(self.adata), ", or save the model alone")
            kept = nullcontext() if mark is None else waiting(self.adata, data, mark, **anndata_write_kwargs)
            try:
                with claim.writing() as part, kept as name:
                    saved.write(part, self.get_var_names())
            except Exception:  # what is no Exception may come when the model's file has its name
                if mark is not None:
                    clear_waiting(data, mark)
                raise
            if name is not None:
                os.replace(name, data)
            clear_waiting(data)

    def _check_save(self, files: list[Path], options: Mapping[str, Any], *, overwrite: bool) -> None:
        """Refuse what cannot be saved before anything is written: ``files`` are the model's and, if it is, the data's."""
        model, *with_data = files
        if found := [str(path) for path in files if path.exists() and not overwrite]:
            msg = f"Expected a folder without a saved model; got {found}. Give overwrite=True to replace it, or name another."
            raise ValueError(msg)
        if model.parent.exists() and not model.parent.is_dir():
            msg = f"Expected a folder to save in; '{model.parent}' is a file. Name another."
            raise ValueError(msg)
        if with_data and self.adata is None:
            msg = "Expected a model with data, to save them; got one that was loaded without. Give adata to load."
            raise ValueError(msg)
        if options and not with_data:
            msg = f"Expected {list(options)} with save_anndata=True, as they are for the data; got no data to save."
            raise TypeError(msg)
        if with_data:
            self.adata_manager.check_unchanged(every_value=True)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A copy is what saving with data and loading would make."""
        make, (kind, saved, data, device) = self.__reduce__()
        # The copy is given its weights by values.
        return make(kind, replace(saved, attributes=deepcopy(saved.attributes, memo)), data, device)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """As in :meth:`__deepcopy__`. mudata has no pickles, and those of anndata lose what was read from a file."""
        data: Any = self.adata
        if isinstance(data, MuData):
            more = deepcopy(annotations_of(data))
            data = {name: adata.to_memory(copy=True) for name, adata in data.mod.items()}, data.obs.copy(), more
        elif data is not None:
            data = data.to_memory(copy=True)
        return _copied, (type(self), saved_model(self), data, str(self.device))


def saved_model(model: DataAccess, mark: str | None = None) -> SavedModel:
    """What is saved of a model: weights, and attributes whose names say so."""
    check_no_other_trains(model)
    attributes = {name: value for name, value in model._get_user_attributes() if is_saved(name)}
    weights = {name: value.detach().cpu() for name, value in model.module.state_dict().items()}
    return SavedModel(weights, attributes, versions(), mark)


def _copied(cls: Any, saved: SavedModel, parts: Any, device: str) -> Any:
    data = joined(*parts) if isinstance(parts, tuple) else parts
    if data is not None:
        data.uns.pop(SCVI_UUID, None)  # by which scvi-tools knows the data of the model that is copied
    return cls._of_saved(saved, data, device)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder unless it is there; one that was made for nothing goes."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):  # others have put something there
                folder.rmdir()
        raise
