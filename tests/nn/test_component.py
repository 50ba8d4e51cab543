"""Choosing components."""

from __future__ import annotations

import pytest
import torch

from mmvae.fusion import Concatenation, Fusion
from mmvae.priors import MixtureOfGaussians, Prior


def test_unknown_name_lists_the_known_ones_and_a_near_match():
    with pytest.raises(ValueError, match=r"'mog'.*Did you mean 'mog'"):
        Prior.build("mogg", n_latent=2)


def test_unknown_argument_is_named():
    with pytest.raises(ValueError, match="n_componets"):
        Prior.build({"name": "mog", "n_componets": 3}, n_latent=2)


def test_wrong_type_says_what_is_accepted():
    with pytest.raises(TypeError, match="a name, a mapping with 'name', or a Prior object"):
        Prior.build(3, n_latent=2)


def test_object_of_another_size_is_refused():
    with pytest.raises(ValueError, match="n_latent=3; got 2"):
        Prior.build(MixtureOfGaussians(2), n_latent=3)


def test_object_is_copied():
    mine = MixtureOfGaussians(2)
    assert Prior.build(mine, n_latent=2) is not mine


def test_classes_that_use_a_name_of_before_work_and_say_so():
    with pytest.warns(FutureWarning, match="Old.blocks is now split"):

        class Old(Concatenation, name="old"):
            def blocks(self, fused):
                return {}

    with pytest.warns(FutureWarning, match="starts_late is now init_after_warmup"):

        class Late(Prior, name="late"):
            starts_late = True

    try:
        assert Old({"a": 2, "b": 2}).split(torch.zeros(1, 4)) == {}
        assert Late.init_after_warmup
    finally:
        del Fusion.registry["old"], Prior.registry["late"]
