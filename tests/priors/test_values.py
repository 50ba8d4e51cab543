"""Values of every prior at fixed parameters and cells, as they were computed once."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.distributions import Independent, Normal

from mmvae.fusion import ObservedDims, Posteriors
from mmvae.graph import CellGraph
from mmvae.nn import Encoder
from mmvae.priors import Prior, PriorContext

C, D, H = 6, 4, 8
KINDS = {
    "coupled_gaussian": "coupled",
    "coupled_mog": {"name": "coupled", "kind": "mog", "n_components": 3},
    "coupled_mog_full": {"name": "coupled", "kind": "mog_full", "n_components": 3},
    "labels": {"name": "labels", "n_components": 2},
}
ENCODED = torch.tensor([[1, 1], [1, 0], [0, 1], [1, 1], [1, 0], [0, 1]], dtype=torch.bool)
WANTED = {
    "mog": {
        "kl": [4.37572003, 4.89859081, 2.66070004, 4.21107342, 5.76123806, 3.52640083],
        "regularizer": 7.497720317e-05,
    },
    "normal": {
        "kl": [3.24595455, 4.09166257, 2.82984198, 3.22989227, 4.65897553, 3.35239448],
        "log_ratio": [4.15159845, 4.94646883, 2.95212839, 4.26536656, 5.35958801, 3.16596208],
        "regularizer": 0.000000000e00,
    },
    "gaussian": {
        "kl": [2.96856429, 4.60444200, 3.66472205, 4.13344079, 5.52510043, 4.45878526],
        "log_ratio": [4.28266635, 5.33904124, 3.81016765, 5.58841640, 6.41235934, 4.41487945],
        "regularizer": 0.000000000e00,
    },
    "conditional": {
        "kl": [4.62514584, 4.17109400, 2.69687266, 4.95261244, 5.17060714, 6.75664453],
        "log_ratio": [5.72742351, 4.64856920, 2.95939002, 6.81105594, 5.57164817, 6.16556146],
        "regularizer": 1.064872886e-03,
    },
    "vamp": {
        "kl": [4.38158732, 5.91099045, 3.86162639, 4.56619571, 5.45539234, 3.30278186],
        "regularizer": 0.000000000e00,
    },
    "flow": {
        "kl": [3.64831264, 7.51300533, 7.26218136, 13.41734280, 17.16986460, 12.36787020],
        "regularizer": 7.019415416e-04,
    },
    "labels": {
        "kl": [4.10613974, 4.10142268, 2.37095394, 3.72080321, 5.95223262, 4.45823593],
        "regularizer": 3.462374752e-04,
        "loss": [7.64731078, 3.55523981, 0.00000000, 2.41513302, 0.00000000, 7.14844949],
    },
    "mmvm": {
        "kl": [5.66489569, 2.34431291, 10.66137883, 18.72559771, 3.25755625, 6.19700435],
        "log_ratio": [1.87165850, 1.83681814, 3.64526683, 5.26017752, 3.63518626, 3.76433279],
        "regularizer": 0.000000000e00,
    },
    "gmrf": {
        "kl": [11.49955750, 9.67981720, 3.97267532, 6.37517357, 9.08237553, 7.44552803],
        "log_ratio": [9.07264328, 9.10837936, 3.03518844, 8.91080666, 9.62787247, 6.82391930],
        "regularizer": 6.005007308e-04,
    },
    "coupled_gaussian": {
        "kl": [3.10280288, 4.86237544, 5.17030197, 8.07785852, 8.05927499, 3.77012755],
        "regularizer": 3.922142410e-04,
        "incomplete": [3.10280288, 0.81251090, 4.75425911, 8.07785852, 1.67752689, 2.82867160],
        "loc": [1.78159487, 0.21014930, -0.49835252, -0.87260867],
        "scale": [0.00010000, 1.18647635, 0.71471768, 1.01152670],
        "loc2": [0.64071608, -0.26145660, -1.37058372, 0.86405387],
        "scale2": [1.22577588, 0.00010000, 0.00010000, 0.00010000],
    },
    "coupled_mog": {
        "kl": [3.98342538, 4.72093602, 2.89102618, 4.70494834, 6.09656722, 4.49088422],
        "regularizer": 4.015835851e-04,
        "incomplete": [3.98342538, 0.68608362, 2.16254268, 4.70494834, 1.64371823, 3.45689377],
        "loc": [1.78159487, 0.30598642, -0.23449589, -0.24555941],
        "scale": [0.00010000, 1.03092167, 0.70863752, 1.13238188],
        "loc2": [0.22405777, -0.26145660, -1.37058372, 0.86405387],
        "scale2": [1.44770156, 0.00010000, 0.00010000, 0.00010000],
    },
    "coupled_mog_full": {
        "kl": [3.54609823, 5.10587760, 3.08486266, 5.23194381, 7.03477574, 4.08340701],
        "regularizer": 3.816170589e-04,
        "incomplete": [3.54609823, 0.68608362, 2.14555228, 5.23194381, 1.64371823, 3.20272740],
        "loc": [1.78159487, 0.26160965, -0.31493700, -0.34105322],
        "scale": [0.00010000, 1.04491810, 0.77682006, 1.28401197],
        "loc2": [0.07905809, -0.26145660, -1.37058372, 0.86405387],
        "scale2": [1.35817309, 0.00010000, 0.00010000, 0.00010000],
    },
}


def wave(*shape: int, shift: float = 0.0, amplitude: float = 1.0) -> torch.Tensor:
    """Numbers that no generator makes, in double precision."""
    count = int(np.prod(shape))
    return amplitude * torch.sin(torch.arange(count, dtype=torch.float64) * 1.7 + shift).reshape(shape)


@torch.no_grad()
def with_waves(module: torch.nn.Module) -> torch.nn.Module:
    for index, parameter in enumerate(module.double().parameters()):
        parameter.copy_(wave(*parameter.shape, shift=index, amplitude=0.4))
    return module


def grid() -> CellGraph:
    row, column = (sp.diags([1.0, 1.0], [1, -1], shape=(n, n)) for n in (2, 3))
    graph = CellGraph(sp.csr_matrix(sp.kron(row, sp.eye(3)) + sp.kron(sp.eye(2), column)), np.ones(C, dtype=bool))
    graph.fill(wave(C, D, shift=1.0).float(), 0.5 + wave(C, D, shift=2.0).square().float())
    return graph


def posteriors() -> Posteriors:
    """Of two modalities, N(0, I) where a cell lacks one."""
    normals = {}
    for has, name, shift in zip(ENCODED.T, "ab", ((0.0, 1.0), (3.0, 2.0)), strict=True):
        loc, scale = torch.zeros(C, D, dtype=torch.float64), torch.ones(C, D, dtype=torch.float64)
        loc[has], scale[has] = wave(4, D, shift=shift[0]), 0.3 + wave(4, D, shift=shift[1]).square()
        normals[name] = Normal(loc, scale)
    return Posteriors(normals, ENCODED)


def observed() -> ObservedDims:
    sets, widths = torch.tensor([(True, True), (True, False), (False, True)]), torch.tensor([1, 3])
    dims, patterns = (marks.repeat_interleave(widths, dim=1) for marks in (ENCODED, sets))
    return ObservedDims(dims, patterns, torch.tensor([0, 1, 2, 0, 1, 2]))


def found(key: str) -> dict[str, object]:
    prior = with_waves(Prior.build(KINDS.get(key, key), n_latent=D, n_hidden=H, n_labels=2, n_categories=[3, 2]))
    encoder = with_waves(Encoder(5, D, n_hidden=H, n_layers=2, dropout_rate=0.1)).train()
    if not prior.is_initialised:
        prior.mark_initialised()
    loc, scale = wave(C, D, shift=0.3, amplitude=1.5), 0.2 + wave(C, D, shift=0.9).square()
    sample = loc + scale * wave(C, D, shift=2.0)
    if prior.needs_graph:  # whose memory is in single precision
        prior.float().set_graph(grid())
        loc, scale, sample = loc.float(), scale.float(), sample.float()
    context = PriorContext(
        encoder=encoder,
        labels=torch.tensor([0, 1, -1, 1, -1, 0]),
        covariates=torch.tensor([[0, 1], [1, 1], [2, 0], [0, 0], [2, 1], [1, 0]]),
        cells=torch.tensor([4, 1, 0, 3, 5, 2]),
        posteriors=posteriors() if prior.needs_posteriors else None,
    )
    q = Independent(Normal(loc, scale), 1)
    values = {"kl": prior.kl(q, sample, context), "log_ratio": prior.log_ratio(q, sample, context)}
    values |= {"regularizer": prior.regularizer(), "loss": prior.loss(sample, context)}
    if prior.is_joint:
        imputed = prior.impute_missing(sample, observed())
        values["incomplete"] = prior.kl(q, sample, PriorContext(observed_dims=observed()))
        values |= {"loc": imputed.loc[1], "scale": imputed.scale[1], "loc2": imputed.loc[2], "scale2": imputed.scale[2]}
    return {name: value.detach().numpy() for name, value in values.items() if value is not None}


def test_every_prior_has_values():
    assert {key.split("_")[0] for key in WANTED} == set(Prior.registry)


@pytest.mark.parametrize("key", WANTED)
def test_values_are_what_they_were(key):
    got = found(key)
    wanted = {"log_ratio": WANTED[key]["kl"]} | WANTED[key]
    assert set(got) == set(wanted)
    tolerance = 3e-6 if key == "gmrf" else 1e-7
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=tolerance, atol=1e-8, err_msg=name)
