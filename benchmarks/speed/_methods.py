"""mmvae and its peers: the data as each takes them, and models with equal sizes or with the defaults of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import inputs

from ._jobs import CPU, CUDA

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mudata import MuData

OURS, CAPTURED, SAMPLED = "mmvae", "mmvae, CUDA graph", "mmvae, 2,000 sampled peaks"
MULTIVI, MULTIVI_SPARSE, TOTALVI = "MultiVI", "MultiVI, sparse loader", "totalVI"
N_HIDDEN, N_LATENT, N_LAYERS = 128, 15, 2
EQUAL_OURS = {"n_hidden": N_HIDDEN, "n_latent": N_LATENT, "n_layers": N_LAYERS}
EQUAL_PEERS = {"n_hidden": N_HIDDEN, "n_latent": N_LATENT, "n_layers_encoder": N_LAYERS, "n_layers_decoder": 1}


@dataclass(frozen=True)
class Method:
    """A way to embed cells.

    Parameters
    ----------
    form
        Gives data in the form that the method takes.
    make
        Gives a new model of such data, from the batch's column, a seed and sizes.
    sizes
        Those at which methods are compared with each other.
    peer
        Name of the peer; empty for mmvae.
    options
        Arguments of its ``train``.
    devices
        On which it differs from the others.
    is_default
        Whether this is how a user runs it who does not know more.
    settle
        Called on a trained model whose weights were replaced, before its latent is read.
    """

    form: Callable[[MuData], MuData]
    make: Callable[..., Any]
    sizes: Mapping[str, int]
    peer: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    devices: tuple[str, ...] = (CPU, CUDA)
    is_default: bool = True
    settle: Callable[[Any], None] = lambda model: None


def _same(mdata: MuData) -> MuData:
    return mdata


def _joined(mdata: MuData) -> MuData:
    """With the column that MultiVI wants of new data, and dense protein, which both peers want."""
    joined = inputs.joined(inputs.padded(mdata, mdata))
    if "protein" in joined.mod:
        inputs.dense(joined["protein"])
    joined.obs["_indices"] = np.arange(joined.n_obs)
    return joined


def _mmvae(mdata: MuData, batch: str | None, seed: int, sizes: Mapping[str, int], **likelihoods: Any) -> Any:
    from mmvae import MultiVAE

    MultiVAE.setup_mudata(mdata, batch_key=batch, likelihoods=likelihoods)
    return MultiVAE(mdata, seed=seed, **sizes)


def _settle(model: Any) -> None:
    """What mmvae measures at the end of a training, and weighs the modalities' latents by."""
    from mmvae.model._reader import Reader
    from mmvae.model.readouts import measure_modalities

    model.remember(**measure_modalities(Reader(model)))


def _multivi(mdata: MuData, batch: str | None, seed: int, sizes: Mapping[str, int]) -> Any:
    import scvi
    from scvi.model import MULTIVI as Model

    scvi.settings.seed = seed
    Model.setup_mudata(mdata, batch_key=batch, modalities={f"{name}_layer": name for name in mdata.mod})
    return Model(mdata, **sizes)


def _totalvi(mdata: MuData, batch: str | None, seed: int, sizes: Mapping[str, int]) -> Any:
    import scvi
    from scvi.model import TOTALVI as Model

    scvi.settings.seed = seed
    Model.setup_mudata(mdata, batch_key=batch, modalities={"rna_layer": "rna", "protein_layer": "protein"})
    return Model(mdata, **sizes)


_sampled = partial(_mmvae, atac={"name": "poisson", "n_sampled": 2_000})
_sparse = {"datasplitter_kwargs": {"load_sparse_tensor": True}}
METHODS = {
    OURS: Method(_same, _mmvae, EQUAL_OURS, settle=_settle),
    CAPTURED: Method(
        _same, _mmvae, EQUAL_OURS, options={"cuda_graph": True}, devices=(CUDA,), is_default=False, settle=_settle
    ),
    SAMPLED: Method(_same, _sampled, EQUAL_OURS, is_default=False, settle=_settle),
    MULTIVI: Method(_joined, _multivi, EQUAL_PEERS, "multivi"),
    # Its values go to the card by their non-zeros; on a CPU there is no way to go.
    MULTIVI_SPARSE: Method(_joined, _multivi, EQUAL_PEERS, "multivi", _sparse, (CUDA,), is_default=False),
    TOTALVI: Method(_joined, _totalvi, EQUAL_PEERS, "totalvi"),
}
