"""Registration of mosaic data with scvi-tools."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, get_args
from weakref import ref

import pandas as pd
from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager, AnnDataManagerValidationCheck, fields
from torch.utils.data import Subset

from mmvae._errors import SetupError
from mmvae._keys import DATA, FIELDS, PRIOR_COVARIATES, SETUP_ARGS, SETUP_METHOD, STATE, layer_key, size_factor_key
from mmvae.likelihoods import FeatureStatistics

from ._dataset import MosaicDataset
from ._matrix import Matrix, by_rows, is_on_disk, is_same
from .setup._columns import Column, Role, Scale, SetupArguments, categories, keep_scales, scale_of, scales_of
from .setup._modality import Setup
from .setup._reference import Fingerprint, changed_faults, fingerprints_of, inspect_or_raise, known_labels
from .setup._scan import feature_statistics


def fields_of(data: AnnData | MuData, setup: Setup) -> list[fields.BaseAnnDataField]:
    """Fields that register ``setup``; values were checked before and are not touched."""
    prefix = "" if isinstance(data, AnnData) else "MuData"

    def field(kind: str, *arguments: Any, **options: Any) -> fields.BaseAnnDataField:
        return getattr(fields, f"{prefix}{kind}Field")(*arguments, **options)

    unchecked = {"is_count_data": False, "correct_data_format": False}
    where = {m.name: {"mod_key": m.name} if prefix else {} for m in setup.modalities}
    by_role = {role: [c.name for c in setup.columns if c.role == role] for role in get_args(Role)}
    return [
        *(field("Layer", layer_key(m.name), m.layer, **unchecked, **where[m.name]) for m in setup.modalities),
        field("CategoricalObs", REGISTRY_KEYS.BATCH_KEY, next(iter(by_role["batch"]), None)),
        *(field("LabelsWithUnlabeledObs", REGISTRY_KEYS.LABELS_KEY, n, setup.unlabelled) for n in by_role["labels"]),
        field("CategoricalJointObs", REGISTRY_KEYS.CAT_COVS_KEY, by_role["categorical"]),
        field("NumericalJointObs", REGISTRY_KEYS.CONT_COVS_KEY, by_role["continuous"]),
        field("CategoricalJointObs", PRIOR_COVARIATES, by_role["prior_covariate"]),
        *(field("NumericalObs", size_factor_key(c.detail), c.name) for c in setup.columns if c.role == "size_factor"),
    ]


class MosaicManager(AnnDataManager):
    """Registers mosaics, also without some of a reference's modalities; finds all faults before anything is written.

    It does not keep its data alive: their owner, a model or a loader does.
    """

    def __init__(self, setup: Setup | None = None, **kwargs: Any) -> None:
        check = AnnDataManagerValidationCheck(check_fully_paired_mudata=False)
        super().__init__(**{"validation_checks": check} | kwargs)
        self._inspected = setup
        self._by_rows: dict[str, tuple[Matrix, Matrix]] = {}
        self._fingerprints: dict[str, Fingerprint] = {}
        self._moments = {} if setup is None else {m.name: m.moments for m in setup.modalities}

    @property
    def adata(self) -> AnnData | MuData | None:
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

    def statistics(self, name: str) -> FeatureStatistics:
        """Summary of a modality's values: that of the set-up, or of another pass where it made none, as for a query."""
        moments = self._moments.get(name)
        return feature_statistics(self.get_from_registry(layer_key(name))) if moments is None else moments.statistics()

    def check_unchanged(self) -> None:
        """Raise a ``SetupError`` of all names, features and values that are no longer what was registered."""
        if faults := changed_faults(self.adata, self._registry, self.layers, self._fingerprints):
            raise SetupError(faults)

    def register_fields(self, adata: Any, source_registry: dict | None = None, **transfer_kwargs: Any) -> None:
        """Register the fields; on a failure take back what was written."""
        setup, self._inspected = self._inspected, None
        if source_registry is None and self._registry[FIELDS]:
            # The same data again, after another model's set-up: what was learnt from them at first holds.
            source_registry = deepcopy(self._registry)
        if setup is None:
            setup = self._inspect(adata, source_registry, **transfer_kwargs)
        numbers = [c for c in setup.columns if c.role == "continuous"]
        found = {c.name: scale_of(c.values) for c in numbers} if source_registry is None else scales_of(source_registry)
        # A registry that does not say was made of numbers as they were.
        scales = {c.name: found.get(c.name, (0.0, 1.0)) for c in numbers}
        with _restored_on_failure(adata):
            for column in setup.columns:
                adata.obs[column.name] = _registered(column, scales, source_registry)
            super().register_fields(adata, source_registry, **transfer_kwargs)
        keep_scales(self._registry, scales)
        self._fingerprints = self._fingerprints or fingerprints_of(adata, self.layers)
        # By this scvi-tools knows a model that may be loaded with minified data, for which it takes all whose first X is a
        # sparse matrix of zeros, whatever layers there are. It has no place in a minibatch.
        self._registry[FIELDS][REGISTRY_KEYS.MINIFY_TYPE_KEY] = {DATA: {}, STATE: {}, "summary_stats": {}}
        if source_registry is not None:
            # What the reference knows of modalities that the data lack, without a place in the data.
            own, known = self._registry[FIELDS], source_registry[FIELDS]
            absent = [key for key in map(layer_key, self.names) if key in known and key not in own]
            own |= {key: deepcopy(known[key]) | {DATA: {}} for key in absent}

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
        dataset = MosaicDataset(self, self._matrices(), n_features, data_and_attributes)
        return dataset if indices is None else Subset(dataset, indices)


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
