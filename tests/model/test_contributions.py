"""What each modality tells of a cell."""

from __future__ import annotations

import mudata
import numpy as np
import pytest
import torch
from anndata import AnnData
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

import mmvae
from mmvae import MultiVAE
from mmvae.model.readouts._posteriors import UnimodalPosterior, standard_draws
from mmvae.priors import MixtureOfGaussians, PriorContext, StandardNormal

pytestmark = pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
CELLS = 300


def with_noise(n_cells=CELLS, seed=0):
    """RNA and protein that know four clusters, and a third modality that knows nothing."""
    clear = mmvae.datasets.simulate(
        n_cells, modalities={"rna": 60, "protein": 20}, n_clusters=4, n_batches=1, seed=seed
    )
    counts = np.random.default_rng(seed).poisson(5.0, size=(n_cells, 60)).astype(np.float32)
    noise = AnnData(counts, obs=clear["rna"].obs[[]].copy())
    noise.var_names = [f"noise_{i}" for i in range(60)]
    return mudata.MuData({"rna": clear["rna"], "protein": clear["protein"], "noise": noise})


def fitted(mdata, epochs=30, **kwargs):
    MultiVAE.setup_mudata(mdata)
    model = MultiVAE(mdata, n_latent=4, n_hidden=32, **kwargs)
    model.train(epochs, lr=5e-3, accelerator="cpu", enable_progress_bar=False)
    return model


@pytest.fixture(scope="module")
def model():
    return fitted(with_noise())


def test_draws_have_exact_moments():
    draws = standard_draws(16, 5)
    torch.testing.assert_close(draws.mean(dim=0), torch.zeros(1, 5), atol=1e-6, rtol=0)
    torch.testing.assert_close(draws.square().mean(dim=0), torch.ones(1, 5))


def unimodal(prior, q):
    return UnimodalPosterior(q, prior, PriorContext(), slice(None))


def test_information_is_the_divergence():
    q = Normal(torch.randn(6, 3), torch.rand(6, 3) + 0.1)
    standard = Independent(Normal(torch.zeros(3), torch.ones(3)), 1)
    torch.testing.assert_close(unimodal(StandardNormal(3), q).information(), kl_divergence(Independent(q, 1), standard))


def test_information_of_a_mixture_is_exact_where_a_component_is_certain():
    prior = MixtureOfGaussians(3, n_components=2)
    with torch.no_grad():
        prior.loc.copy_(torch.tensor([[-20.0] * 3, [20.0] * 3]))
        prior.logits.zero_()
        prior.mark_initialised()
    q = Normal(20 + torch.randn(6, 3), torch.rand(6, 3) + 0.1)
    component = Independent(Normal(prior.loc[1], prior.log_scale[1].exp()), 1)
    expected = kl_divergence(Independent(q, 1), component) + np.log(2)
    torch.testing.assert_close(unimodal(prior, q).information(), expected.detach(), atol=1e-3, rtol=1e-4)


def test_negative_log_prior_is_the_density_of_the_mean():
    q = Normal(torch.randn(4, 3), torch.ones(4, 3))
    expected = -Normal(0.0, 1.0).log_prob(q.loc).sum(dim=1)
    torch.testing.assert_close(unimodal(StandardNormal(3), q).negative_log_prior(), expected)


def test_noise_tells_less(model):
    found = model.get_modality_information().mean()
    assert found["noise"] < 0.3 * found["rna"]
    assert found["noise"] < 0.5 * found["protein"]


def test_withholding_noise_changes_less(model):
    found = model.leave_one_out().mean()
    shift = found.xs("shift", level="change")
    assert shift["noise"] < 0.3 * shift["rna"]
    assert found["rna", "rna"] < -5
    assert abs(found["noise", "rna"]) < 0.2 * abs(found["rna", "rna"])


def test_the_only_informative_modality_matters_most():
    mdata = with_noise()
    model = fitted(mudata.MuData({"rna": mdata["rna"], "noise": mdata["noise"]}))
    found = model.leave_one_out().mean()
    assert found["rna", "shift"] > 5 * found["noise", "shift"]
    assert found["rna", "rna"] < 5 * found["noise", "noise"]


def test_what_does_not_apply_is_missing(trained):
    model, mdata = trained
    has = np.stack([np.asarray(mdata.obsmap[name]).ravel() > 0 for name in model.modalities], axis=1)
    information, without = model.get_modality_information(), model.leave_one_out()
    assert (information.notna().to_numpy() == has).all()
    assert (information.to_numpy()[has] > -0.5).all()
    for index, name in enumerate(model.modalities):
        applies = has[:, index] & (has.sum(axis=1) > 1)
        assert (without[name, "shift"].notna() == applies).all()
        for other, measured in enumerate(has.T):
            assert (without[name, model.modalities[other]].notna() == (applies & measured)).all()


def test_cells_are_chosen_by_number(trained):
    model, mdata = trained
    cells = [9, 4, 1]
    for read in (model.get_modality_information, model.leave_one_out):
        every, some = read(), read(indices=cells)
        assert list(some.index) == list(mdata.obs_names[cells])
        # Log-likelihoods of counts of thousands, in single precision.
        np.testing.assert_allclose(some, every.iloc[cells], atol=5e-3)
        np.testing.assert_allclose(read(batch_size=16), every, atol=5e-3)


def test_cells_never_seen(trained):
    model, _ = trained
    other = mmvae.datasets.simulate(50, missing=0.3, seed=5)
    assert model.get_modality_information(other).shape == (50, 3)
    assert list(model.leave_one_out(other).index) == list(other.obs_names)


@pytest.mark.parametrize(
    "kwargs",
    [
        {"fusion": "poe"},
        {"fusion": "moe"},
        {"fusion": "attention"},
        {"prior": "coupled"},
        {"prior": "vamp"},
        {"prior": "mmvm"},
    ],
)
def test_every_fusion_and_kind_of_prior(kwargs):
    mdata = mmvae.datasets.simulate(120, modalities={"rna": 30, "protein": 10}, missing=0.3)
    model = fitted(mdata, epochs=3, **kwargs)
    information, without = model.get_modality_information(), model.leave_one_out()
    assert information.notna().any().all()
    assert (without.xs("shift", axis=1, level="change").stack().dropna() > 0).all()


def test_a_likelihood_with_latents_of_its_own():
    mdata = mmvae.datasets.simulate(80, modalities={"rna": 30, "protein": 10})
    MultiVAE.setup_mudata(mdata, likelihoods={"protein": "nb_mixture"})
    model = MultiVAE(mdata, n_latent=3, n_hidden=16)
    model.train(2, accelerator="cpu", enable_progress_bar=False)
    once = model.leave_one_out()
    assert once.notna().all().all()
    np.testing.assert_allclose(once, model.leave_one_out())


def test_a_mapped_query(trained, tmp_path):
    model, _ = trained
    model.save(tmp_path / "reference")
    query = mmvae.datasets.simulate(60, missing=0.3, seed=2)
    query.obs["batch"] = "new"
    mapped = MultiVAE.load_query_data(query, str(tmp_path / "reference"))
    mapped.train(1, accelerator="cpu", enable_progress_bar=False)
    assert mapped.get_modality_information().shape == (60, 3)
    assert mapped.leave_one_out().shape == (60, 12)


def test_mixtures_are_told_from_other_priors():
    """A prior of one's own that returns a mixture is read as one."""

    class Two(mmvae.priors.Prior):
        def forward(self, context):
            loc = torch.zeros(2, 3)
            return MixtureSameFamily(Categorical(torch.ones(2)), Independent(Normal(loc, 1.0 + loc), 1))

    assert Two(3).components(PriorContext()) is not None
    assert StandardNormal(3).components(PriorContext()) is None
