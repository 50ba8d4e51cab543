"""No prior makes a training step wait for the device, or gives it shapes that depend on values."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.distributions import Independent, Normal
from torch.utils._python_dispatch import TorchDispatchMode

from mmvae.fusion import Posteriors
from mmvae.graph import CellGraph
from mmvae.nn import Encoder
from mmvae.priors import Prior, PriorContext

C, D, H = 8, 3, 6
WAITING = (
    "_linalg_check_errors",
    "_local_scalar_dense",
    "_unique",
    "equal",
    "is_nonzero",
    "item",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique",
)
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index", "_unsafe_index_put")


class Waits(TorchDispatchMode):
    """Counts operations that wait for a GPU: those whose result a CPU reads, or whose shape depends on values."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        by_mask = name in INDEXING and any(i is not None and i.dtype == torch.bool for i in args[1])
        if name in WAITING and not (name == "repeat_interleave" and func._overloadname == "self_int") or by_mask:
            self.found[name] += 1
        return func(*args, **(kwargs or {}))


def posteriors() -> Posteriors:
    encoded = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1]] * 2, dtype=torch.bool)
    normals = {name: Normal(torch.randn(C, D).requires_grad_(), torch.ones(C, D)) for name in "ab"}
    return Posteriors(normals, encoded)


def context() -> PriorContext:
    encoder = Encoder(5, D, n_hidden=H, n_layers=2, dropout_rate=0.1)
    return PriorContext(
        encoder=encoder,
        labels=torch.arange(C) % 3 - 1,
        covariates=torch.arange(C)[:, None] % 3,
        cells=torch.arange(C),
        posteriors=posteriors(),
        mask=torch.arange(C) % 2 > 0,
    )


def build(name: str, *, ready: bool) -> Prior:
    torch.manual_seed(0)
    n_latent = 2 * D if Prior.named(name).is_joint else D
    prior = Prior.build(name, n_latent=n_latent, n_hidden=H, n_labels=2, n_categories=[3]).train()
    graph = CellGraph(sp.csr_matrix(np.eye(C, k=1) + np.eye(C, k=-1)), np.ones(C, dtype=bool))
    graph.fill(torch.zeros(C, n_latent), torch.ones(C, n_latent))
    prior.set_graph(graph)
    if ready and not prior.is_initialised:
        prior.mark_initialised()
    return prior


def test_the_counter_counts():
    values = torch.arange(3.0)
    with Waits() as waits:
        float(values.sum())
        values[values > 1]
        values[values > 1] = 0
        values.repeat_interleave(torch.tensor([1, 2, 0]))
        values[torch.tensor([0, 1])]
        torch.linalg.cholesky(torch.eye(2))
    assert waits.found.total() >= 5
    assert {"index", "repeat_interleave", "_local_scalar_dense", "_linalg_check_errors"} <= set(waits.found)


@pytest.mark.parametrize("ready", [True, False])
@pytest.mark.parametrize("name", sorted(Prior.registry))
def test_nothing_waits_in_a_step(name, ready):
    prior, given = build(name, ready=ready), context()
    if prior.is_joint:  # which patterns there are is found once for a minibatch, not here
        given = replace(given, observed_dims=given.posteriors.observed_dims)
    loc, scale = torch.randn(C, prior.n_latent).requires_grad_(), torch.ones(C, prior.n_latent)
    q = Independent(Normal(loc, scale, validate_args=False), 1, validate_args=False)
    with Waits() as waits:
        sample = q.rsample()
        cost = prior.kl(q, sample, given).mean() + prior.regularizer()
        if (own := prior.loss(sample.detach(), given)) is not None:
            cost = cost + own.mean()
        if prior.is_joint:
            cost = cost + prior.sample_missing(sample, given.observed_dims).mean()
            prior.impute_missing(sample, given.observed_dims)
        cost.backward()
    assert not waits.found


@pytest.mark.parametrize("name", sorted(Prior.registry))
def test_the_encoder_stays_in_its_mode(name):
    prior, given = build(name, ready=True), context()
    given.encoder.first.eval()
    modes = [module.training for module in given.encoder.modules()]
    prior(given)
    assert [module.training for module in given.encoder.modules()] == modes
