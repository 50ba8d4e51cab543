"""Base of fusions: C cells, M modalities, U fused dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mmvae.nn import Component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from torch.distributions import Normal

    from ._experts import Experts


class Priced(NamedTuple):
    """A latent that a prior charges for, over the ``n`` cells that ``rows`` marks."""

    name: str
    posterior: Normal
    sample: Tensor
    rows: Tensor


class Fusion(Component, family="fusion"):
    """From the modalities' posteriors to one posterior of the fused latent.

    Implementing one: inherit with a name, set ``latents`` (the width of every latent that gets a prior of its own,
    by name) and ``n_output`` (the width of the fused latent) in ``__init__``, and implement :meth:`posterior` and
    :meth:`priced`.

    .. code-block:: python

        class First(Fusion, name="first"):
            \"\"\"The first modality alone.\"\"\"

            def __init__(self, n_latent):
                super().__init__(n_latent)
                first = next(iter(n_latent))
                self.latents, self.n_output = {first: n_latent[first]}, n_latent[first]

            def posterior(self, experts):
                (first,) = self.latents
                q = experts.posteriors[first]
                return Normal(experts.scatter(first, q.loc), experts.scatter(first, q.scale, fill=1.0))

            def priced(self, experts, posterior, sample):
                (first,) = self.latents
                rows = experts.rows(first)
                yield Priced(first, experts.posteriors[first], sample[rows], rows)

    Parameters
    ----------
    n_latent
        Latent dimensions of each modality.
    """

    latents: dict[str, int]
    n_output: int

    def __init__(self, n_latent: Mapping[str, int]) -> None:
        super().__init__()
        self.n_latent = dict(n_latent)

    def posterior(self, experts: Experts) -> Normal:
        """Posterior of the fused latent of every cell, batch shape ``(n_cells, n_output)``."""
        raise NotImplementedError

    def priced(self, experts: Experts, posterior: Normal, sample: Tensor) -> list[Priced]:
        """The latents that priors charge for, given a ``sample`` of the fused ``posterior``."""
        raise NotImplementedError

    def single(self, name: str, experts: Experts) -> Normal:
        """One modality's own view of every cell, batch shape ``(n_cells, width)``."""
        raise NotImplementedError

    def loss(self, experts: Experts) -> Tensor | None:
        """Cost in nats of parts that the fusion trains beside the ELBO, ``(n_cells,)``, if it has any."""
        return None

    def link(self, shared: Tensor) -> None:
        """Learn how many training cells each pair of modalities shares, ``(n_modalities, n_modalities)``."""
