"""Registrations live as long as their data and their model, where scvi-tools keeps both until the process ends."""

from collections.abc import MutableMapping
from typing import Any
from weakref import finalize

from scvi.model.base import BaseModelClass

from mmvae.data import MosaicManager


class Lifetimes(BaseModelClass):
    """scvi-tools' stores of managers, from which goes what no one can ask for any more."""

    @classmethod
    def register_manager(cls, adata_manager: MosaicManager) -> None:
        """As scvi-tools', until the data are gone."""
        _keep_while_alive(adata_manager, {cls: cls._setup_adata_manager_store}, cls)
        super().register_manager(adata_manager)

    def _register_manager_for_instance(self, adata_manager: MosaicManager) -> None:
        stores = type(self)._per_instance_manager_store
        if self.id not in stores:
            finalize(self, stores.pop, self.id, None).atexit = False
        if adata_manager.adata is not self.adata:  # which live as long as the model does
            _keep_while_alive(adata_manager, stores, self.id)
        super()._register_manager_for_instance(adata_manager)


def _keep_while_alive(manager: MosaicManager, stores: MutableMapping[Any, Any], key: Any) -> None:
    """Let go of what the store of this key will hold for a manager's data, once these are gone."""
    known = stores.get(key, {}).get(manager.adata_uuid)
    if known is None or known.adata is not manager.adata:
        finalize(manager.adata, _forget, stores, key, manager.adata_uuid).atexit = False


def _forget(stores: MutableMapping[Any, Any], key: Any, uuid: str) -> None:
    known = stores.get(key, {}).get(uuid)
    if known is not None and known.adata is None:  # not those of a copy, which has taken the name over
        del stores[key][uuid]
