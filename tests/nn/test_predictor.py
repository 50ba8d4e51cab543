"""Predictions of latents are as sure as they should be, from one source and from several."""

from __future__ import annotations

from copy import deepcopy
from itertools import combinations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from mmvae.fusion import Concatenation, Posteriors
from mmvae.nn import Predictor, calibrate

# Not by the alphabet, by which torch orders dictionaries of parameters.
NAMES, D, SPREAD = ("rna", "atac", "protein"), 4, 0.1
EVERY = torch.ones(1, 3, dtype=torch.bool)
# Residuals that count as right; 1 is.
LEAST, MOST = 0.8, 1.25


def latents(n_cells: int, seed: int) -> Normal:
    """Posteriors of cells: RNA and ATAC know the same of protein, and err alike; each modality has its own scale."""
    shared, noise, *own = torch.randn(5, n_cells, D, generator=torch.Generator().manual_seed(seed))
    loc = torch.cat([shared + 0.7 * noise + 0.2 * own[0], 2 * (shared + 0.7 * noise + 0.2 * own[1]), 3 * shared], dim=1)
    return Normal(loc, torch.full_like(loc, SPREAD))


FRESH = latents(2_000, seed=1)


def posteriors_of(truth: Normal, encoded: torch.Tensor) -> Posteriors:
    parts = zip(truth.loc.split(D, dim=1), truth.scale.split(D, dim=1), strict=True)
    normals = {name: Normal(loc, scale) for name, (loc, scale) in zip(NAMES, parts, strict=True)}
    return Posteriors.masked(normals, encoded.expand(len(truth.loc), -1))


def trained(truth: Normal, encoded: torch.Tensor = EVERY, n_steps: int = 300) -> Predictor:
    torch.manual_seed(0)
    fusion = Concatenation(dict.fromkeys(NAMES, D))
    posteriors = posteriors_of(truth, encoded)
    fusion.set_pair_counts(posteriors.encoded.float().T @ posteriors.encoded.float())
    optimizer = torch.optim.Adam(fusion.parameters(), 1e-2)
    for _ in range(n_steps):
        optimizer.zero_grad()
        fusion.imputation_loss(posteriors).mean().backward()
        optimizer.step()
    return fusion.predictor


@torch.no_grad()
def seen(predictor: Predictor, truth: Normal, sources: tuple[int, ...], target: int) -> tuple[float, float]:
    """Of a modality from draws of others: mean squared standardised residual of its draws, and KL of it in nats."""
    torch.manual_seed(0)
    available = torch.zeros(len(truth.loc), 3, dtype=torch.bool)
    available[:, list(sources)] = True
    guesses = [predictor(truth.sample(), available) for _ in range(16)]
    loc, variance = (torch.stack([getattr(guess, part) for guess in guesses]) for part in ("loc", "variance"))
    guess = Normal(loc.mean(dim=0), (variance.mean(dim=0) + loc.var(dim=0)).sqrt())
    residual, dims = (
        ((truth.loc - guess.loc).square() + truth.variance) / guess.variance,
        predictor.modality_of_dim == target,
    )
    return float(residual[:, dims].mean()), float(kl_divergence(truth, guess)[:, dims].sum(dim=1).mean())


def all_seen(predictor: Predictor, truth: Normal) -> dict[int, list[tuple[float, float]]]:
    """:func:`seen` of every target, by the number of sources."""
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for target in range(3):
        others = [source for source in range(3) if source != target]
        for size, into in found.items():
            into += [seen(predictor, truth, sources, target) for sources in combinations(others, size)]
    return found


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    predictor = trained(latents(800, seed=0))
    calibrate(predictor, latents(400, seed=2), EVERY.expand(400, -1))
    return predictor


def test_two_sources_that_tell_the_same_are_not_counted_twice(predictor):
    found = all_seen(predictor, FRESH)
    assert all(LEAST < residual < MOST for of_size in found.values() for residual, _ in of_size), found


def test_two_sources_predict_no_worse_than_one(predictor):
    found = all_seen(predictor, FRESH)
    alone = torch.tensor([nats for _, nats in found[1]]).view(3, 2).amin(dim=1)
    together = torch.tensor([nats for _, nats in found[2]])
    assert (together < alone).all(), found


def test_what_a_few_cells_taught_too_well_is_taken_back():
    predictor = trained(latents(100, seed=0))
    before = all_seen(predictor, FRESH)
    assert min(residual for residual, _ in before[1]) > MOST, before
    calibrate(predictor, latents(600, seed=2), EVERY.expand(600, -1))
    after = all_seen(predictor, FRESH)
    assert all(LEAST < residual < MOST for of_size in after.values() for residual, _ in of_size), after
    for size, of_size in before.items():
        assert all(now[1] < then[1] for now, then in zip(after[size], of_size, strict=True))


def test_sources_that_were_never_seen_together_are_not_too_sure():
    pairs = torch.tensor([[1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=torch.bool)
    predictor = trained(latents(900, seed=0), pairs.repeat(300, 1))
    calibrate(predictor, latents(900, seed=2), pairs.repeat(300, 1))
    found = all_seen(predictor, FRESH)
    assert all(LEAST < residual < MOST for residual, _ in found[1]), found
    assert all(residual < MOST for residual, _ in found[2]), found


def test_a_few_cells_do_not_mislead(predictor):
    """Predictions that were right by chance in three cells are believed more than before, but little more."""
    predictor, few, only = (
        deepcopy(predictor),
        latents(3, seed=1).loc,
        torch.tensor([[True, False, False]]).expand(3, -1),
    )
    with torch.no_grad():
        before = predictor(few, only)
        right = torch.where(predictor.modality_of_dim == 0, few, before.loc)
        calibrate(predictor, Normal(right, torch.full_like(right, 1e-3)), EVERY.expand(3, -1))
        ratio = (predictor(few, only).variance / before.variance)[:, D:]
    assert (ratio < 1).all()
    assert (ratio > 0.8).all()


def test_without_cells_of_several_modalities_nothing_changes():
    predictor = Predictor(dict.fromkeys(NAMES, D))
    before = {name: value.clone() for name, value in predictor.state_dict().items()}
    calibrate(predictor, latents(3, seed=0), torch.eye(3, dtype=torch.bool))
    assert all(torch.equal(value, before[name]) for name, value in predictor.state_dict().items())


def test_what_was_saved_without_powers_is_a_plain_product():
    saved, loaded = Predictor(dict.fromkeys(NAMES, D)), Predictor(dict.fromkeys(NAMES, D))
    state = saved.state_dict()
    del state["log_power"]
    loaded.load_state_dict(state)
    latent = torch.randn(5, 3 * D)
    alone = [loaded(latent, torch.eye(3, dtype=torch.bool)[[source]].expand(5, -1)) for source in (0, 1)]
    both = loaded(latent, torch.tensor([[True, True, False]]).expand(5, -1))
    precision = sum(guess.variance.reciprocal() for guess in alone)[:, 2 * D :]
    torch.testing.assert_close(both.variance[:, 2 * D :].reciprocal(), precision)
