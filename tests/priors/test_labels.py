"""The label-informed mixture."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import Independent, Normal

import mmvae
from mmvae import MultiVAE
from mmvae.priors import LabelledMixture, PosteriorSample, PriorContext

D = 2


def clusters(n: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    truth = torch.randint(0, 3, (n,))
    centres = torch.tensor([[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
    return centres[truth] + 0.5 * torch.randn(n, D), truth


def fitted(share: float = 0.1) -> tuple[LabelledMixture, torch.Tensor, torch.Tensor]:
    latent, truth = clusters()
    labels = torch.where(torch.rand(len(truth)) < share, truth, -1)
    prior = LabelledMixture(D, n_labels=3)
    prior.init_from(PosteriorSample(latent, torch.full_like(latent, 0.1), labels=labels))
    return prior, latent, truth


def test_few_labels_name_the_components():
    prior, latent, truth = fitted()
    guess = (prior.label_log_prob(latent) + prior.label_log_weights()).argmax(dim=1)
    assert (guess == truth).float().mean() > 0.95


def test_unlabelled_cells_are_charged_by_the_whole_mixture():
    prior, latent, truth = fitted()
    unlabelled = prior(PriorContext(labels=torch.full_like(truth, -1))).log_prob(latent)
    by_label = (prior.label_log_prob(latent) + prior.label_log_weights()).logsumexp(dim=1)
    assert torch.allclose(unlabelled, by_label, atol=1e-5)
    assert torch.allclose(prior(PriorContext()).log_prob(latent), by_label, atol=1e-5)


def test_labelled_cells_are_charged_by_their_labels_components():
    prior, latent, truth = fitted()
    labelled = prior(PriorContext(labels=truth)).log_prob(latent)
    own = prior.label_log_prob(latent).gather(1, truth[:, None]).squeeze(1)
    assert torch.allclose(labelled, own, atol=1e-4)


def test_the_wrong_label_costs_more():
    prior, latent, truth = fitted()
    q = Independent(Normal(latent, torch.full_like(latent, 0.1)), 1)
    right = prior.kl(q, latent, PriorContext(labels=truth)).mean()
    wrong = prior.kl(q, latent, PriorContext(labels=(truth + 1) % 3)).mean()
    assert wrong > right + 5


def test_a_label_that_its_components_miss_costs():
    prior, latent, truth = fitted()
    wrong = torch.where(truth == 0, -1, 3 - truth)
    cost = prior.loss(latent, PriorContext(labels=wrong))
    assert (cost[truth == 0] == 0).all()
    assert (cost[truth != 0] > 1).float().mean() > 0.9
    assert prior.loss(latent, PriorContext()) is None


def test_several_components_a_label():
    latent, truth = clusters()
    prior = LabelledMixture(D, n_labels=3, n_components=2)
    prior.init_from(PosteriorSample(latent, torch.full_like(latent, 0.1), labels=truth))
    assert prior.loc.shape == (6, D)
    guess = (prior.label_log_prob(latent) + prior.label_log_weights()).argmax(dim=1)
    assert (guess == truth).float().mean() > 0.95


def test_without_labels_it_says_what_to_do():
    with pytest.raises(ValueError, match="labels_key"):
        LabelledMixture(D, n_labels=0)


@pytest.mark.filterwarnings("ignore:The latent of", "ignore:The validation ELBO never")
def test_components_belong_to_their_labels_after_training():
    mdata = mmvae.datasets.simulate(400, modalities={"rna": 60, "protein": 12}, n_clusters=4)
    truth = mdata.obs["cluster"].astype(str).to_numpy()
    mdata.obs["type"] = truth
    mdata.obs.loc[np.random.default_rng(0).random(400) > 0.4, "type"] = None
    MultiVAE.setup_mudata(mdata, batch_key="batch", labels_key="type")
    model = MultiVAE(mdata, n_hidden=32, n_latent=5, prior="labels")
    model.train(max_epochs=100, enable_progress_bar=False, early_stopping=False)
    latent = torch.as_tensor(model.get_latent_representation(modality="rna"))
    prior = model.module.priors["rna"]
    guess = (prior.label_log_prob(latent) + prior.label_log_weights()).argmax(dim=1).numpy()
    often = max(np.unique(truth, return_counts=True)[1]) / len(truth)
    assert (np.asarray(model.labels)[guess] == truth).mean() > often + 0.15
