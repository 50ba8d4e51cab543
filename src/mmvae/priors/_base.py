"""Base of priors: C cells, D latent dimensions, K components."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, distributed
from torch.distributions import Distribution, Independent, MixtureSameFamily, Normal, kl_divergence

from mmvae._checks import COUNT, check_numbers
from mmvae.fusion import ObservedDims, Posteriors
from mmvae.graph import CellGraph
from mmvae.nn import Component, Encoder


@dataclass(frozen=True)
class PriorContext:
    """Conditioning information available to a prior. Everything is ``None`` where it does not apply.

    ``encoder`` is that of the latent's modality. The rest is about the cells of the minibatch, a row for each:
    ``mask``, which of them have the latent, boolean, ``(n_cells,)``, ``None`` for all; ``observed_dims``, which
    dimensions of a joint latent an encoder set; ``labels``, codes, -1 where a cell has none, ``(n_cells,)``;
    ``covariates``, codes of biological covariates, ``(n_cells, n_covariates)``; ``cells``, their numbers in the data,
    ``(n_cells,)``; and ``posteriors``, those of all modalities.
    """

    encoder: Encoder | None = None
    observed_dims: ObservedDims | None = None
    labels: Tensor | None = None
    covariates: Tensor | None = None
    cells: Tensor | None = None
    posteriors: Posteriors | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class PosteriorSample:
    """Posteriors of training cells, from which a prior is initialised.

    ``loc`` and ``scale`` have shape ``(n_cells, n_latent)``; ``hidden``, the encoder's first-layer activations,
    ``(n_cells, n_hidden)``, or ``None`` where the latent is not one modality's; ``observed_dims``, boolean,
    ``(n_cells, n_latent)``, marks the dimensions of a joint latent that an encoder set; ``labels`` are those of
    :class:`PriorContext`.
    """

    loc: Tensor
    scale: Tensor
    hidden: Tensor | None = None
    observed_dims: Tensor | None = None
    labels: Tensor | None = None

    @classmethod
    def together(cls, samples: Sequence[Self]) -> Self:
        """Several samples as one."""
        columns = {f.name: [getattr(sample, f.name) for sample in samples] for f in fields(cls)}
        joined: dict[str, Any] = {n: None if parts[0] is None else torch.cat(parts) for n, parts in columns.items()}
        return cls(**joined)


class Prior(Component, family="prior"):
    r"""A learned density of one latent, :math:`p_m(z_m)`.

    Implementing one: inherit with a name and implement :meth:`forward`, which returns a distribution with event
    shape ``(n_latent,)``. The KL follows: in closed form where both are diagonal Gaussians, else from the sample that
    the reconstruction used. So do draws of the prior, ``prior(PriorContext()).sample((n_samples,))``.

    A KL is asked for all cells of a minibatch; those without the latent have a posterior N(0, I), and their KL is not
    used. For speed on a GPU nothing in it should wait for the device: no ``if`` on the value of a tensor, no boolean
    mask as an index.

    .. code-block:: python

        class Laplace(Prior, name="laplace"):
            def __init__(self, n_latent):
                super().__init__(n_latent)
                self.log_scale = torch.nn.Parameter(torch.zeros(n_latent))

            def forward(self, context):
                scale = self.log_scale.exp()
                return Independent(torch.distributions.Laplace(torch.zeros_like(scale), scale), 1)

    ``n_latent`` is the number of latent dimensions, D.
    """

    needs_encoder: ClassVar[bool] = False
    """Whether the prior reads the encoder of one modality, and so suits no joint latent."""
    needs_posteriors: ClassVar[bool] = False
    """Whether the prior compares the modalities' posteriors, which must be of one width, and so suits no joint latent."""
    needs_covariates: ClassVar[bool] = False
    """Whether the prior depends on biological covariates."""
    needs_graph: ClassVar[bool] = False
    """Whether the prior depends on which cells are neighbours, given by :meth:`set_graph`."""
    init_after_warmup: ClassVar[bool] = False
    """Whether :meth:`init_from` is called when the KL has warmed up, and not after the first few epochs."""
    is_joint: ClassVar[bool] = False
    """Whether one such prior covers the latents of all modalities."""

    graph: CellGraph | None = None
    """That of the cells whose latents are to come, for a prior that needs one; ``None`` if the data have none."""

    renamed = {
        "couples": "is_joint",
        "is_started": "is_initialised",
        "link": "set_graph",
        "needs_experts": "needs_posteriors",
        "starts_late": "init_after_warmup",
    }

    zeros: Tensor

    def __init__(self, n_latent: int) -> None:
        super().__init__()
        check_numbers({"n_latent": COUNT}, n_latent=n_latent)
        self.n_latent = n_latent
        self.register_buffer("zeros", torch.zeros(n_latent), persistent=False)

    def standard_normal(self) -> Independent[Normal]:
        """N(0, I), event shape ``(n_latent,)``."""
        return Independent(Normal(self.zeros, 1 + self.zeros, validate_args=False), 1)

    def forward(self, context: PriorContext) -> Distribution:
        """The prior, event shape ``(n_latent,)``."""
        raise NotImplementedError

    def components(self, context: PriorContext) -> MixtureSameFamily | None:
        """The prior, labels not looked at, as a mixture whose components are the same for every cell, if it is one."""
        found = self(replace(context, labels=None))
        return found if isinstance(found, MixtureSameFamily) and not found.batch_shape else None

    def kl(self, posterior: Distribution, sample: Tensor, context: PriorContext) -> Tensor:
        r""":math:`KL(q \| p)` in nats per cell, ``(n_cells,)``; a one-sample estimate where there is no closed form.

        Parameters
        ----------
        posterior, sample
            :math:`q`, batch shape ``(n_cells,)``, event shape ``(n_latent,)``, and a sample of it.
        context
            What the prior is conditioned on.
        """
        # A latent that is observed only in part has no closed form.
        if len(sample) == 0 or context.observed_dims is not None or not is_diagonal(posterior):
            return self.log_ratio(posterior, sample, context)
        p = self(context)
        return kl_divergence(posterior, p) if is_diagonal(p) else posterior.log_prob(sample) - p.log_prob(sample)

    def log_ratio(self, posterior: Distribution, sample: Tensor, context: PriorContext) -> Tensor:
        r""":math:`\log q(z) - \log p(z)` at a sample z of q, in nats, ``(n_cells,)``; parameters are those of :meth:`kl`.

        Where it is overridden, :meth:`kl` must be too.
        """
        if len(sample) == 0:
            return sample.sum(dim=-1)  # torch's Independent cannot sum over an event where there are no rows
        return posterior.log_prob(sample) - self(context).log_prob(sample)

    @property
    def is_initialised(self) -> bool:
        """Whether the prior needs no :meth:`init_from`: it has none, or a reference or an earlier training gave it."""
        return True

    def init_from(self, sample: PosteriorSample) -> None:
        """Initialise from the posteriors of training cells. Called once, after a warm start under N(0, I)."""

    def loss(self, sample: Tensor, context: PriorContext) -> Tensor | None:
        """Cost in nats that the prior's own parameters have beside the KL, ``(n_cells,)``, if any.

        ``sample``, ``(n_cells, n_latent)``, has no gradient: the cost shapes the prior, not the latents.
        """
        return None

    def set_graph(self, graph: CellGraph | None) -> None:
        """Let :attr:`graph` be this one."""
        self.graph = graph

    def refresh(self) -> None:
        """Bring buffers up to date with parameters; called after each epoch that trains them."""

    def regularizer(self) -> Tensor:
        """Cost in nats, per cell, of the prior's own parameters; a scalar."""
        return self.zeros.sum()


class WarmStarted(Prior):
    """A prior that is N(0, I) until :meth:`init_from` has seen the latents.

    A mixture placed at random before the encoders have learnt anything stays merged; fitted to the latents after a
    short warm start it closes most of the gap to the aggregated posterior.

    Subclasses implement :meth:`learned`, and an :meth:`init_from` that ends with :meth:`mark_initialised`.
    """

    ready: Tensor

    def __init__(self, n_latent: int) -> None:
        super().__init__(n_latent)
        self.register_buffer("ready", torch.zeros((), dtype=torch.bool))
        # The buffer is what is saved; asked in every step, it would make each wait for the device.
        self._is_initialised = False
        self.register_load_state_dict_post_hook(_read_ready)  # type: ignore[no-untyped-call]

    def forward(self, context: PriorContext) -> Distribution:
        return self.learned(context) if self._is_initialised else self.standard_normal()

    @property
    def is_initialised(self) -> bool:
        return self._is_initialised

    def mark_initialised(self) -> None:
        """Be the learned density from now on."""
        self.ready.fill_(True)
        self._is_initialised = True

    def learned(self, context: PriorContext) -> Distribution:
        """The prior once it is initialised, event shape ``(n_latent,)``."""
        raise NotImplementedError

    def scale_cost(self) -> Tensor:
        """:meth:`regularizer` of the initialised prior: what holds the latent's scale, which is otherwise free."""
        return super().regularizer()

    def regularizer(self) -> Tensor:
        if self._is_initialised:
            return self.scale_cost()
        # On several devices each parameter must have a gradient.
        if distributed.is_available() and distributed.is_initialized():
            return 0.0 * torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum()
        return super().regularizer()


def _read_ready(prior: WarmStarted, _: Any) -> None:
    prior._is_initialised = bool(prior.ready)


def is_diagonal(distribution: Distribution) -> bool:
    """Whether a distribution of vectors is a diagonal Gaussian."""
    return isinstance(distribution, Independent) and isinstance(distribution.base_dist, Normal)
