"""Base of fusions: C cells, M modalities, L latent dimensions, U fused dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from torch.distributions import Independent, Normal

from mmvae.nn import Component

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor
    from torch.distributions import Distribution

    from ._experts import Experts
    from ._posteriors import ObservedDims


class Priced(NamedTuple):
    """A latent that a prior charges for, over the ``n`` cells that ``rows`` marks.

    ``posterior`` has event shape ``(width,)``; ``sample`` is one draw of it, ``(n, width)``. ``known``, boolean,
    ``(n, width)``, marks the dimensions that an encoder set, where the others are filled in and not charged for;
    ``None`` says that all are.
    """

    name: str
    posterior: Distribution
    sample: Tensor
    rows: Tensor
    known: Tensor | None = None


class Coupling(Protocol):
    """A prior over all latents at once, which knows what some of them say of the others."""

    def impute_missing(self, latent: Tensor, observed_dims: ObservedDims) -> Normal:
        """Mean and spread of the missing dimensions; the others as given, with spread 0."""
        ...

    def sample_missing(self, latent: Tensor, observed_dims: ObservedDims) -> Tensor:
        """A draw of the missing dimensions; the others as given."""
        ...


class Fusion(Component, family="fusion"):
    """From the modalities' posteriors to one latent of the cell, and on to what the decoders read.

    Implementing one: inherit with a name, set ``latents`` (the width of every latent that gets a prior of its own,
    by name) and ``n_output`` (the width of what the decoders read) in ``__init__``, and implement :meth:`posterior`,
    :meth:`priced`, :meth:`single` and :meth:`place`. Where the posterior is no diagonal Gaussian, override
    :meth:`sample`, and let :meth:`posterior` give its mean and spread; where the decoders read something else than the
    latent, override :meth:`fuse`, and where every modality has a part of that, :meth:`blocks`.

    .. code-block:: python

        class First(Fusion, name="first"):
            \"\"\"The first modality alone.\"\"\"

            def __init__(self, n_latent):
                super().__init__(n_latent)
                first = next(iter(n_latent))
                self.latents, self.n_output = {first: n_latent[first]}, n_latent[first]

            def posterior(self, experts):
                (first,) = self.latents
                return self.single(first, experts)

            def single(self, name, experts):
                q = experts.posteriors[name]
                return Normal(experts.scatter(name, q.loc), experts.scatter(name, q.scale, fill=1.0))

            def place(self, name):
                return name, slice(None)

            def priced(self, experts, posterior, sample):
                (first,) = self.latents
                rows = experts.rows(first)
                q = Independent(experts.posteriors[first], 1)
                return [Priced(first, q, sample[rows], rows)]

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
        """Mean and spread of every cell's latent, batch shape ``(n_cells, n_latent)``."""
        raise NotImplementedError

    def sample(self, experts: Experts, posterior: Normal) -> Tensor:
        """One draw of every cell's latent, ``(n_cells, n_latent)``."""
        return posterior.rsample()

    def fuse(self, latent: Tensor, experts: Experts) -> Tensor:
        """What the decoders read of a latent, ``(n_cells, n_output)``."""
        return latent

    def blocks(self, fused: Tensor) -> dict[str, Tensor]:
        """Each modality's part of what the decoders read, in order, ``(n_cells, width)``; empty if they have no parts."""
        return {}

    def priced(self, experts: Experts, posterior: Normal, sample: Tensor) -> list[Priced]:
        """The latents that priors charge for, given a ``sample`` of the cells' latent."""
        raise NotImplementedError

    def single(self, name: str, experts: Experts) -> Normal:
        """One modality's own view of every cell, batch shape ``(n_cells, width)``."""
        raise NotImplementedError

    def place(self, name: str) -> tuple[str, slice]:
        """The latent that holds a modality's view, and the dimensions of it that do."""
        raise NotImplementedError

    def loss(self, experts: Experts) -> Tensor | None:
        """Cost in nats of parts that the fusion trains beside the ELBO, ``(n_cells,)``, if it has any."""
        return None

    def link(self, shared: Tensor) -> None:
        """Learn how many training cells each pair of modalities shares, ``(n_modalities, n_modalities)``."""

    def couple(self, coupling: Coupling) -> None:
        """Let one prior over all latents charge for them and fill in what is missing.

        Raises
        ------
        ValueError
            If the fusion has one latent, so that there is nothing to couple.
        """
        msg = f"Expected fusion 'concat' or 'attention' with a coupled prior; got '{self.name}', which has one latent."
        raise ValueError(msg)


def event(posterior: Normal) -> Independent[Normal]:
    """A diagonal Gaussian as a distribution of vectors."""
    return Independent(posterior, 1, validate_args=False)
