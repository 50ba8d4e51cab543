"""The cells of a training, and what it asks of them beside minibatches. C cells, M modalities."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import scipy.sparse as sp
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden
from scvi import REGISTRY_KEYS
from torch import Tensor

from mmvae._keys import CELLS, FIELDS, PRESENT, STATE, columns_key, layer_key, rows_key, size_factor_key, starts_key
from mmvae.data import Column, SetupArguments, feature_statistics, pattern_names, presence_of, resolve_columns
from mmvae.likelihoods import FeatureStatistics

from ._data import DataAccess, digest_of

PRIOR_CELLS, PRIOR_BATCH, SAMPLE_CELLS, HELD_OUT_CELLS = 10_000, 512, 10_000, 5_000
Summary: TypeAlias = tuple[FeatureStatistics, float | None]  # of values; median of the user's size factors, if any


class OwnCells:
    """Cells of the model's own data; ``parts`` are the numbers of those to train, to validate and to test on."""

    sample = None

    def __init__(self, model: DataAccess, parts: tuple[np.ndarray, ...]) -> None:
        self.model, self.parts, self.manager, self.modalities = model, parts, model.adata_manager, model.module.names
        self.n_train, self.n_cells, self.has_validation = len(parts[0]), model.adata.n_obs, len(parts[1]) > 0
        self.names_of: Callable[[list[int]], Iterable[str]] = model.adata.obs_names.__getitem__
        self.digest = digest_of(model.adata)
        self.sums = {name: own.sums.tolist() for name, own in self.manager.sums.items()}
        self.presence = presence_of(model.adata, self.modalities)

    def summaries(self) -> dict[str, Summary]:
        """Summary of each modality that the data have."""
        found: dict[str, Summary] = {}
        for name, has in zip(self.modalities, self.presence.T, strict=True):
            key, registered, median = size_factor_key(name), self.manager.data_registry, None
            if layer_key(name) in registered:
                if key in registered:
                    median = float(np.median(np.asarray(self.manager.get_from_registry(key)).ravel()[has]))
                found[name] = self.manager.statistics(name), median
        return found

    def some(self) -> Iterator[dict[str, Tensor]]:
        """Training cells, always the same ones: at random, and as many of each modality and of those with a label."""
        model = self.model
        model._fill_graphs(model.adata, list(model.module.priors))
        cells = np.random.default_rng(0).permutation(self.parts[0])
        rare = self.presence
        if REGISTRY_KEYS.LABELS_KEY in self.manager.data_registry:
            labels = np.asarray(self.manager.get_from_registry(REGISTRY_KEYS.LABELS_KEY)).ravel()
            rare = np.column_stack([rare, (labels >= 0) & (labels < model.module.n_labels)])
        chosen = [cells[:PRIOR_CELLS], *(cells[has[cells]][:PRIOR_CELLS] for has in rare.T)]
        yield from self._read(np.unique(np.concatenate(chosen)))

    def held_out(self) -> Iterator[dict[str, Tensor]]:
        """Validation cells of several modalities, always the same ones, at random; none without validation."""
        cells = self.parts[1][self.presence[self.parts[1]].sum(axis=1) > 1]
        chosen = np.random.default_rng(0).permutation(cells)[:HELD_OUT_CELLS]
        return self._read(np.sort(chosen)) if len(chosen) else iter(())

    def _read(self, cells: np.ndarray) -> Iterator[dict[str, Tensor]]:
        """Minibatches of cells, on the model's device."""
        device = self.model.module.device
        for tensors in self.model._loader(self.model.adata, cells, PRIOR_BATCH):
            yield {key: value.to(device) for key, value in tensors.items()}

    def batch_and_patterns(self) -> tuple[Column | None, np.ndarray]:
        """The column of batches, if there is one, and what each cell has, in words."""
        columns, _ = resolve_columns(self.model.adata, SetupArguments.of(self.model.registry_["setup_args"]))
        batch = next((column for column in columns if column.role == "batch"), None)
        return batch, pattern_names(self.presence, self.modalities)


class StreamedCells:
    """Cells that a data module yields, of which nothing is known but minibatches; the first 10,000 stand for all."""

    parts: tuple[None, ...] = (None, None, None)
    digest, sums = "", None  # of no data
    names_of = list  # the cells' numbers, as they have no names

    def __init__(self, model: DataAccess, datamodule: LightningDataModule) -> None:
        self.module, self.datamodule = model.module, datamodule
        found = getattr(datamodule, "n_train", None) or getattr(datamodule, "n_obs", None)
        if found is None:
            msg = "Expected a data module with its number of cells as n_train or n_obs; got neither. Add one."
            raise ValueError(msg)
        if asking := [prior.name for prior in self.module.priors.values() if prior.needs_graph]:
            msg = f"Expected priors that look at one cell at a time with this data module; got {asking[0]!r}."
            raise ValueError(msg)
        self.n_train = self.n_cells = int(found)
        self.has_validation = getattr(datamodule, "n_val", 1) > 0 and is_overridden("val_dataloader", datamodule)

    @cached_property
    def sample(self) -> list[dict[str, Tensor]]:
        """Minibatches of the first training cells of a pass."""
        self.datamodule.prepare_data()
        self.datamodule.setup("fit")
        return list(self._first(self.datamodule.train_dataloader(), SAMPLE_CELLS))

    def _first(self, loader: Iterable[Any], n_cells: int) -> Iterator[dict[str, Tensor]]:
        """Minibatches of a loader, until they have ``n_cells``."""
        n_found = 0
        for batch in loader:
            tensors = self.datamodule.on_before_batch_transfer(batch, 0)
            _check(tensors, self.module.names)
            yield tensors
            n_found += len(tensors[PRESENT])
            if n_found >= n_cells:
                return

    @property
    def presence(self) -> np.ndarray:
        """Which cells of the sample have which modality, boolean, ``(n_sample, n_modalities)``."""
        return torch.cat([tensors[PRESENT] for tensors in self.sample]).numpy()

    def some(self) -> Iterator[dict[str, Tensor]]:
        """The sample, on the model's device."""
        for tensors in self.sample:
            yield {key: value.to(self.module.device) for key, value in tensors.items()}

    def held_out(self) -> Iterator[dict[str, Tensor]]:
        """The first validation cells, on the model's device; none without validation."""
        loaders = CombinedLoader(self.datamodule.val_dataloader() if self.has_validation else [], "sequential")
        for tensors in self._first((batch for batch, *_ in loaders), HELD_OUT_CELLS):
            yield {key: value.to(self.module.device) for key, value in tensors.items()}

    def summaries(self) -> dict[str, Summary]:
        """Summary of each modality that cells of the sample have."""
        found: dict[str, Summary] = {}
        for name, has in zip(self.module.names, self.presence.T, strict=True):
            if has.any():
                key, n_features = size_factor_key(name), self.module.likelihoods[name].n_features
                rows = [_rows(tensors, name, n_features) for tensors in self.sample]
                given = [tensors[key][tensors[rows_key(name)]] for tensors in self.sample if key in tensors]
                median = float(np.median(torch.cat(given).numpy())) if given else None
                found[name] = feature_statistics(sp.vstack(rows, format="csr")), median
        return found

    def batch_and_patterns(self) -> tuple[None, np.ndarray]:
        """Nothing is known of them."""
        return None, np.array([])


Cells: TypeAlias = OwnCells | StreamedCells


def check_same_registry(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raise a ``ValueError`` unless two registries hold the same features and categories."""
    got, expected = (
        {
            key: {k: v for k, v in field[STATE].items() if k != "n_obs"}
            for key, field in registry[FIELDS].items()
            if key != REGISTRY_KEYS.MINIFY_TYPE_KEY  # which says nothing, and registries of before may lack
        }
        for registry in (one, other)
    )
    try:
        np.testing.assert_equal(got, expected)
    except AssertionError:
        msg = (
            "Expected a data module of the features and categories that the model was built for; got others. Build the "
            "model with MultiVAE(registry=datamodule.registry)."
        )
        raise ValueError(msg) from None


def _rows(tensors: Mapping[str, Tensor], name: str, n_features: int) -> sp.csr_matrix:
    """A modality's values in a minibatch, ``(n_present, n_features)``."""
    values = tensors[layer_key(name)].numpy()
    if values.ndim == 2:
        return sp.csr_matrix(values)
    parts = (values, tensors[columns_key(name)].numpy(), tensors[starts_key(name)].numpy())
    return sp.csr_matrix(parts, shape=(len(tensors[rows_key(name)]), n_features))


def _check(tensors: Mapping[str, Any], names: list[str]) -> None:
    wanted = [PRESENT, CELLS, REGISTRY_KEYS.BATCH_KEY, *map(layer_key, names), *map(rows_key, names)]
    if lacking := [key for key in wanted if key not in tensors]:
        msg = f"Expected minibatches of the data module with {wanted}; got none of {lacking}. See MosaicDataModule."
        raise ValueError(msg)
