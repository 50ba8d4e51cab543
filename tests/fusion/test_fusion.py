"""Properties that every fusion has."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

from mmvae.fusion import Attention, Experts, Fusion, Posteriors
from mmvae.priors import CoupledPrior, PriorContext

D = 3
NAMES = ("rna", "atac", "protein")


def experts_of(encoded: torch.Tensor, names=NAMES, seed: int = 0) -> Experts:
    """Posteriors that depend on the cell and the modality's name, not on their order."""
    posteriors = {}
    for index, name in enumerate(names):
        generator = torch.Generator().manual_seed(seed + sum(map(ord, name)))
        loc = torch.randn(len(encoded), D, generator=generator)
        scale = torch.rand(len(encoded), D, generator=generator) + 0.2
        rows = encoded[:, index]
        posteriors[name] = Normal(loc[rows].requires_grad_(), scale[rows])
    return Experts(posteriors, encoded)


def build(name: str, names=NAMES) -> Fusion:
    torch.manual_seed(0)
    return Fusion.build(name, n_latent=dict.fromkeys(names, D)).eval()


@pytest.fixture(params=sorted(Fusion.registry))
def name(request) -> str:
    return request.param


MIXED = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)


def test_every_cell_gets_a_finite_posterior(name):
    fusion = build(name)
    posterior = fusion.posterior(experts_of(MIXED))
    assert posterior.loc.shape == (len(MIXED), fusion.n_output)
    assert torch.isfinite(posterior.loc).all()
    assert (posterior.scale > 0).all()


def test_a_cell_does_not_depend_on_the_others(name):
    fusion = build(name)
    together = fusion.posterior(experts_of(MIXED)).loc
    experts = experts_of(MIXED)
    alone = []
    for i in range(len(MIXED)):
        mine = {}
        for index, (key, q) in enumerate(experts.posteriors.items()):
            rows = torch.arange(len(MIXED))[MIXED[:, index]] == i
            mine[key] = Normal(q.loc[rows], q.scale[rows])
        alone.append(fusion.posterior(Experts(mine, MIXED[i : i + 1])).loc)
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)


def test_one_modality_gives_back_that_expert():
    q = Normal(torch.randn(4, D), torch.rand(4, D) + 0.1)
    fusion = build("concat", ("rna",))
    posterior = fusion.posterior(Experts({"rna": q}, torch.ones(4, 1, dtype=torch.bool)))
    assert torch.equal(posterior.loc, q.loc)
    assert torch.allclose(posterior.scale, q.scale)


JOINT = ("poe", "moe", "mopoe")


@pytest.mark.parametrize("joint", JOINT)
def test_the_order_of_modalities_does_not_matter(joint):
    turned = tuple(reversed(NAMES))
    one = build(joint).posterior(experts_of(MIXED))
    other = build(joint, turned).posterior(experts_of(MIXED.flip(1), turned))
    assert torch.allclose(one.loc, other.loc, atol=1e-6)
    assert torch.allclose(one.scale, other.scale, atol=1e-6)


@pytest.mark.parametrize("joint", JOINT)
def test_nothing_gives_the_standard_normal(joint):
    posterior = build(joint).posterior(experts_of(torch.zeros(2, 3, dtype=torch.bool)))
    assert torch.equal(posterior.loc, torch.zeros(2, D))
    assert torch.equal(posterior.scale, torch.ones(2, D))


@pytest.mark.parametrize("joint", JOINT)
def test_one_modality_gives_its_product_with_the_standard_normal(joint):
    experts = experts_of(torch.tensor([[0, 1, 0]], dtype=torch.bool))
    q = experts.posteriors["atac"]
    precision = 1 + q.scale.square().reciprocal()
    posterior = build(joint).posterior(experts)
    assert torch.allclose(posterior.loc, q.loc / q.scale.square() / precision, atol=1e-6)
    assert torch.allclose(posterior.scale, precision.rsqrt(), atol=1e-6)


@pytest.mark.parametrize("joint", JOINT)
def test_absent_modalities_get_no_gradient(joint):
    experts = experts_of(MIXED)
    fusion = build(joint)
    posterior = fusion.posterior(experts)
    (priced,) = fusion.priced(experts, posterior, fusion.sample(experts, posterior))
    (priced.posterior.log_prob(priced.sample)[1] + posterior.loc[1].sum()).backward()
    for name in ("atac", "protein"):
        assert experts.posteriors[name].loc.grad is None or experts.posteriors[name].loc.grad.abs().sum() == 0


def test_a_mixture_is_that_of_its_subsets():
    experts = experts_of(torch.tensor([[1, 1, 0]], dtype=torch.bool))
    alone = [build("poe").single(name, experts) for name in ("rna", "atac")]
    both = build("poe").posterior(experts)
    for name, parts in (("moe", alone), ("mopoe", [*alone, both])):
        fusion = build(name)
        (priced,) = fusion.priced(experts, fusion.posterior(experts), torch.zeros(1, D))
        z = torch.full((1, D), 0.3)
        expected = torch.stack([q.log_prob(z).sum(-1) for q in parts]).logsumexp(0) - math.log(len(parts))
        assert torch.allclose(priced.posterior.log_prob(z), expected, atol=1e-5)


def test_many_modalities_are_mixed_over_a_draw_of_subsets_in_training():
    names = tuple("abcdef")
    fusion = build("mopoe", names)
    everything, _ = fusion.subsets(torch.ones(1, 6, dtype=torch.bool))
    assert everything.shape == (1, 64, 6)
    drawn, available = fusion.train().subsets(torch.ones(1, 6, dtype=torch.bool))
    assert available.sum() == 16
    assert drawn[0].sum(dim=1).max() == 6
    assert (drawn[0].sum(dim=1) == 1).sum() == 6


def test_product_is_the_closed_form():
    q1, q2 = Normal(torch.tensor([[1.0]]), torch.tensor([[0.5]])), Normal(torch.tensor([[3.0]]), torch.tensor([[1.0]]))
    fusion = Fusion.build("poe", n_latent={"a": 1, "b": 1})
    posterior = fusion.posterior(Experts({"a": q1, "b": q2}, torch.ones(1, 2, dtype=torch.bool)))
    assert posterior.loc.item() == pytest.approx((4 * 1 + 1 * 3) / (1 + 4 + 1))
    assert posterior.scale.item() == pytest.approx(6**-0.5)


def test_priced_latents_are_those_that_get_priors(name):
    fusion = build(name)
    experts = experts_of(MIXED)
    posterior = fusion.posterior(experts)
    priced = fusion.priced(experts, posterior, fusion.sample(experts, posterior))
    assert {p.name for p in priced} == set(fusion.latents)
    for latent in priced:
        shape = (int(latent.rows.sum()), fusion.latents[latent.name])
        assert latent.sample.shape == latent.posterior.mean.shape == shape
        assert latent.posterior.log_prob(latent.sample).shape == shape[:1]


def test_draws_have_the_mean_and_spread_of_the_posterior(name):
    fusion = build(name)
    n = 20_000
    encoded = torch.tensor([[1, 1, 0]], dtype=torch.bool).expand(n, 3)
    posteriors = {
        m: Normal(torch.full((n * int(encoded[0, i]), D), float(i)), 0.3 + 0.2 * i) for i, m in enumerate(NAMES)
    }
    experts = Experts(posteriors, encoded)
    with torch.no_grad():
        posterior = fusion.posterior(experts)
        draws = fusion.sample(experts, posterior)
    assert torch.allclose(draws.mean(dim=0), posterior.loc[0], atol=0.03)
    assert torch.allclose(draws.std(dim=0), posterior.scale[0], atol=0.03)


def test_a_modality_alone_has_its_place(name):
    fusion = build(name)
    latent, block = fusion.place("atac")
    single = fusion.single("atac", experts_of(MIXED))
    assert single.loc.shape == (len(MIXED), len(range(*block.indices(fusion.latents[latent]))))


def test_the_encoders_learn_from_the_fill_but_not_from_the_predictor_s_own_cost():
    fusion = build("concat")
    alone = experts_of(torch.tensor([[1, 0, 0]], dtype=torch.bool))
    fusion.posterior(alone).loc[:, D:].sum().backward()
    assert alone.posteriors["rna"].loc.grad.abs().sum() > 0
    complete = experts_of(torch.ones(8, 3, dtype=torch.bool))
    fusion.loss(complete).sum().backward()
    assert all(posterior.loc.grad is None for posterior in complete.posteriors.values())


def test_the_fill_depends_on_what_the_cell_has():
    fusion = build("concat")
    one = experts_of(torch.tensor([[1, 0, 0]], dtype=torch.bool), seed=0)
    other = experts_of(torch.tensor([[1, 0, 0]], dtype=torch.bool), seed=50)
    assert not torch.allclose(fusion.posterior(one).loc[:, D:], fusion.posterior(other).loc[:, D:])


def test_unlinked_modalities_are_reached_over_a_bridge():
    fusion = build("concat")
    shared = torch.tensor([[9, 9, 9], [9, 9, 0], [9, 0, 9]])
    fusion.link(shared)
    use = fusion.predictor.sources("protein", torch.tensor([[False, True, False]]))
    assert not use.any()
    posterior = fusion.posterior(experts_of(torch.tensor([[0, 1, 0]], dtype=torch.bool)))
    assert posterior.loc[:, 2 * D :].abs().sum() > 0


def test_predictor_learns_what_one_latent_says_of_another():
    torch.manual_seed(0)
    fusion = Fusion.build("concat", n_latent={"a": D, "b": D})
    optimizer = torch.optim.Adam(fusion.parameters(), 1e-2)
    for _ in range(300):
        z = torch.randn(128, D)
        q = {"a": Normal(z, torch.full_like(z, 0.1)), "b": Normal(-2 * z, torch.full_like(z, 0.1))}
        optimizer.zero_grad()
        fusion.loss(Experts(q, torch.ones(128, 2, dtype=torch.bool))).mean().backward()
        optimizer.step()
    z = torch.randn(50, D)
    only = Experts(
        {"a": Normal(z, torch.full_like(z, 0.1)), "b": Normal(z[:0], z[:0] + 1)},
        torch.tensor([[True, False]]).expand(50, 2),
    )
    assert torch.corrcoef(torch.stack([fusion.posterior(only).loc[:, D], -2 * z[:, 0]]))[0, 1] > 0.95


def attention(names=NAMES) -> Attention:
    """An attention fusion under way."""
    fusion = build("attention", names)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name in sorted(names):
            layer = fusion.refine[name]
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
    return fusion


def test_attention_starts_as_the_concatenation():
    fusion, experts = build("attention"), experts_of(MIXED)
    latent = fusion.posterior(experts).loc
    assert torch.equal(fusion.fuse(latent, experts), latent)
    assert not torch.allclose(attention().fuse(latent, experts), latent)


def test_attention_reads_what_a_cell_has_and_nothing_else():
    fusion, experts = attention(), experts_of(MIXED)
    latent = fusion.posterior(experts).loc.detach()
    weights = fusion.attention_weights(latent, experts)
    assert weights.shape == (len(MIXED), 3, 3)
    assert torch.allclose(weights.sum(dim=-1), torch.ones(len(MIXED), 3), atol=1e-6)
    assert (weights[~MIXED[:, None].expand_as(weights)] == 0).all()
    assert (weights[MIXED[:, None].expand_as(weights)] > 0).all()


def test_no_modality_reads_one_that_the_cell_lacks():
    fusion, experts = attention(), experts_of(MIXED)
    latent = fusion.posterior(experts).loc.detach().requires_grad_()
    index = 3  # this cell has no protein
    fusion.fuse(latent, experts)[index, : 2 * D].sum().backward()
    assert latent.grad[index, : 2 * D].abs().sum() > 0
    assert latent.grad[index, 2 * D :].abs().sum() == 0
    assert latent.grad[:index].abs().sum() == 0


def test_attention_of_a_cell_without_anything_is_finite():
    fusion, experts = attention(), experts_of(torch.zeros(2, 3, dtype=torch.bool))
    latent = fusion.posterior(experts).loc.detach().requires_grad_()
    fused = fusion.fuse(latent, experts)
    fused.sum().backward()
    assert torch.isfinite(fused).all()
    assert torch.isfinite(latent.grad).all()


def test_attention_gradients_are_finite_and_reach_every_part():
    fusion, experts = attention(), experts_of(MIXED)
    fusion.fuse(fusion.posterior(experts).loc, experts).square().sum().backward()
    own = [p for name, p in fusion.named_parameters() if not name.startswith("predictor")]
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in own)


def test_attention_takes_the_modalities_in_any_order():
    turned = tuple(reversed(NAMES))
    one, other = attention(), attention(turned)
    other.load_state_dict(one.state_dict())
    experts, mirrored = experts_of(MIXED), experts_of(MIXED.flip(1), turned)
    fused = one.fuse(one.posterior(experts).loc, experts)
    again = other.fuse(other.posterior(mirrored).loc, mirrored)
    assert torch.allclose(fused, torch.cat(again.split(D, dim=1)[::-1], dim=1), atol=1e-5)


def test_attention_heads_must_fit_the_width():
    with pytest.raises(ValueError, match="multiple of n_heads"):
        Fusion.build({"name": "attention", "width": 10, "n_heads": 4}, n_latent={"a": D})


@pytest.mark.parametrize("joint", JOINT)
def test_one_latent_needs_modalities_of_one_width(joint):
    with pytest.raises(ValueError, match="one n_latent"):
        Fusion.build(joint, n_latent={"a": 2, "b": 3})


@pytest.mark.parametrize("joint", JOINT)
def test_one_latent_cannot_be_coupled(joint):
    with pytest.raises(ValueError, match="coupled prior"):
        build(joint).couple(None)


@pytest.mark.parametrize("name", ["concat", "attention"])
def test_under_a_coupled_prior_incomplete_cells_leave_the_others_their_gradient(name):
    fusion, prior = build(name), CoupledPrior(3 * D)
    fusion.couple(prior)
    experts = experts_of(MIXED)
    posterior = fusion.posterior(experts)
    (priced,) = fusion.priced(experts, posterior, fusion.sample(experts, posterior))
    observed = Posteriors(experts.posteriors, experts.encoded).observed_dims
    prior.kl(priced.posterior, priced.sample, PriorContext(observed_dims=observed)).sum().backward()
    for q in experts.posteriors.values():
        assert (q.loc.grad.abs().sum(dim=1) > 0).all()
