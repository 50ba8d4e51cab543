"""Reading cells through a model: minibatches of any data, and what the module makes of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
import torch
from scvi import REGISTRY_KEYS
from scvi.utils import track
from torch import Tensor

from mmvae._checks import check_texts, near
from mmvae._keys import FIELDS, STATE, layer_key
from mmvae.data import Minification, numbers_of, presence_of, some_of, text_of
from mmvae.fusion import Posteriors
from mmvae.module import Minibatch

from ._data import Data, DataAccess, Indices, digest_of
from ._one_thread import check_no_other_trains

READOUT_BATCH = 1_024


class Reader:
    """Cells of a trained model's data, or of others, as minibatches on its device, the module in evaluation mode."""

    def __init__(self, model: DataAccess) -> None:
        check_no_other_trains(model)
        model._check_if_trained(warn=False)
        self.model, self.module = model, model.module
        self.names: list[str] = model.module.names
        self._data: dict[int, tuple[Data | None, Data]] = {}

    def data(self, adata: Data | None = None) -> Data:
        """``adata`` registered with the model; its own by default, an error if it was loaded without."""
        # Once for each, as every value is compared.
        if id(adata) not in self._data:
            self._data[id(adata)] = adata, self.model._validate_anndata(adata)
        return self._data[id(adata)][1]

    def cells(self, data: Data, indices: Indices | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the cells that ``indices`` name, and which modalities they have, ``(n_cells, n_modalities)``."""
        cells = numbers_of(data, indices)
        return cells, presence_of(data, self.names)[cells]

    @property
    def has_training_data(self) -> bool:
        """Whether the model's own data are those that it was trained with, which those loaded with it need not be."""
        data, memory = self.data(), self.model.memory
        if memory.cells not in (None, digest_of(data)):
            return False
        return memory.values is None or self.model.adata_manager.has_values_of(memory.values)

    @property
    def has_training_values(self) -> bool:
        """Whether there are data of the model's own, those that it was trained with, and they hold their values."""
        return self.model.adata is not None and self.has_training_data and has_values(self.model.adata)

    def training_cells(self, most: int | None = None) -> np.ndarray:
        """Numbers of the training cells, ascending; ``most`` of them at random, always the same ones."""
        if not self.has_training_data:
            msg = (
                "Expected the data that the model was trained with; got others. Load it with those; for outlier scores, "
                "give reference instead, and the shared subspace is saved with a model once it has been asked for."
            )
            raise ValueError(msg)
        trained = self.model.train_indices_
        cells = np.arange(self.data().n_obs) if trained is None else np.asarray(trained)
        return some_of(cells, most)

    def minibatches(
        self,
        adata: Data | None = None,
        indices: Indices | None = None,
        batch_size: int | None = None,
        dataloader: Iterable[dict[str, Tensor]] | None = None,
        *,
        silent: bool = True,
        **data_loader_kwargs: Any,
    ) -> Iterator[Minibatch]:
        """Cells in order; those of ``dataloader``, if there is one. One without any is a ``ValueError``."""
        lacks_cells = dataloader is not None
        if dataloader is None:
            size = READOUT_BATCH if batch_size is None else batch_size
            # A loader draws a number when it starts: not from the user's generator.
            options = {"generator": torch.Generator()} | data_loader_kwargs
            dataloader = self.model._loader(self.data(adata), indices, size, **options)
        self.module.eval()
        device = self.module.device  # which scvi-tools looks for among all weights
        for tensors in track(dataloader, description="Reading cells", disable=silent):
            lacks_cells = False
            yield self.module.minibatch({key: value.to(device) for key, value in tensors.items()})
        if lacks_cells:
            msg = "Expected a dataloader with cells; got one that has none, or has been read to its end. Make it anew."
            raise ValueError(msg)

    def posteriors(self, *args: Any, **kwargs: Any) -> Iterator[tuple[Minibatch, Posteriors]]:
        """Minibatches with the posteriors of their cells; arguments are those of :meth:`minibatches`."""
        for minibatch in self.minibatches(*args, **kwargs):
            yield minibatch, self.module.encode(minibatch)

    def cell_names(self, adata: Data | None, indices: Indices | None) -> pd.Index:
        """Names of the cells that ``indices`` name."""
        data = self.data(adata)
        return data.obs_names[numbers_of(data, indices)]

    def codes(self, key: str) -> np.ndarray:
        """What the registry holds of each cell of the model's own data, such as its batch's code, ``(n_cells,)``."""
        return np.asarray(self.model.adata_manager.get_from_registry(key)).ravel()

    def features(self, name: str) -> np.ndarray:
        """Feature names of a modality."""
        return features_of(self.model.registry_, [name])[name]

    def modality(self, name: str | None) -> str:
        """``name``, which may be left out where there is one modality."""
        if name is None and len(self.names) == 1:
            return self.names[0]
        if name is None or name not in self.names:
            msg = f"Expected a modality, one of {self.names}; got {name!r}.{near(name, self.names)}"
            raise ValueError(msg)
        return name

    def latents(self, name: str | None) -> list[str]:
        """The latent that a modality lies in, or of that name; all latents where it is ``None``."""
        known = list(self.module.priors)
        if name is None:
            return known
        if name in self.names:
            return [self.module.fusion.latent_of(name)[0]]
        if name not in known:
            known = list(dict.fromkeys([*self.names, *known]))
            msg = f"Expected a modality, one of {known}; got {name!r}.{near(name, known)}"
            raise ValueError(msg)
        return [name]

    def batch_codes(self, batches: Any) -> list[int | None]:
        """Codes of a batch or of several, by name or code; ``None``, each cell's own, is left as it is."""
        state = states_of(self.model.registry_)[REGISTRY_KEYS.BATCH_KEY]
        known = [text_of(c) for c in state["categorical_mapping"]]
        several = list(batches) if isinstance(batches, Iterable) and not isinstance(batches, str) else [batches]
        if not several:
            msg = f"Expected transform_batch as one or more of {known}; got none."
            raise ValueError(msg)
        return [None if batch is None else _code(batch, known) for batch in several]


def has_values(data: Data) -> bool:
    """Whether data hold their values, which minified ones need not."""
    how = Minification.of(data)
    return how is None or how.has_values


def agreed(**given: str | None) -> str | None:
    """The value of an argument that has several names, the first of which is the one to use; ``None`` without any."""
    values = {name: value for name, value in given.items() if value is not None}
    check_texts(**values)
    if len(set(values.values())) > 1:
        msg = f"Expected {' and '.join(given)}, which mean the same, to agree; got {values}. Give {next(iter(given))}."
        raise ValueError(msg)
    return next(iter(values.values()), None)


def _code(batch: Any, known: list[str]) -> int:
    """Place of a batch among those that are known, by its name; else a number is its place."""
    if (name := text_of(batch)) in known:
        return known.index(name)
    if isinstance(batch, Integral) and 0 <= (code := int(batch)) < len(known):
        return code
    msg = f"Expected transform_batch among {known}; got '{name}'."
    raise ValueError(msg)


def states_of(registry: Mapping[str, Any]) -> dict[str, Any]:
    """What was found of each registered field."""
    return {key: field[STATE] for key, field in registry[FIELDS].items()}


def labels_of(registry: Mapping[str, Any]) -> list[str]:
    """The labels that were registered, those of cells without a label left out."""
    state = states_of(registry).get(REGISTRY_KEYS.LABELS_KEY, {})
    unlabelled = str(state.get("unlabeled_category"))
    return [str(label) for label in state.get("categorical_mapping", ()) if str(label) != unlabelled]


def features_of(registry: Mapping[str, Any], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Feature names of each modality, also where a model was loaded without data."""
    states = states_of(registry)
    return {name: np.asarray(states[layer_key(name)]["column_names"], dtype=str) for name in names}


def number_of_cells(registry: Mapping[str, Any]) -> int:
    """Cells of the modality that has most of them; 0 where the registry does not say."""
    return max((state.get("n_obs", 0) for state in states_of(registry).values()), default=0)
