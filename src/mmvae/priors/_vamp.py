"""VampPrior: D latent dimensions, H hidden units, K pseudo-inputs."""

import torch
from torch import nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily

from mmvae._checks import COUNT, check_numbers

from ._base import PosteriorSample, PriorContext, WarmStarted


class VampPrior(WarmStarted, name="vamp"):
    r"""Mixture of the encoder's posteriors at K learned pseudo-inputs :cite:p:`Tomczak2018`.

    .. math:: p(z) = \sum_k \pi_k\, q(z \mid h_k)

    The pseudo-inputs :math:`h_k` live in the encoder's first hidden layer rather than among the features, so that
    their number does not grow with a hundred thousand peaks. They start at the activations of random training
    cells, after a warm start under N(0, I).

    Parameters
    ----------
    n_latent
        Latent dimensions, D.
    n_hidden
        Width of the encoder's first layer, H.
    n_components
        Number of pseudo-inputs, K.
    """

    needs_encoder = True

    def __init__(self, n_latent: int, n_hidden: int, n_components: int = 16) -> None:
        super().__init__(n_latent)
        check_numbers(dict.fromkeys(("n_hidden", "n_components"), COUNT), n_hidden=n_hidden, n_components=n_components)
        self.n_hidden, self.n_components = n_hidden, n_components
        self.pseudo_inputs = nn.Parameter(torch.rand(n_components, n_hidden))
        self.logits = nn.Parameter(torch.zeros(n_components))

    def learned(self, context: PriorContext) -> Distribution:
        encoder = context.encoder
        assert encoder is not None  # `needs_encoder` sees to it
        # Dropout at the pseudo-inputs would make the prior itself noisy.
        posterior = encoder.posterior(self.pseudo_inputs, dropout=False)
        mixing = Categorical(logits=self.logits, validate_args=False)
        return MixtureSameFamily(mixing, Independent(posterior, 1, validate_args=False), validate_args=False)

    @torch.no_grad()
    def init_from(self, sample: PosteriorSample) -> None:
        assert sample.hidden is not None  # `needs_encoder` sees to it
        generator = torch.Generator().manual_seed(0)
        rows = torch.randperm(len(sample.hidden), generator=generator)[: self.n_components]
        self.pseudo_inputs[: len(rows)] = sample.hidden[rows].to(self.pseudo_inputs)
        self.mark_initialised()
