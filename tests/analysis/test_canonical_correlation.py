"""What modalities agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from mmvae.analysis import SharedSubspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.random import Generator

SEEDS = range(5)


def patterns(cells: Mapping[str, int]) -> np.ndarray:
    """Presence of so many cells of each pattern, such as ``"110"``."""
    return np.repeat([[c == "1" for c in pattern] for pattern in cells], list(cells.values()), axis=0)


def factors(n_cells: int, correlations: Mapping[str, float], width: int, seed: int = 0) -> tuple[np.ndarray, dict]:
    """A factor that every modality sees in its first dimension, and latents; each two correlate by the product.

    ``correlations`` are those of each modality with the factor.
    """
    rng = np.random.default_rng(seed)
    factor, latents = rng.normal(size=n_cells), {}
    for name, r in correlations.items():
        z = rng.normal(size=(n_cells, width))
        z[:, 0] = r * factor + np.sqrt(1 - r**2) * z[:, 0]
        latents[name] = z @ np.linalg.qr(rng.normal(size=(width, width)))[0] * 2 + 1
    return factor, latents


def gaussian(rng: Generator, n_cells: int, width: int) -> np.ndarray:
    return rng.normal(size=(n_cells, width))


def heavy_tailed(rng: Generator, n_cells: int, width: int) -> np.ndarray:
    return rng.standard_t(2.5, size=(n_cells, width))


def clustered(rng: Generator, n_cells: int, width: int) -> np.ndarray:
    return 3 * rng.normal(size=(8, width))[rng.integers(8, size=n_cells)] + 0.2 * rng.normal(size=(n_cells, width))


INDEPENDENT = [
    ({"11": 30}, 2, gaussian),
    ({"11": 30}, 10, gaussian),
    ({"11": 100}, 20, gaussian),
    ({"11": 5_000}, 20, gaussian),
    ({"11": 100_000}, 2, gaussian),
    ({"111": 30}, 10, gaussian),
    ({"111": 400}, 10, gaussian),
    ({"1111": 1_000}, 20, gaussian),
    ({"11": 60}, 10, heavy_tailed),
    ({"111": 200}, 10, heavy_tailed),
    ({"11": 60}, 10, clustered),
    ({"111": 200}, 10, clustered),
    ({"110": 3_000, "101": 40, "001": 500}, 10, gaussian),
    ({"111": 30, "110": 500, "011": 80}, 10, gaussian),
]


@pytest.mark.parametrize(("cells", "width", "draw"), INDEPENDENT)
def test_independent_latents_share_nothing(cells: dict[str, int], width: int, draw: Callable):
    presence, found = patterns(cells), []
    for seed in SEEDS if len(presence) < 10_000 else SEEDS[:1]:
        rng = np.random.default_rng(seed)
        latents = {f"m{i}": draw(rng, len(presence), width) for i in range(presence.shape[1])}
        found.append(SharedSubspace.fit(latents, presence).n_shared)
    assert sum(found) <= 1, found


@pytest.mark.parametrize(
    ("n_modalities", "n_cells", "rho"),
    [(2, 60, 0.9), (2, 1_000, 0.4), (2, 10_000, 0.2), (3, 1_000, 0.3), (4, 500, 0.4)],
)
def test_a_shared_factor_is_found_with_its_eigenvalue(n_modalities, n_cells, rho):
    _, latents = factors(n_cells, dict.fromkeys("abcd"[:n_modalities], rho**0.5), width=10)
    shared = SharedSubspace.fit(latents, np.ones((n_cells, n_modalities), dtype=bool))
    assert shared.n_shared == shared.directions.shape[1] == 1
    assert shared.spectrum[0] > shared.threshold > shared.spectrum[1]
    # Its estimate is too high by what chance adds.
    expected, bias = 1 + (n_modalities - 1) * rho, 4 * 10 / n_cells**0.5 * (1 - rho) / n_modalities
    assert expected - 0.1 < shared.spectrum[0] < expected + 0.1 + bias


def test_none_shared_leaves_two_dimensions():
    rng = np.random.default_rng(0)
    latents, presence = {name: rng.normal(size=(300, 6)) for name in "ab"}, np.ones((300, 2), dtype=bool)
    shared = SharedSubspace.fit(latents, presence)
    assert shared.n_shared == 0
    assert shared.transform(latents, presence).shape == (300, 2)


def test_a_batch_effect_in_the_jointly_profiled_cells_is_no_agreement():
    rng = np.random.default_rng(0)
    presence = patterns({"11": 2_000, "10": 2_000, "01": 2_000})
    latents = {name: rng.normal(size=(6_000, 4)) for name in "ab"}
    for z in latents.values():
        z[:2_000, 0] += 2
    shared = SharedSubspace.fit(latents, presence)
    assert shared.n_shared == 0
    assert np.abs(shared.correlation[:4, 4:]).max() < 0.06


@pytest.mark.parametrize("known", [True, False])
def test_a_batch_effect_between_jointly_profiled_cells_is_no_agreement(known):
    rng = np.random.default_rng(0)
    batch = np.arange(3_000) % 3
    latents = {name: rng.normal(size=(3_000, 4)) + 1.5 * batch[:, None] for name in "ab"}
    shared = SharedSubspace.fit(latents, np.ones((3_000, 2), dtype=bool), batch if known else None)
    assert shared.n_shared == (0 if known else 1)


def test_cells_of_one_pattern_in_a_batch_of_their_own_tell_nothing():
    _, latents = factors(600, {"a": 0.9, "b": 0.9}, width=4)
    presence, batch = np.ones((600, 2), dtype=bool), np.r_[np.zeros(500, int), np.arange(1, 101)]
    shared = SharedSubspace.fit(latents, presence, batch)
    first = SharedSubspace.fit({n: z[:500] for n, z in latents.items()}, presence[:500])
    np.testing.assert_allclose(shared.spectrum, first.spectrum, atol=1e-6)


@pytest.mark.parametrize("rare", [25, 40, 100])
def test_a_pair_of_few_cells_does_not_hide_what_others_share(rare):
    presence = patterns({"110": 3_000, "101": rare, "001": 300})
    for seed in SEEDS:
        factor, latents = factors(len(presence), {"a": 0.7, "b": 0.7, "c": 0.0}, width=10, seed=seed)
        shared = SharedSubspace.fit(latents, presence)
        assert shared.n_shared == 1
        place = shared.transform(latents, presence)[:3_000, 0]
        assert abs(np.corrcoef(place, factor[:3_000])[0, 1]) > 0.75


def test_cells_are_placed_alike_whatever_they_have():
    presence = patterns({"110": 2_000, "011": 1_500, "100": 500, "001": 500})
    factor, latents = factors(len(presence), dict.fromkeys("abc", 0.9), width=5)
    shared = SharedSubspace.fit(latents, presence)
    assert shared.n_shared == 1
    place = shared.transform(latents, presence)[:, 0]
    for pattern in np.unique(presence, axis=0):
        cells = (presence == pattern).all(axis=1)
        slope, correlation = (
            np.polyfit(factor[cells], place[cells], 1)[0],
            np.corrcoef(factor[cells], place[cells])[0, 1],
        )
        assert abs(correlation) > 0.85
        # The less a cell has, the nearer to the middle it is expected, but no more than that.
        assert abs(slope) == pytest.approx(1.25, abs=0.25)


def test_a_dimension_counts_by_how_much_it_is_shared():
    """What two modalities agree on strongly is wider than what they hardly agree on."""
    n_cells = 20_000
    _, strong = factors(n_cells, {"a": 0.95, "b": 0.95}, width=2, seed=0)
    _, weak = factors(n_cells, {"a": 0.3, "b": 0.3}, width=2, seed=1)
    latents, presence = {n: np.c_[strong[n], weak[n]] for n in "ab"}, np.ones((n_cells, 2), dtype=bool)
    shared = SharedSubspace.fit(latents, presence)
    assert shared.n_shared == 2
    first, second = shared.transform(latents, presence).std(axis=0)
    assert first > 4 * second


def test_order_and_scale_of_modalities_do_not_matter():
    presence = patterns({"111": 200, "110": 300, "011": 200})
    _, latents = factors(len(presence), {"a": 0.9, "b": 0.8, "c": 0.7}, width=5)
    first = SharedSubspace.fit(latents, presence)
    turned = {n: 30 * latents[n] - 7 for n in "cab"}
    second = SharedSubspace.fit(turned, presence[:, [2, 0, 1]])
    np.testing.assert_allclose(second.spectrum, first.spectrum, atol=1e-5)
    one, other = first.transform(latents, presence), second.transform(turned, presence[:, [2, 0, 1]])
    np.testing.assert_allclose(np.abs(one), np.abs(other), atol=1e-3)


@pytest.mark.parametrize("width", [0.0, 1e-8, 1e-5])
def test_a_collapsed_modality_shares_nothing_and_blows_nothing_up(width):
    """A latent that hardly varies carries nothing, even if what little it varies by follows another modality."""
    rng = np.random.default_rng(0)
    a, presence = rng.normal(size=(500, 4)), np.ones((500, 2), dtype=bool)
    latents = {"a": a, "b": 3 + width * a}
    shared = SharedSubspace.fit(latents, presence)
    assert shared.n_shared == 0
    query = {"a": a, "b": latents["b"] + 0.01 * rng.normal(size=(500, 4))}
    for has in ([True, True], [False, True]):
        place = shared.transform(query, np.tile(has, (500, 1)))
        assert np.isfinite(place).all()
        assert np.abs(place).max() < 10


def test_a_collapsed_dimension_does_not_disturb_the_others():
    _, latents = factors(1_000, {"a": 0.9, "b": 0.9}, width=4)
    presence = np.ones((1_000, 2), dtype=bool)
    wider = latents | {"b": np.c_[latents["b"], np.full(1_000, 0.2), 1e-9 * latents["a"][:, 0]]}
    plain, shared = SharedSubspace.fit(latents, presence), SharedSubspace.fit(wider, presence)
    assert shared.n_shared == plain.n_shared == 1
    assert shared.spectrum[0] == pytest.approx(plain.spectrum[0], abs=1e-3)


def test_a_modality_without_cells_is_left_aside():
    presence = patterns({"110": 400})
    factor, latents = factors(400, dict.fromkeys("abc", 0.9), width=4)
    shared = SharedSubspace.fit(latents, presence)
    assert shared.n_shared == 1
    assert abs(np.corrcoef(shared.transform(latents, presence)[:, 0], factor)[0, 1]) > 0.9


def test_what_is_saved_is_all_there_is():
    _, latents = factors(500, {"a": 0.9, "b": 0.9}, width=4)
    presence = np.ones((500, 2), dtype=bool)
    shared = SharedSubspace.fit(latents, presence)
    again = SharedSubspace(**vars(shared))
    assert again.n_shared == shared.n_shared
    np.testing.assert_array_equal(again.transform(latents, presence), shared.transform(latents, presence))


def test_too_few_cells_are_refused():
    rng = np.random.default_rng(0)
    latents = {name: rng.normal(size=(40, 10)) for name in "ab"}
    with pytest.raises(ValueError, match="more than 20 cells with the same two modalities"):
        SharedSubspace.fit(latents, patterns({"11": 21, "10": 19}))
    with pytest.raises(ValueError, match="30 batches"):
        SharedSubspace.fit(latents, np.ones((40, 2), dtype=bool), np.arange(40) % 30)
    with pytest.raises(ValueError, match="two or more modalities"):
        SharedSubspace.fit({"a": latents["a"]}, np.ones((40, 1), dtype=bool))
