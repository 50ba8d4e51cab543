"""Numbers with which a prior, fusion or likelihood is made."""

import pytest

from mmvae.fusion import Fusion
from mmvae.likelihoods import Likelihood
from mmvae.priors import Prior

SIZES = {
    Prior: {"n_latent": 4, "n_hidden": 5, "n_labels": 3},
    Fusion: {"n_latent": {"rna": 4, "protein": 4}},
    Likelihood: {"n_features": 6, "n_hidden": 5},
}
CASES = [
    (Prior, "mog", "n_components"),
    (Prior, "labels", "n_components"),
    (Prior, "vamp", "n_components"),
    (Prior, "coupled", "n_components"),
    (Prior, "flow", "n_transforms"),
    (Prior, "flow", "width"),
    (Fusion, "attention", "width"),
    (Fusion, "attention", "n_heads"),
    (Likelihood, "poisson", "n_sampled"),
]


@pytest.mark.parametrize("value", [0, -1, 2.5, "many", True])
@pytest.mark.parametrize(("family", "name", "argument"), CASES)
def test_what_is_no_count_is_refused_by_name(family, name, argument, value):
    with pytest.raises(ValueError, match=f"Expected {argument} as a whole number above 0; got {value!r}"):
        family.build({"name": name, argument: value}, **SIZES[family])
