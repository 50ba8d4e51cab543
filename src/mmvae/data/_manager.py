"""Registration of mosaic data with scvi-tools."""

from __future__ import annotations

from contextlib import contextmanager
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pandas as pd
from anndata import AnnData
from scvi import REGISTRY_KEYS
from scvi.data import AnnDataManager, AnnDataManagerValidationCheck

from mmvae._errors import SetupError
from mmvae._keys import layer_key

from ._dataset import MosaicDataset
from ._fields import fields_of
from .setup import Setup, SetupArguments, inspect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from mudata import MuData

SETUP_ARGS = "setup_args"
FIELDS = "field_registries"
STATE = "state_registry"
DATA = "data_registry"


class MosaicManager(AnnDataManager):
    """Registers AnnData or MuData whose cells need not have every modality.

    Differs from its base in three ways: presence comes from ``mdata.obsmap``; all faults of the data are found
    before anything is written, and a failure leaves the data as they were; and data that lack one of the
    reference's modalities can be registered against it.
    """

    def __init__(self, setup: Setup | None = None, **kwargs: Any) -> None:
        check = AnnDataManagerValidationCheck(check_fully_paired_mudata=False)
        super().__init__(**{"validation_checks": check} | kwargs)
        self._inspected = setup

    @property
    def names(self) -> list[str]:
        """Names of the model's modalities, those that the data lack included."""
        return list(SetupArguments.of(self._registry[SETUP_ARGS]).chosen)

    def n_features(self, name: str) -> int:
        """Number of features of a modality, the reference's where the data lack it."""
        return self._registry[FIELDS][layer_key(name)][STATE]["n_vars"]

    def register_fields(
        self, adata: AnnData | MuData, source_registry: dict | None = None, **transfer_kwargs: Any
    ) -> None:
        """Register the fields; on a failure take back what was written."""
        setup, self._inspected = self._inspected, None
        if setup is None:
            arguments = SetupArguments.of(self._registry[SETUP_ARGS])
            setup = inspect(adata, arguments, is_query=source_registry is not None)
        setup.raise_faults()
        extend = transfer_kwargs.get("extend_categories", False)
        if source_registry is not None and not extend and (unknown := category_faults(setup, source_registry)):
            raise SetupError(unknown)
        with restored_on_failure(adata):
            for column in setup.columns:
                if column.is_added:
                    values = column.values
                    if column.role == "labels" and source_registry is not None:
                        values = _known_labels(values, source_registry)
                    adata.obs[column.name] = _typed(values, column.role)
            super().register_fields(adata, source_registry, **transfer_kwargs)
        if source_registry is not None:
            self._keep_absent(source_registry[FIELDS])

    def _keep_absent(self, source: Mapping[str, Any]) -> None:
        """Keep what the reference knows of modalities that the data lack, without a place in the data."""
        own = self._registry[FIELDS]
        absent = [key for key in map(layer_key, self.names) if key in source and key not in own]
        own |= {key: deepcopy(source[key]) | {DATA: {}} for key in absent}

    def transfer_fields(self, adata_target: AnnData | MuData, **kwargs: Any) -> AnnDataManager:
        """Register other data against this registry."""
        arguments = SetupArguments.of(self._registry[SETUP_ARGS])
        setup = inspect_or_raise(adata_target, arguments, self._registry)
        manager = type(self)(
            setup, fields=fields_of(adata_target, setup), setup_method_args=self._get_setup_method_args()
        )
        manager.register_fields(adata_target, self._registry, **kwargs)
        return manager

    def create_torch_dataset(
        self,
        indices: Sequence[int] | Sequence[bool] | None = None,
        data_and_attributes: list[str] | dict[str, np.dtype] | None = None,
        load_sparse_tensor: bool = False,
    ) -> Any:
        """Data set of minibatches that hold the rows of present modalities only."""
        return MosaicDataset.of(self, indices, data_and_attributes, load_sparse_tensor)


def _known_labels(values: pd.Series, source: Mapping[str, Any]) -> pd.Series:
    """Labels of a query, those that the reference does not know taken away."""
    state = source[FIELDS].get(REGISTRY_KEYS.LABELS_KEY, {}).get(STATE, {})
    known = [str(label) for label in state.get("categorical_mapping", [])]
    return values.where(values.isin(known), state.get("unlabeled_category"))


def _typed(values: pd.Series, role: str) -> pd.Series:
    if role in ("continuous", "size_factor"):
        # A size factor may be absent where its modality is.
        return pd.to_numeric(values, errors="coerce").astype(float)
    return values.astype(str).astype("category")


def inspect_or_raise(data: AnnData | MuData, arguments: SetupArguments, source: Mapping[str, Any] | None) -> Setup:
    """Inspect ``data``, against the registry ``source`` of a reference if there is one.

    Raises
    ------
    SetupError
        If the data have faults; all of them in one message.
    """
    setup = inspect(data, arguments, is_query=source is not None)
    if source is not None:
        setup.faults += reference_faults(data, setup, source)
    setup.raise_faults()
    return setup


def reference_faults(data: AnnData | MuData, setup: Setup, source: Mapping[str, Any]) -> list[str]:
    """Features that are not the reference's."""
    faults = []
    for modality in setup.modalities:
        registered = source[FIELDS].get(layer_key(modality.name))
        if not registered:
            continue
        adata = data if isinstance(data, AnnData) else data.mod[modality.name]
        # Of one type: pandas takes no index of type "string" for the equal of the same names as objects.
        expected, got = (
            pd.Index(names, dtype=object) for names in (registered[STATE]["column_names"], adata.var_names)
        )
        if not expected.equals(got):
            faults.append(_feature_fault(modality.name, expected, got))
    return faults


def _feature_fault(name: str, expected: pd.Index, got: pd.Index) -> str:
    n_missing, n_new = len(expected.difference(got)), len(got.difference(expected))
    if n_missing + n_new == 0:
        return f"modality '{name}': features are the reference's in another order. Reorder with adata[:, names].copy()."
    return (
        f"modality '{name}': of the reference's {len(expected)} features {n_missing} are missing, and {n_new} are new. "
        "Give the same features in the same order."
    )


def category_faults(setup: Setup, source: Mapping[str, Any]) -> list[str]:
    """Batches that the reference does not know."""
    state = source[FIELDS].get(REGISTRY_KEYS.BATCH_KEY, {}).get(STATE, {})
    known = {str(c) for c in state.get("categorical_mapping", [])}
    return [
        f"key '{column.key}' (batch) holds {sorted(new)[:5]}, which the reference does not know; it has "
        f"{sorted(known)[:5]}. Map new batches with MultiVAE.load_query_data."
        for column in setup.columns
        if column.role == "batch" and (new := {str(v) for v in column.values.unique()} - known)
    ]


@contextmanager
def restored_on_failure(data: AnnData | MuData) -> Iterator[None]:
    """Put ``obs``, ``obsm`` and ``uns`` back as they were if the block raises."""
    obs, obsm, uns = data.obs.copy(), dict(data.obsm), dict(data.uns)
    try:
        yield
    except BaseException:
        data.obs = obs
        for store, before in ((data.obsm, obsm), (data.uns, uns)):
            for key in set(store) - set(before):
                del store[key]
            for key, value in before.items():
                store[key] = value
        raise
