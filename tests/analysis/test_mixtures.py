"""Responsibilities and summaries of mixtures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, MultivariateNormal, Normal

from mmvae.analysis import batch_evenness, effective_number, responsibilities


def mixture(n_components=3, width=2):
    loc = torch.arange(n_components * width, dtype=torch.float).reshape(n_components, width)
    return MixtureSameFamily(
        Categorical(torch.tensor([0.5, 0.3, 0.2])[:n_components]), Independent(Normal(loc, torch.ones_like(loc)), 1)
    )


def test_responsibilities_are_bayes_rule():
    p = mixture()
    z = torch.tensor([[0.3, 1.2], [4.0, 5.0]])
    expected = torch.stack(
        [p.mixture_distribution.probs[k] * p.component_distribution.log_prob(z[:, None])[:, k].exp() for k in range(3)],
        dim=1,
    )
    torch.testing.assert_close(responsibilities(p, z[None]), expected / expected.sum(dim=1, keepdim=True))


def test_unknown_dimensions_are_integrated_out():
    covariance = torch.tensor([[1.0, 0.8], [0.8, 1.0]]).expand(2, 2, 2)
    components = MultivariateNormal(torch.tensor([[0.0, 0.0], [1.0, 5.0]]), covariance)
    p = MixtureSameFamily(Categorical(torch.tensor([0.4, 0.6])), components)
    z = torch.tensor([[0.2, 77.0], [0.2, 0.1], [1.0, 1.0]])
    known = torch.tensor([[True, False], [True, True], [False, False]])
    found = responsibilities(p, z[None], known)
    first = Normal(components.loc[:, 0], 1.0).log_prob(torch.tensor(0.2)).exp() * torch.tensor([0.4, 0.6])
    torch.testing.assert_close(found[0], first / first.sum())
    torch.testing.assert_close(found[1:2], responsibilities(p, z[None, 1:2]))
    torch.testing.assert_close(found[2], torch.tensor([0.4, 0.6]))


def test_effective_number_counts_even_weights():
    assert effective_number(np.array([0.25] * 4)) == pytest.approx(4)
    assert effective_number(np.array([1.0, 0.0])) == pytest.approx(1)


def test_a_component_that_is_a_batch_has_no_evenness():
    batch = np.repeat(["a", "b"], [30, 10])
    even, only_b = np.full(40, 0.5), np.where(batch == "b", 0.5, 0.0)
    found = batch_evenness(np.stack([even, only_b, np.zeros(40)], axis=1), batch)
    assert found[:2] == pytest.approx([1.0, 0.0])
    assert np.isnan(found[2])
    assert np.isnan(batch_evenness(even[:, None], np.full(40, "a"))).all()
