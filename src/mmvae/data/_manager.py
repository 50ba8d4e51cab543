"""Registration of mosaic data with scvi-tools."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property
from typing import Any
from weakref import ref

import numpy as np
import pandas as pd
from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager, AnnDataManagerValidationCheck
from torch.utils.data import Subset

from mmvae._errors import SetupError
from mmvae._keys import DATA, FIELDS, LAST_SETUP, SETUP_ARGS, SETUP_METHOD, STATE, layer_key
from mmvae.likelihoods import FeatureStatistics

from ._access import modalities_of, rows_of
from ._dataset import MosaicDataset
from ._fields import fields_of
from ._matrix import Matrix, by_rows, is_on_disk, is_same
from ._minified import Minification
from .setup._columns import Column, Scale, SetupArguments, categories, keep_scales, resolve_columns, scale_of, scales_of
from .setup._features import feature_notes, order_of
from .setup._modality import Setup
from .setup._reference import features_in, inspect_or_raise, known_labels
from .setup._scan import feature_statistics
from .setup._unchanged import Sums, Unchanged, sampled_sums


class MosaicManager(AnnDataManager):
    """Registers mosaics, also without some of a reference's modalities; finds all faults before anything is written.

    It does not keep its data alive: their owner, a model or a loader does.
    """

    def __init__(self, setup: Setup | None = None, **kwargs: Any) -> None:
        check = AnnDataManagerValidationCheck(check_fully_paired_mudata=False)
        super().__init__(**{"validation_checks": check} | kwargs)
        self._inspected = setup
        self._by_rows: dict[str, tuple[Matrix, Matrix]] = {}
        self._registered: Unchanged | None = None
        self._scales: dict[str, Scale] = {}
        # Of modalities whose features are in another order than the model's, or among others, the place of each.
        self._orders: dict[str, np.ndarray] = {}
        self._moments = {} if setup is None else {m.name: m.moments for m in setup.modalities}

    @property
    def adata(self) -> Any:
        """The data, ``None`` before they are registered and once they are gone."""
        return self._data()

    @adata.setter
    def adata(self, data: AnnData | MuData | None) -> None:
        self._data: Callable[[], AnnData | MuData | None] = lambda: None
        if data is not None:
            # Without its data a manager is of no use, and need not keep their values.
            values = self._by_rows
            self._data = ref(data, lambda _: values.clear())

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_data": self.adata}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.adata = state["_data"]  # a copy of the data, if a model that holds them was copied

    @property
    def names(self) -> list[str]:
        """Names of the model's modalities, those that the data lack included."""
        return list(SetupArguments.of(self._registry[SETUP_ARGS]).likelihoods)

    @property
    def layers(self) -> dict[str, str | None]:
        """Layer of each modality that the data had when they were registered."""
        layers = SetupArguments.of(self._registry[SETUP_ARGS]).layers
        registered = self.data_registry  # which scvi-tools makes anew each time
        return {name: layers.get(name) for name in self.names if layer_key(name) in registered}

    def _matrices(self) -> dict[str, Matrix]:
        """Values of the modalities that the data have, by name; what is stored by columns is turned by rows once."""
        for name in (present := self.layers):
            source = self.get_from_registry(layer_key(name))
            if name not in self._by_rows or not is_same(self._by_rows[name][0], source):
                self._by_rows[name] = source, by_rows(source)
        return {name: self._by_rows[name][1] for name in present}

    @property
    def is_on_disk(self) -> bool:
        """Whether some of the values are in files."""
        return any(map(is_on_disk, self._matrices().values()))

    @cached_property
    def sums(self) -> dict[str, Sums]:
        """By modality that the data have, what tells its values from others, of some cells in the order of the data."""
        rows = {name: rows_of(self.adata, name) for name in self.layers}
        return {
            name: sampled_sums(matrix, rows[name][rows[name] >= 0], self._orders.get(name))
            for name, matrix in self._matrices().items()
        }

    def has_values_of(self, sums: Mapping[str, Sequence[float]]) -> bool:
        """Whether these are the modalities and values that ``sums`` are of; of minified data, the modalities."""
        if sums.keys() != self.sums.keys() or any(len(sums[name]) != len(own.sums) for name, own in self.sums.items()):
            return False
        how = Minification.of(self.adata)
        is_bare = how is not None and not how.has_values
        return is_bare or all(own.are(np.asarray(sums[name])).all() for name, own in self.sums.items())

    def statistics(self, name: str) -> FeatureStatistics:
        """Summary of a modality's values: that of the set-up, or of another pass where it made none, as for a query."""
        moments = self._moments.get(name)
        if moments is not None:
            return moments.statistics()
        return feature_statistics(self.get_from_registry(layer_key(name)), self._orders.get(name))

    @property
    def registered(self) -> Unchanged:
        """What was registered of the data."""
        assert self._registered is not None  # None before data are registered, when no one can ask
        return self._registered

    def check_unchanged(self, *, every_value: bool = False) -> None:
        """Raise a ``SetupError`` of all names, features and values that are no longer what was registered.

        Values are those of some cells, or of all: whatever else is read is compared where it is read.
        """
        # Another set-up writes over what this one wrote, which is then written again.
        with_codes = self.adata.uns.get(LAST_SETUP) == self.id
        if faults := self.registered.faults(self.adata, with_codes=with_codes, every_value=every_value):
            raise SetupError(faults)

    def check_columns(self) -> None:
        """Raise a ``SetupError`` of all columns of the user's that are no longer what was registered of them."""
        columns, _ = resolve_columns(self.adata, SetupArguments.of(self._registry[SETUP_ARGS]), is_query=True)
        known = [column for column in columns if column.name in self.registered.columns]
        now = {column.name: _registered(column, self._scales, self._source_registry) for column in known}
        keys = {column.name: column.key for column in known}
        if faults := self.registered.column_faults(self.adata, now, keys):
            raise SetupError(faults)

    def register_fields(self, adata: Any, source_registry: dict | None = None, **transfer_kwargs: Any) -> None:
        """Register the fields; on a failure take back what was written."""
        setup, self._inspected = self._inspected, None
        if self._registered is not None:
            # The same data again, after another model's set-up: what was learnt from them at first holds.
            source_registry, columns = source_registry or deepcopy(self._registry), self._registered.kept_columns(adata)
        else:
            setup = setup or self._inspect(adata, source_registry, **transfer_kwargs)
            self._scales = _scales(setup.columns, source_registry)
            columns = {c.name: _registered(c, self._scales, source_registry) for c in setup.columns}
        with _restored_on_failure(adata):
            for name, values in columns.items():
                adata.obs[name] = values
            super().register_fields(adata, source_registry, **transfer_kwargs)
        keep_scales(self._registry, self._scales)
        if self._registered is None:
            self._orders = {} if source_registry is None else self._orders_of(adata, source_registry)
            self._registered = Unchanged(adata, self.layers, self._registry, columns)
        # By this scvi-tools knows a model that may be loaded with minified data, for which it takes all whose first X is a
        # sparse matrix of zeros, whatever layers there are. It has no place in a minibatch.
        self._registry[FIELDS][REGISTRY_KEYS.MINIFY_TYPE_KEY] = {DATA: {}, STATE: {}, "summary_stats": {}}
        if source_registry is not None:
            # What the reference knows of modalities that the data lack, without a place in the data.
            own, known = self._registry[FIELDS], source_registry[FIELDS]
            absent = [key for key in map(layer_key, self.names) if key in known and key not in own]
            own |= {key: deepcopy(known[key]) | {DATA: {}} for key in absent}

    def _orders_of(self, data: AnnData | MuData, source: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """See ``_orders``; says which features the model does not know."""
        names, modalities = list(self.layers), modalities_of(data, {name: name for name in self.layers})
        for name in names:
            for note in feature_notes(name, modalities[name].var_names, features_in(name, source)):
                warnings.warn(note, UserWarning, stacklevel=2)
        found = {name: order_of(modalities[name].var_names, features_in(name, source)) for name in names}
        return {name: order for name, order in found.items() if order is not None}

    def _inspect(self, data: AnnData | MuData, source: Mapping[str, Any] | None, **transfer_kwargs: Any) -> Setup:
        arguments = SetupArguments.of(self._registry[SETUP_ARGS])
        return inspect_or_raise(data, arguments, source, extend=transfer_kwargs.get("extend_categories", False))

    def _get_setup_method_args(self) -> dict[str, Any]:
        """As scvi-tools', which forgets the method: a model could not be saved with data that are registered against it."""
        return super()._get_setup_method_args() | {SETUP_METHOD: self._registry.get(SETUP_METHOD)}

    def transfer_fields(self, adata_target: AnnData | MuData, **kwargs: Any) -> AnnDataManager:
        """Register other data against this registry."""
        setup = self._inspect(adata_target, self._registry, **kwargs)
        options = {"fields": fields_of(adata_target, setup), "setup_method_args": self._get_setup_method_args()}
        manager = type(self)(setup, **options)
        manager.register_fields(adata_target, self._registry, **kwargs)
        return manager

    def create_torch_dataset(
        self, indices: Any = None, data_and_attributes: Any = None, load_sparse_tensor: bool = False
    ) -> Any:
        """Data set of minibatches that hold the rows of present modalities only; what is sparse stays so."""
        # The reference's number of features where the data lack a modality.
        n_features = {name: self._registry[FIELDS][layer_key(name)][STATE]["n_vars"] for name in self.names}
        dataset = MosaicDataset(self, self._matrices(), n_features, data_and_attributes, self._orders)
        return dataset if indices is None else Subset(dataset, indices)


def _scales(columns: list[Column], source: Mapping[str, Any] | None) -> dict[str, Scale]:
    """Mean and standard deviation of each covariate, of the reference's cells if there is one."""
    numbers = [c for c in columns if c.role == "continuous"]
    found = {c.name: scale_of(c.values) for c in numbers} if source is None else scales_of(source)
    # A registry that does not say was made of numbers as they were.
    return {c.name: found.get(c.name, (0.0, 1.0)) for c in numbers}


def _registered(column: Column, scales: Mapping[str, Scale], source: Mapping[str, Any] | None) -> pd.Series:
    """The values of a column as the minibatches hold them."""
    if column.role == "continuous":
        mean, sd = scales[column.name]
        return (column.values - mean) / sd
    if column.role == "labels" and source is not None:
        return categories(known_labels(column.values, source))
    return column.values


@contextmanager
def _restored_on_failure(data: AnnData | MuData) -> Iterator[None]:
    """Put ``obs``, ``obsm`` and ``uns`` back as they were if the block raises."""
    # Columns are added and replaced, never written into.
    obs, obsm, uns = data.obs.copy(deep=False), dict(data.obsm), dict(data.uns)
    try:
        yield
    except BaseException:
        data.obs = obs
        for store, before in ((data.obsm, obsm), (data.uns, uns)):
            for key in set(store) - set(before):
                del store[key]
            store.update(before)
        raise
