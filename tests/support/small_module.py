"""Small modules and minibatches, without any data object."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor

from mmvae._config import CovariateConfig, ModalityConfig, ModelConfig, NetworkConfig
from mmvae._keys import CELLS, PRESENT, columns_key, layer_key, rows_key, starts_key
from mmvae.fusion import Fusion
from mmvae.module import MultiVAEModule
from mmvae.priors import Prior

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FEATURES = {"rna": 12, "atac": 15, "protein": 5}
LIKELIHOODS = {"rna": "nb", "atac": "poisson", "protein": "nb"}
N_LATENT = 3
MOSAIC = [[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1], [0, 1, 0], [1, 0, 0]]

FUSIONS = sorted(set(Fusion.registry))
# Those of one cell alone; a field looks at neighbours, which these minibatches have not.
PRIORS = sorted(name for name, kind in Prior.registry.items() if not kind.needs_graph)
PAIRS = [
    (fusion, prior)
    for fusion in FUSIONS
    for prior in PRIORS
    if fusion in ("concat", "attention")
    or not (
        Prior.registry[prior].needs_encoder or Prior.registry[prior].needs_posteriors or Prior.registry[prior].is_joint
    )
]


def small_module(
    fusion: Any = "concat",
    prior: Any = "mog",
    *,
    likelihoods: Mapping[str, Any] = LIKELIHOODS,
    covariates: CovariateConfig | None = None,
    started: bool = True,
    **network: Any,
) -> MultiVAEModule:
    """A module of three modalities with random weights, its priors started unless said otherwise."""
    names = list(likelihoods)
    latents = Fusion.build(fusion, n_latent=dict.fromkeys(names, N_LATENT)).latents
    config = ModelConfig(
        {n: ModalityConfig(FEATURES[n], N_LATENT, likelihood) for n, likelihood in likelihoods.items()},
        {"coupled": prior} if prior == "coupled" or "coupled" in str(prior) else dict.fromkeys(latents, prior),
        fusion,
        NetworkConfig(**{"n_hidden": 8} | network),
        covariates or CovariateConfig(n_batch=2, n_labels=3, n_prior_categories=(2,)),
    )
    torch.manual_seed(0)
    module = MultiVAEModule(config)
    if started:
        state = module.state_dict()
        module.load_state_dict(state | {k: torch.ones_like(v) for k, v in state.items() if k.endswith(".ready")})
    return module.eval()


def small_tensors(presence: Any = None, names: tuple[str, ...] = tuple(FEATURES), seed: int = 3) -> dict[str, Tensor]:
    """What a loader gives for ten cells, complete unless ``presence`` is given."""
    present = np.ones((10, len(names)), dtype=bool) if presence is None else np.asarray(presence, dtype=bool)
    n_cells, generator = len(present), np.random.default_rng(seed)
    tensors = {
        PRESENT: torch.tensor(present),
        CELLS: torch.arange(n_cells),
        "batch": torch.tensor(generator.integers(0, 2, (n_cells, 1))),
        "labels": torch.tensor(generator.integers(0, 4, (n_cells, 1))),
        "prior_covariates": torch.tensor(generator.integers(0, 2, (n_cells, 1))),
    }
    for index, name in enumerate(names):
        counts = generator.poisson(generator.gamma(1.0, 2.0, (n_cells, FEATURES[name]))).astype("f4")
        tensors[layer_key(name)] = torch.tensor(counts[present[:, index]])
        tensors[rows_key(name)] = torch.tensor(np.flatnonzero(present[:, index]))
    return tensors


def by_non_zeros(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same minibatch as a loader gives it where values are stored sparse."""
    stored = dict(tensors)
    for name in (key.removeprefix("X_") for key in tensors if key.startswith("X_")):
        values = tensors[layer_key(name)]
        row, column = values.nonzero(as_tuple=True)
        starts = torch.cat([torch.zeros(1), (values != 0).sum(dim=1)]).cumsum(0).long()
        stored |= {layer_key(name): values[row, column], columns_key(name): column, starts_key(name): starts}
    return stored


@contextmanager
def fixed_noise(value: float = 0.7) -> Iterator[None]:
    """All standard normal noise is one number, so that results do not depend on the order of draws."""

    def noise(shape: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.full(tuple(shape), value, dtype=dtype, device=device)

    with (
        mock.patch("torch.distributions.normal._standard_normal", noise),
        mock.patch("torch.distributions.multivariate_normal._standard_normal", noise),
        mock.patch("torch.randn_like", lambda x: torch.full_like(x, value)),
        mock.patch("torch.distributions.Normal.sample", lambda q, shape=None: q.loc + value * q.scale),
    ):
        yield
