"""Reading cells through a model: minibatches of any data, and what the module makes of them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS
from torch import Tensor

from mmvae._keys import layer_key
from mmvae.data import numbers_of, presence_of, text_of
from mmvae.fusion import Posteriors
from mmvae.module import Minibatch, MultiVAEModule

from ._graph import AttachedGraphs, fill_graphs
from ._memory import ReferenceMemory

Data: TypeAlias = MuData | AnnData
Indices: TypeAlias = Sequence[int] | np.ndarray

READOUT_BATCH = 1_024


class Readable(Protocol):
    """What is read of a model: scvi-tools' attributes, and ours."""

    module: MultiVAEModule
    adata: Data | None
    adata_manager: Any
    registry_: dict[str, Any]
    memory: ReferenceMemory
    _graphs: AttachedGraphs | None
    train_indices_: Indices | None
    validation_indices_: Indices | None

    def remember(self, **values: Any) -> None:
        """Replace what is remembered under these names."""
        ...

    def _check_if_trained(self, warn: bool = True) -> None: ...

    def _validate_anndata(self, adata: Data | None = None, copy_if_view: bool = True) -> Data: ...

    def _loader(
        self, adata: Data, indices: Indices | None = None, batch_size: int | None = None, **kwargs: Any
    ) -> Iterator[dict[str, Tensor]]: ...


class Reader:
    """Cells of a trained model's data, or of others, as minibatches on the model's device, the module in evaluation mode.

    Parameters
    ----------
    model
        The model.

    Raises
    ------
    RuntimeError
        If the model is not trained.
    """

    def __init__(self, model: Readable) -> None:
        model._check_if_trained(warn=False)
        self._model = model
        self.module = model.module
        self.names = model.module.names

    @property
    def memory(self) -> ReferenceMemory:
        """What the model remembers of its training cells."""
        return self._model.memory

    def remember(self, **values: Any) -> None:
        """Replace what the model remembers under these names."""
        self._model.remember(**values)

    @property
    def has_data(self) -> bool:
        """Whether the model has data of its own."""
        return self._model.adata is not None

    def own_data(self) -> Data:
        """The model's own data.

        Raises
        ------
        ValueError
            If the model was loaded without.
        """
        return self.data(None)

    def data(self, adata: Data | None) -> Data:
        """``adata`` registered with the model; its own by default."""
        return self._model._validate_anndata(adata)

    def fill_graphs(self, adata: Data | None, latents: Collection[str] | None = None) -> None:
        """Let graphs of neighbours know the posteriors of the cells of ``adata``, which KLs need; see :func:`fill_graphs`."""
        fill_graphs(self._model, self.data(adata), latents)

    def cells(self, data: Data, indices: Indices | None) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the cells that ``indices`` name, and which modalities they have, ``(n_cells, n_modalities)``."""
        cells = numbers_of(data, indices)
        return cells, presence_of(data, self.names)[cells]

    def training_cells(self, most: int | None = None) -> np.ndarray:
        """Numbers of the training cells, ascending; ``most`` of them at random, always the same ones."""
        trained = self._model.train_indices_
        cells = np.arange(self.own_data().n_obs) if trained is None else np.asarray(trained)
        return np.sort(np.random.default_rng(0).permutation(cells)[:most])

    def validation_cells(self) -> np.ndarray:
        """Numbers of the cells that training validated on; none if there were none."""
        held_out = self._model.validation_indices_
        return np.asarray(() if held_out is None else held_out, dtype=int)

    def minibatches(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        batch_size: int | None = None,
        dataloader: Iterator[dict[str, Tensor]] | None = None,
        **data_loader_kwargs: Any,
    ) -> Iterator[Minibatch]:
        """Cells in order; those of ``dataloader``, if there is one."""
        if dataloader is None:
            size = READOUT_BATCH if batch_size is None else batch_size
            dataloader = self._model._loader(self.data(adata), indices, size, **data_loader_kwargs)
        self.module.eval()
        device = self.module.device
        for tensors in dataloader:
            yield self.module.minibatch({key: value.to(device) for key, value in tensors.items()})

    def posteriors(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        batch_size: int | None = None,
        dataloader: Iterator[dict[str, Tensor]] | None = None,
        **data_loader_kwargs: Any,
    ) -> Iterator[tuple[Minibatch, Posteriors]]:
        """Minibatches with the posteriors of their cells; arguments are those of :meth:`minibatches`."""
        for minibatch in self.minibatches(adata, indices, batch_size, dataloader, **data_loader_kwargs):
            yield minibatch, self.module.encode(minibatch)

    def cell_names(self, adata: Data | None, indices: Indices | None) -> pd.Index:
        """Names of the cells that ``indices`` name."""
        data = self.data(adata)
        return data.obs_names[numbers_of(data, indices)]

    def batches(self) -> np.ndarray:
        """Code of the batch of each cell of the model's own data, ``(n_cells,)``."""
        return np.asarray(self._model.adata_manager.get_from_registry(REGISTRY_KEYS.BATCH_KEY)).ravel()

    def label_codes(self) -> np.ndarray:
        """Code of the label of each cell of the model's own data, from the number of labels on where it has none."""
        return np.asarray(self._model.adata_manager.get_from_registry(REGISTRY_KEYS.LABELS_KEY)).ravel().astype(int)

    @property
    def labels(self) -> list[str]:
        """The labels that were registered; empty without ``labels_key``."""
        return labels_of(self._model.registry_)

    def features(self, name: str) -> np.ndarray:
        """Feature names of a modality."""
        return features_of(self._model.registry_, [name])[name]

    def modality(self, name: str | None) -> str:
        """``name``, which may be left out where there is one modality.

        Raises
        ------
        ValueError
            If it is unknown.
        """
        if name is None and len(self.names) == 1:
            return self.names[0]
        if name is None or name not in self.names:
            msg = f"Expected a modality, one of {self.names}; got {name!r}."
            raise ValueError(msg)
        return name

    def batch_code(self, batch: Any) -> int | None:
        """Code of a batch; ``None`` where it is ``None``.

        Raises
        ------
        ValueError
            If it is unknown.
        """
        if batch is None:
            return None
        state = self._model.registry_["field_registries"][REGISTRY_KEYS.BATCH_KEY]["state_registry"]
        known = [text_of(c) for c in state["categorical_mapping"]]
        if (name := text_of(batch)) not in known:
            msg = f"Expected transform_batch among {known}; got '{name}'."
            raise ValueError(msg)
        return known.index(name)


def labels_of(registry: Mapping[str, Any]) -> list[str]:
    """The labels that were registered, those of cells without a label left out."""
    state = registry["field_registries"].get(REGISTRY_KEYS.LABELS_KEY, {}).get("state_registry", {})
    unlabelled = str(state.get("unlabeled_category"))
    return [str(label) for label in state.get("categorical_mapping", ()) if str(label) != unlabelled]


def features_of(registry: Mapping[str, Any], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Feature names of each modality, also where a model was loaded without data."""
    fields = registry["field_registries"]
    return {
        name: np.asarray(fields[layer_key(name)]["state_registry"]["column_names"], dtype=str)
        for name in names
        if layer_key(name) in fields
    }
