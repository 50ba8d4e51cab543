"""Base of fusions: C cells, M modalities, L latent dimensions, U fused dimensions."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from mmvae._checks import COUNT, check_numbers
from mmvae.nn import Component

from ._posteriors import ObservedDims, Posteriors


class PriorTerm(NamedTuple):
    """One KL term: posterior, sample and cell mask of a latent that has a prior.

    ``posterior`` has batch shape ``(n_cells,)`` and event shape ``(width,)``; ``sample`` is one draw of it,
    ``(n_cells, width)``. The term counts in the cells of ``mask``, boolean, ``(n_cells,)``; in the others both are
    finite and mean nothing. ``observed_dims`` says which dimensions an encoder set, where the others are imputed and not
    charged for; ``None`` where all are.
    """

    name: str
    posterior: Distribution
    sample: Tensor
    mask: Tensor
    observed_dims: ObservedDims | None = None


class LatentDraw(NamedTuple):
    """One draw of every cell's latent, ``(n_cells, L)``, and the KL terms that it pays."""

    latent: Tensor
    prior_terms: list[PriorTerm]


class JointPrior(Protocol):
    """A prior over all latents at once, which knows what some of them say of the others."""

    def impute_missing(self, latent: Tensor, observed_dims: ObservedDims) -> Normal:
        """Mean and spread of the dimensions that were not observed; the others as given, with spread near 0."""
        ...

    def sample_missing(self, latent: Tensor, observed_dims: ObservedDims) -> Tensor:
        """A draw of the dimensions that were not observed; the others as given."""
        ...


class Fusion(Component, family="fusion"):
    """From the modalities' posteriors to one latent of the cell, and on to what the decoders read.

    Implementing one: inherit with a name, set ``latents`` (the width of every latent that gets a prior of its own,
    by name) and ``n_output`` (the width of what the decoders read) in ``__init__``, and implement :meth:`posterior`,
    :meth:`prior_terms`, :meth:`unimodal_posterior` and :meth:`latent_of`. Where the posterior is no diagonal Gaussian,
    override :meth:`draw`, and let :meth:`posterior` give its mean and spread; where the decoders read something else
    than the latent, override :meth:`fuse`, and where every modality has a part of that, :meth:`split`.

    .. code-block:: python

        class First(Fusion, name="first"):
            \"\"\"The first modality alone.\"\"\"

            def __init__(self, n_latent):
                super().__init__(n_latent)
                first = next(iter(n_latent))
                self.latents, self.n_output = {first: n_latent[first]}, n_latent[first]

            def posterior(self, posteriors):
                (first,) = self.latents
                return posteriors.normals[first]

            def unimodal_posterior(self, name, posteriors):
                return posteriors.normals[name]

            def latent_of(self, name):
                return name, slice(None)

            def prior_terms(self, posteriors, posterior, sample):
                (first,) = self.latents
                return [PriorTerm(first, Independent(posterior, 1), sample, posteriors.mask(first))]

    ``n_latent`` holds the latent dimensions of each modality.
    """

    latents: dict[str, int]
    n_output: int
    renamed = {
        "blocks": "split",
        "couple": "set_joint_prior",
        "link": "set_pair_counts",
        "loss": "imputation_loss",
        "place": "latent_of",
        "priced": "prior_terms",
        "single": "unimodal_posterior",
    }

    def __init__(self, n_latent: Mapping[str, int]) -> None:
        super().__init__()
        if not isinstance(n_latent, Mapping):
            msg = f"Expected n_latent as a mapping from modalities to latent dimensions; got {n_latent!r}."
            raise TypeError(msg)
        check_numbers({"n_latent": COUNT}, n_latent=n_latent)
        self.n_latent = dict(n_latent)

    @property
    def latent_width(self) -> int:
        """Width of the latent before :meth:`fuse`, L."""
        return sum(self.latents.values())

    def posterior(self, posteriors: Posteriors) -> Normal:
        """Mean and spread of every cell's latent, batch shape ``(n_cells, L)``."""
        raise NotImplementedError

    def draw(self, posteriors: Posteriors) -> LatentDraw:
        """One draw of every cell's latent, with the KL terms that it pays."""
        posterior = self.posterior(posteriors)
        sample = posterior.rsample()
        return LatentDraw(sample, self.prior_terms(posteriors, posterior, sample))

    def prior_terms(self, posteriors: Posteriors, posterior: Normal, sample: Tensor) -> list[PriorTerm]:
        """The KL terms of a ``sample`` of :meth:`posterior`; not asked for where :meth:`draw` is overridden."""
        raise NotImplementedError

    def fuse(self, latent: Tensor, posteriors: Posteriors) -> Tensor:
        """What the decoders read of a latent, ``(n_cells, n_output)``."""
        return latent

    def split(self, fused: Tensor) -> dict[str, Tensor]:
        """Each modality's part of what the decoders read, in order, ``(n_cells, width)``; empty if they have no parts."""
        return {}

    def unimodal_posterior(self, name: str, posteriors: Posteriors) -> Normal:
        """Posterior from one modality alone, imputed where a cell lacks it, batch shape ``(n_cells, width)``."""
        raise NotImplementedError

    def latent_of(self, name: str) -> tuple[str, slice]:
        """Name of the latent that contains modality ``name``, and its dimensions there."""
        raise NotImplementedError

    def imputation_loss(self, posteriors: Posteriors) -> Tensor | None:
        """Cost in nats of what the fusion trains beside the ELBO to impute missing latents, ``(n_cells,)``, if any."""
        return None

    def calibrate(self, posteriors: Posteriors) -> None:
        """Take the posteriors of cells that were not trained on, at the end of a training, to impute as surely as is right."""

    def set_pair_counts(self, shared: Tensor) -> None:
        """Take how many training cells each pair of modalities shares, ``(n_modalities, n_modalities)``."""

    def set_joint_prior(self, prior: JointPrior) -> None:
        """Let one prior cover all latents, and impute the missing ones; refused by a fusion that has one latent."""
        msg = f"Expected fusion 'concat' or 'attention' with a coupled prior; got '{self.name}', which has one latent."
        raise ValueError(msg)


def as_vector(posterior: Normal) -> Independent[Normal]:
    """A diagonal Gaussian as a distribution of vectors."""
    return Independent(posterior, 1, validate_args=False)
