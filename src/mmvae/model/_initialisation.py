"""What a module takes from the data before it is trained."""

import numpy as np

from mmvae._keys import layer_key, size_factor_key
from mmvae.data import MosaicManager, presence_of
from mmvae.module import MultiVAEModule


def init_from_data(module: MultiVAEModule, manager: MosaicManager) -> None:
    """Initialise likelihoods from summaries of the data, and bring the user's size factors to the scale of totals."""
    presence = presence_of(manager.adata, module.names)
    for index, name in enumerate(module.names):
        if layer_key(name) not in manager.data_registry:
            continue
        statistics = manager.statistics(name)
        module.likelihoods[name].init_from(statistics)
        if size_factor_key(name) in manager.data_registry:
            given = np.asarray(manager.get_from_registry(size_factor_key(name))).ravel()[presence[:, index]]
            module.size_factor_scale[name].data.fill_(statistics.size_factor / float(np.median(given)))
