"""Properties that every fusion has."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Normal

import mmvae.fusion as fusion_package
from mmvae.fusion import Attention, Fusion, Posteriors, PriorTerm
from mmvae.priors import CoupledPrior, PriorContext

D = 3
NAMES = ("rna", "atac", "protein")


def posteriors_of(encoded: torch.Tensor, names=NAMES, seed: int = 0) -> Posteriors:
    """Posteriors that depend on the cell and the modality's name, not on their order; their means take gradients."""
    normals = {}
    for name in names:
        generator = torch.Generator().manual_seed(seed + sum(map(ord, name)))
        loc = torch.randn(len(encoded), D, generator=generator)
        scale = torch.rand(len(encoded), D, generator=generator) + 0.2
        normals[name] = Normal(loc.requires_grad_(), scale)
    LEAVES.clear()
    LEAVES.update({name: q.loc for name, q in normals.items()})
    return Posteriors.masked(normals, encoded)


# The means that the last posteriors were made of.
LEAVES: dict[str, torch.Tensor] = {}


def build(name: str, names=NAMES) -> Fusion:
    torch.manual_seed(0)
    return Fusion.build(name, n_latent=dict.fromkeys(names, D)).eval()


@pytest.fixture(params=sorted(Fusion.registry))
def name(request) -> str:
    return request.param


MIXED = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 1], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)


def test_every_cell_gets_a_finite_posterior(name):
    fusion = build(name)
    posterior = fusion.posterior(posteriors_of(MIXED))
    assert posterior.loc.shape == (len(MIXED), fusion.n_output)
    assert torch.isfinite(posterior.loc).all()
    assert (posterior.scale > 0).all()


def test_a_cell_does_not_depend_on_the_others(name):
    fusion, posteriors = build(name), posteriors_of(MIXED)
    together = fusion.posterior(posteriors).loc
    alone = []
    for i in range(len(MIXED)):
        mine = {key: Normal(q.loc[i : i + 1], q.scale[i : i + 1]) for key, q in posteriors.normals.items()}
        alone.append(fusion.posterior(Posteriors(mine, MIXED[i : i + 1])).loc)
    assert torch.allclose(together, torch.cat(alone), atol=1e-6)


def test_one_modality_gives_back_that_posterior():
    q = Normal(torch.randn(4, D), torch.rand(4, D) + 0.1)
    fusion = build("concat", ("rna",))
    posterior = fusion.posterior(Posteriors({"rna": q}, torch.ones(4, 1, dtype=torch.bool)))
    assert torch.equal(posterior.loc, q.loc)
    assert torch.allclose(posterior.scale, q.scale)


JOINT = ("poe", "moe", "mopoe")


@pytest.mark.parametrize("joint", JOINT)
def test_the_order_of_modalities_does_not_matter(joint):
    turned = tuple(reversed(NAMES))
    one = build(joint).posterior(posteriors_of(MIXED))
    other = build(joint, turned).posterior(posteriors_of(MIXED.flip(1), turned))
    assert torch.allclose(one.loc, other.loc, atol=1e-6)
    assert torch.allclose(one.scale, other.scale, atol=1e-6)


@pytest.mark.parametrize("joint", JOINT)
def test_nothing_gives_the_standard_normal(joint):
    posterior = build(joint).posterior(posteriors_of(torch.zeros(2, 3, dtype=torch.bool)))
    assert torch.equal(posterior.loc, torch.zeros(2, D))
    assert torch.equal(posterior.scale, torch.ones(2, D))


@pytest.mark.parametrize("joint", JOINT)
def test_one_modality_gives_its_product_with_the_standard_normal(joint):
    posteriors = posteriors_of(torch.tensor([[0, 1, 0]], dtype=torch.bool))
    q = posteriors.normals["atac"]
    precision = 1 + q.scale.square().reciprocal()
    posterior = build(joint).posterior(posteriors)
    assert torch.allclose(posterior.loc, q.loc / q.scale.square() / precision, atol=1e-6)
    assert torch.allclose(posterior.scale, precision.rsqrt(), atol=1e-6)


@pytest.mark.parametrize("joint", JOINT)
def test_absent_modalities_get_no_gradient(joint):
    posteriors = posteriors_of(MIXED)
    fusion = build(joint)
    (term,) = fusion.draw(posteriors).prior_terms
    (term.posterior.log_prob(term.sample)[1] + fusion.posterior(posteriors).loc[1].sum()).backward()
    for name in ("atac", "protein"):
        assert LEAVES[name].grad is None or LEAVES[name].grad.abs().sum() == 0


def test_a_mixture_is_that_of_its_subsets():
    posteriors = posteriors_of(torch.tensor([[1, 1, 0]], dtype=torch.bool))
    alone = [build("poe").unimodal_posterior(name, posteriors) for name in ("rna", "atac")]
    both = build("poe").posterior(posteriors)
    for name, parts in (("moe", alone), ("mopoe", [*alone, both])):
        (term,) = build(name).draw(posteriors).prior_terms
        z = torch.full((1, D), 0.3)
        expected = torch.stack([q.log_prob(z).sum(-1) for q in parts]).logsumexp(0) - math.log(len(parts))
        assert torch.allclose(term.posterior.log_prob(z), expected, atol=1e-5)


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
    posterior = fusion.posterior(Posteriors({"a": q1, "b": q2}, torch.ones(1, 2, dtype=torch.bool)))
    assert posterior.loc.item() == pytest.approx((4 * 1 + 1 * 3) / (1 + 4 + 1))
    assert posterior.scale.item() == pytest.approx(6**-0.5)


def test_prior_terms_are_of_the_latents_that_get_priors(name):
    fusion, posteriors = build(name), posteriors_of(MIXED)
    terms = fusion.draw(posteriors).prior_terms
    assert {term.name for term in terms} == set(fusion.latents)
    for term in terms:
        shape = (len(MIXED), fusion.latents[term.name])
        assert term.sample.shape == term.posterior.mean.shape == shape
        assert term.posterior.log_prob(term.sample).shape == term.mask.shape == shape[:1]


def test_what_a_term_does_not_count_is_finite_all_the_same(name):
    fusion = build(name)
    for encoded in (MIXED, torch.zeros(3, 3, dtype=torch.bool)):
        for term in fusion.draw(posteriors_of(encoded)).prior_terms:
            assert torch.isfinite(term.posterior.log_prob(term.sample)).all()


def test_draws_have_the_mean_and_spread_of_the_posterior(name):
    fusion = build(name)
    n = 20_000
    encoded = torch.tensor([[1, 1, 0]], dtype=torch.bool).expand(n, 3)
    normals = {m: Normal(torch.full((n, D), float(i)), 0.3 + 0.2 * i) for i, m in enumerate(NAMES)}
    normals = {m: Normal(q.loc, q.scale.expand(n, D)) for m, q in normals.items()}
    posteriors = Posteriors.masked(normals, encoded)
    with torch.no_grad():
        posterior = fusion.posterior(posteriors)
        draws = fusion.draw(posteriors).latent
    # The latent of the modality that is missing is imputed from draws, and so spreads further.
    same = slice(None) if fusion.n_output == D else slice(0, 2 * D)
    assert torch.allclose(draws.mean(dim=0)[same], posterior.loc[0][same], atol=0.03)
    assert torch.allclose(draws.std(dim=0)[same], posterior.scale[0][same], atol=0.03)


def test_a_modality_alone_has_its_place(name):
    fusion = build(name)
    latent, block = fusion.latent_of("atac")
    alone = fusion.unimodal_posterior("atac", posteriors_of(MIXED))
    assert alone.loc.shape == (len(MIXED), len(range(*block.indices(fusion.latents[latent]))))


def test_the_encoders_learn_from_the_imputation_but_not_from_the_predictor_s_own_cost():
    fusion = build("concat")
    fusion.posterior(posteriors_of(torch.tensor([[1, 0, 0]], dtype=torch.bool))).loc[:, D:].sum().backward()
    assert LEAVES["rna"].grad.abs().sum() > 0
    complete = posteriors_of(torch.ones(8, 3, dtype=torch.bool))
    fusion.imputation_loss(complete).sum().backward()
    assert all(leaf.grad is None for leaf in LEAVES.values())


def test_the_predictor_learns_from_latents_and_not_from_what_is_made_of_its_imputation():
    fusion = build("concat")
    fusion.draw(posteriors_of(MIXED)).latent.square().sum().backward()
    assert all(weight.grad is None for weight in fusion.parameters())
    fusion.imputation_loss(posteriors_of(torch.ones(8, 3, dtype=torch.bool))).sum().backward()
    assert all(weight.grad is not None for weight in fusion.parameters())


def test_the_imputation_depends_on_what_the_cell_has():
    fusion = build("concat")
    one = posteriors_of(torch.tensor([[1, 0, 0]], dtype=torch.bool), seed=0)
    other = posteriors_of(torch.tensor([[1, 0, 0]], dtype=torch.bool), seed=50)
    assert not torch.allclose(fusion.posterior(one).loc[:, D:], fusion.posterior(other).loc[:, D:])


def test_unlinked_modalities_are_reached_over_a_bridge():
    fusion = build("concat")
    shared = torch.tensor([[9, 9, 9], [9, 9, 0], [9, 0, 9]])
    fusion.set_pair_counts(shared)
    assert not fusion.predictor.is_informed(torch.tensor([[False, True, False]]))[0, 2]
    assert fusion.predictor.n_rounds == 2
    posterior = fusion.posterior(posteriors_of(torch.tensor([[0, 1, 0]], dtype=torch.bool)))
    assert posterior.loc[:, 2 * D :].abs().sum() > 0


def test_predictor_learns_what_one_latent_says_of_another():
    torch.manual_seed(0)
    fusion = Fusion.build("concat", n_latent={"a": D, "b": D})
    optimizer = torch.optim.Adam(fusion.parameters(), 1e-2)
    for _ in range(300):
        z = torch.randn(128, D)
        q = {"a": Normal(z, torch.full_like(z, 0.1)), "b": Normal(-2 * z, torch.full_like(z, 0.1))}
        optimizer.zero_grad()
        fusion.imputation_loss(Posteriors(q, torch.ones(128, 2, dtype=torch.bool))).mean().backward()
        optimizer.step()
    z = torch.randn(50, D)
    q = Normal(z, torch.full_like(z, 0.1))
    only = Posteriors.masked({"a": q, "b": q}, torch.tensor([[True, False]]).expand(50, 2))
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
    fusion, posteriors = build("attention"), posteriors_of(MIXED)
    latent = fusion.posterior(posteriors).loc
    assert torch.equal(fusion.fuse(latent, posteriors), latent)
    assert not torch.allclose(attention().fuse(latent, posteriors), latent)


def test_no_modality_reads_one_that_the_cell_lacks():
    fusion, posteriors = attention(), posteriors_of(MIXED)
    latent = fusion.posterior(posteriors).loc.detach().requires_grad_()
    index = 3  # this cell has no protein
    fusion.fuse(latent, posteriors)[index, : 2 * D].sum().backward()
    assert latent.grad[index, : 2 * D].abs().sum() > 0
    assert latent.grad[index, 2 * D :].abs().sum() == 0
    assert latent.grad[:index].abs().sum() == 0


def test_attention_of_a_cell_without_anything_is_finite():
    fusion, posteriors = attention(), posteriors_of(torch.zeros(2, 3, dtype=torch.bool))
    latent = fusion.posterior(posteriors).loc.detach().requires_grad_()
    fused = fusion.fuse(latent, posteriors)
    fused.sum().backward()
    assert torch.isfinite(fused).all()
    assert torch.isfinite(latent.grad).all()


def test_attention_gradients_are_finite_and_reach_every_part():
    fusion, posteriors = attention(), posteriors_of(MIXED)
    fusion.fuse(fusion.posterior(posteriors).loc, posteriors).square().sum().backward()
    own = [p for name, p in fusion.named_parameters() if not name.startswith("predictor")]
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in own)


def test_attention_takes_the_modalities_in_any_order():
    turned = tuple(reversed(NAMES))
    one, other = attention(), attention(turned)
    for fusion in (one, other):
        # Its weights are stored by the order of modalities: the same for all pairs, they mean the same in any.
        for parameter in fusion.predictor.parameters():
            torch.nn.init.constant_(parameter, 0.1)
    other.load_state_dict(one.state_dict())
    posteriors, mirrored = posteriors_of(MIXED), posteriors_of(MIXED.flip(1), turned)
    fused = one.fuse(one.posterior(posteriors).loc, posteriors)
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
        build(joint).set_joint_prior(None)


@pytest.mark.parametrize("name", ["concat", "attention"])
def test_under_a_coupled_prior_incomplete_cells_leave_the_others_their_gradient(name):
    fusion, prior = build(name), CoupledPrior(3 * D)
    fusion.set_joint_prior(prior)
    (term,) = fusion.draw(posteriors_of(MIXED)).prior_terms
    prior.kl(term.posterior, term.sample, PriorContext(observed_dims=term.observed_dims)).sum().backward()
    for index, name in enumerate(NAMES):
        assert (LEAVES[name].grad.abs().sum(dim=1)[MIXED[:, index]] > 0).all()


def test_old_names_are_known_for_one_release():
    with pytest.warns(FutureWarning, match="PriorTerm"):
        assert fusion_package.Priced is PriorTerm
    with pytest.raises(AttributeError, match="no attribute 'Unheard'"):
        _ = fusion_package.Unheard
