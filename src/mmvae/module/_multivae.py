"""The module: C cells, M modalities, G_m features, D_m latent dimensions, U fused dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from scvi import REGISTRY_KEYS
from scvi.module.base import BaseModuleClass, LossOutput, auto_move_data
from torch import Tensor, nn

from mmvae._keys import (
    CELLS,
    COUPLED,
    EXPERTS,
    LATENT,
    OBJECTIVE,
    PRESENT,
    PRIOR_COVARIATES,
    QZ,
    Z,
    layer_key,
    size_factor_key,
)
from mmvae.fusion import Experts, Fusion, Priced
from mmvae.likelihoods import Emission, Likelihood
from mmvae.nn import Decoder, Encoder
from mmvae.priors import Prior, PriorContext

from ._adversary import BatchAdversary, adversary_as_saved
from ._annotations import Annotations, covariates_of
from ._bounds import importance_bound, log_weights
from ._dropout import drop_modalities

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mmvae._config import ModelConfig
    from mmvae.fusion import Coupling
    from mmvae.nn import Covariates

M = TypeVar("M", bound=nn.Module)


class MultiVAEModule(BaseModuleClass):
    r"""Variational autoencoder with one encoder, one prior and one decoder for each modality.

    For a cell with modalities O, of which the encoders saw S (all of O outside training), the loss is

    .. math::

        -\sum_{m \in O} \lambda_m\, \mathbb{E}_q \log p(x_m \mid u, s)
        + \beta \sum_{m \in S} KL(q_m \| p_m),
        \qquad u = F(z_S)

    in nats, averaged over cells. Minibatches hold the rows of the cells that have a modality and no others.

    Parameters
    ----------
    config
        Sizes and choices.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.names = list(config.modalities)
        self.network, self.n_labels = config.network, config.covariates.n_labels
        self.weights = {name: modality.weight for name, modality in config.modalities.items()}
        latent = {name: modality.n_latent for name, modality in config.modalities.items()}
        self.fusion = Fusion.build(config.fusion, n_latent=latent)
        self.encoders = _by_name({name: _encoder(name, config) for name in self.names})
        self.decoders = _by_name({name: _decoder(self.fusion.n_output, config) for name in self.names})
        self.likelihoods = _by_name({name: _likelihood(name, config) for name in self.names})
        self.priors = _by_name(_priors(self.fusion, config))
        self.adversary: BatchAdversary | None = None
        if config.network.batch_adversary > 0 and config.covariates.n_batch > 1:
            self.adversary = BatchAdversary(
                self.fusion.n_output, config.covariates.n_batch, config.network.batch_adversary
            )
        self.register_load_state_dict_pre_hook(adversary_as_saved)
        self.size_factor_scale = nn.ParameterDict(
            {name: nn.Parameter(torch.ones(()), requires_grad=False) for name in self.names}
        )

    def context(self, latent: Priced, experts: Experts, annotations: Annotations) -> PriorContext:
        """What the prior of ``latent`` may look at."""
        return PriorContext(
            encoder=self.encoders[latent.name] if latent.name in self.encoders else None,
            known=latent.known,
            labels=annotations.labels[latent.rows],
            covariates=annotations.covariates[latent.rows],
            cells=annotations.cells[latent.rows],
            experts=experts.of_cells(latent.rows),
        )

    def size_factor(self, tensors: Mapping[str, Tensor], name: str) -> Tensor:
        """Size factors of the cells that have modality ``name``, in counts, ``(n_present, 1)``.

        The total over the modality's features, or the user's factors brought to the scale of such totals.
        """
        if size_factor_key(name) in tensors:
            rows = tensors[PRESENT][:, self.names.index(name)]
            given = tensors[size_factor_key(name)][rows]
            return given * self.size_factor_scale[name].to(given.device)
        return tensors[layer_key(name)].sum(dim=1, keepdim=True).clamp_min(1.0)

    def _get_inference_input(self, tensors: dict[str, Tensor], **kwargs: Any) -> dict[str, Any]:
        return {
            "values": {name: tensors[layer_key(name)] for name in self.names},
            "size_factors": {name: self.size_factor(tensors, name) for name in self.names},
            "present": tensors[PRESENT],
        }

    @auto_move_data
    def inference(self, values: dict[str, Tensor], size_factors: dict[str, Tensor], present: Tensor) -> dict[str, Any]:
        """Encode what each cell has and fuse it.

        Parameters
        ----------
        values
            Per modality, the values of the cells that have it, ``(n_present, G_m)``.
        size_factors
            Their size factors, ``(n_present, 1)``.
        present
            Which cells have which modality, boolean, ``(n_cells, n_modalities)``.

        Returns
        -------
        ``experts``; ``qz``, mean and spread of the latent; ``latent``, a draw of it; and ``z``, what the decoders read
        of the draw, ``(n_cells, U)``.
        """
        encoded = drop_modalities(present, self.network.modality_dropout) if self.training else present
        posteriors = {}
        for index, name in enumerate(self.names):
            rows = encoded[present[:, index], index]
            posteriors[name] = self.encoders[name](self._shown(name, values[name][rows], size_factors[name][rows]))
        experts = Experts(posteriors, encoded)
        qz = self.fusion.posterior(experts)
        latent = self.fusion.sample(experts, qz)
        return {EXPERTS: experts, QZ: qz, LATENT: latent, Z: self.fusion.fuse(latent, experts)}

    def _shown(self, name: str, values: Tensor, size_factor: Tensor) -> Tensor:
        return self.likelihoods[name].encoder_input(values, size_factor)

    @auto_move_data
    def hidden(self, name: str, values: dict[str, Tensor], size_factors: dict[str, Tensor], present: Tensor) -> Tensor:
        """First-layer activations of one modality's encoder, ``(n_present, n_hidden)``."""
        return self.encoders[name].hidden(self._shown(name, values[name], size_factors[name]))

    @auto_move_data
    def read_halves(
        self,
        name: str,
        halves: Tensor,
        values: dict[str, Tensor],
        size_factors: dict[str, Tensor],
        present: Tensor,
    ) -> Tensor:
        """Means of one modality's latent from either half of its features, ``(2, n_present, D_m)``.

        ``halves`` marks features by 1, ``(2, G_m)``. The input is scaled so that its sum is that of all features, as
        dropout does.
        """
        shown = self._shown(name, values[name], size_factors[name])
        return torch.stack([self.encoders[name](shown * half / half.mean()).loc for half in halves])

    def _get_generative_input(self, tensors: dict[str, Tensor], inference_outputs: dict[str, Any]) -> dict[str, Any]:
        return {
            Z: inference_outputs[Z],
            "size_factors": {name: self.size_factor(tensors, name) for name in self.names},
            "present": tensors[PRESENT],
            "covariates": covariates_of(tensors),
        }

    @auto_move_data
    def generative(
        self, z: Tensor, size_factors: dict[str, Tensor], present: Tensor, covariates: Covariates
    ) -> dict[str, Emission]:
        """Explain every modality of every cell that has it, from the fused latent ``z``, ``(n_cells, U)``."""
        emissions = {}
        for index, name in enumerate(self.names):
            rows = present[:, index]
            known = covariates.rows(rows)
            hidden = self.decoders[name](z[rows], known)
            emissions[name] = self.likelihoods[name](hidden, size_factors[name], known.batch)
        return emissions

    def rates(self, name: str, z: Tensor, covariates: Covariates) -> Tensor:
        """Expected values of a modality, free of depth, for any cell, ``(n_cells, G_m)``."""
        return self.likelihoods[name].rates(self.decoders[name](z, covariates), covariates.batch)

    def loss(
        self,
        tensors: dict[str, Tensor],
        inference_outputs: dict[str, Any],
        generative_outputs: dict[str, Emission],
        kl_weight: Tensor | float = 1.0,
    ) -> LossOutput:
        """Negative ELBO per cell, its parts by modality, and the cost of the fusion's own training."""
        reconstruction = self.reconstruction(tensors, generative_outputs)
        kl = self._kl(inference_outputs, self.annotations(tensors))
        kl |= self.emission_kl(tensors, generative_outputs)
        misfit = cast("Tensor", sum(self.weights[name] * value for name, value in reconstruction.items()))
        per_cell = misfit + kl_weight * self.network.kl_scale * sum(kl.values())
        for cost in self._beside(tensors, inference_outputs, kl_weight):
            per_cell = per_cell + cost
        regularizer = sum(prior.regularizer() for prior in self.priors.values())
        return LossOutput(
            loss=per_cell.mean() + regularizer,
            reconstruction_loss=reconstruction,
            kl_local=kl,
            extra_metrics=self._metrics(tensors, inference_outputs, kl)
            | {OBJECTIVE: (misfit + self.network.kl_scale * sum(kl.values())).mean().detach()},
        )

    def _beside(
        self, tensors: Mapping[str, Tensor], outputs: Mapping[str, Any], kl_weight: Tensor | float
    ) -> Iterator[Tensor]:
        """Costs of what is trained beside the ELBO, each ``(n_cells,)``."""
        if (fill := self.fusion.loss(outputs[EXPERTS])) is not None:
            yield fill
        if not self.training:
            return
        if self.adversary is not None:
            yield self.adversary(outputs[LATENT], tensors[REGISTRY_KEYS.BATCH_KEY], kl_weight)
        for prior, latent, context in self.priced(outputs, self.annotations(tensors)):
            if (own := prior.loss(latent.sample.detach(), context)) is not None:
                yield _scatter(latent.rows, own)

    def reconstruction(self, tensors: Mapping[str, Tensor], emissions: Mapping[str, Emission]) -> dict[str, Tensor]:
        """Negative log-likelihood of what was measured, 0 where it was not; a tensor ``(n_cells,)`` per modality."""
        return {
            name: _scatter(
                tensors[PRESENT][:, index], -emission.distribution.log_prob(tensors[layer_key(name)]).sum(dim=-1)
            )
            for index, (name, emission) in enumerate(emissions.items())
        }

    def priced(
        self, outputs: Mapping[str, Any], annotations: Annotations
    ) -> Iterator[tuple[Prior, Priced, PriorContext]]:
        """Each prior with the latent that it charges for and what it may look at, given ``outputs`` of inference."""
        for latent in self.fusion.priced(outputs[EXPERTS], outputs[QZ], outputs[LATENT]):
            yield self.priors[latent.name], latent, self.context(latent, outputs[EXPERTS], annotations)

    def _kl(self, outputs: Mapping[str, Any], annotations: Annotations) -> dict[str, Tensor]:
        return {
            latent.name: _scatter(latent.rows, prior.kl(latent.posterior, latent.sample, context))
            for prior, latent, context in self.priced(outputs, annotations)
        }

    def log_ratios(self, outputs: Mapping[str, Any], annotations: Annotations) -> dict[str, Tensor]:
        r""":math:`\log q(z) - \log p(z)` of each latent at its draw, in nats, 0 in cells without; ``(n_cells,)``."""
        return {
            latent.name: _scatter(latent.rows, prior.log_ratio(latent.posterior, latent.sample, context))
            for prior, latent, context in self.priced(outputs, annotations)
        }

    @torch.inference_mode()
    @auto_move_data
    def marginal_ll(self, tensors: dict[str, Tensor], n_mc_samples: int, return_mean: bool = False) -> Tensor | float:
        """Importance-weighted bound on the log marginal likelihood of a minibatch's cells, in nats.

        Parameters
        ----------
        tensors
            A minibatch.
        n_mc_samples
            Draws of the latent.
        return_mean
            Whether to return the mean over the cells, a number, instead of one for each, ``(n_cells,)``.
        """
        bound = importance_bound(log_weights(self, tensors, n_mc_samples))
        return float(bound.mean()) if return_mean else bound.cpu()

    def annotations(self, tensors: Mapping[str, Tensor]) -> Annotations:
        """What priors may know of the cells of a minibatch."""
        none = torch.zeros(len(tensors[PRESENT]), 0, dtype=torch.long, device=tensors[PRESENT].device)
        labels = tensors[REGISTRY_KEYS.LABELS_KEY].squeeze(1).long() if REGISTRY_KEYS.LABELS_KEY in tensors else None
        unlabelled = torch.full_like(tensors[PRESENT][:, 0], -1, dtype=torch.long)
        known = unlabelled if labels is None else torch.where(labels < self.n_labels, labels, unlabelled)
        return Annotations(known, tensors.get(PRIOR_COVARIATES, none).long(), tensors[CELLS].long())

    def emission_kl(self, tensors: Mapping[str, Tensor], emissions: Mapping[str, Emission]) -> dict[str, Tensor]:
        """Divergence of the latent variables that a likelihood has of its own, in nats, ``(n_cells,)``."""
        return {
            f"{name}_likelihood": _scatter(tensors[PRESENT][:, index], emission.kl)
            for index, (name, emission) in enumerate(emissions.items())
            if emission.kl is not None
        }

    def _metrics(
        self, tensors: Mapping[str, Tensor], inference_outputs: Mapping[str, Any], kl: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """KL in nats per cell that has the modality; and what scvi-tools' tuner looks for."""
        experts = inference_outputs[EXPERTS]
        counts = {name: experts.rows(name).sum() if name in self.names else len(value) for name, value in kl.items()}
        metrics = {f"kl_{name}": value.detach().sum() / max(int(counts[name]), 1) for name, value in kl.items()}
        seen = {"z": inference_outputs[Z], "batch": tensors[REGISTRY_KEYS.BATCH_KEY]}
        if REGISTRY_KEYS.LABELS_KEY in tensors:
            seen["labels"] = tensors[REGISTRY_KEYS.LABELS_KEY]
        return metrics | seen


def _by_name(modules: dict[str, M]) -> Mapping[str, M]:
    """A ``ModuleDict``, which torch does not type by what it holds."""
    return cast("Mapping[str, M]", nn.ModuleDict(modules))


def _scatter(rows: Tensor, value: Tensor) -> Tensor:
    """Values of the marked cells at their places, 0 elsewhere, ``(n_cells,)``."""
    return value.new_zeros(len(rows)).index_put((rows.nonzero(as_tuple=True)[0],), value)


def _encoder(name: str, config: ModelConfig) -> Encoder:
    modality, network = config.modalities[name], config.network
    return Encoder(
        modality.n_features,
        modality.n_latent,
        n_hidden=network.n_hidden,
        n_layers=network.n_layers,
        dropout_rate=network.dropout_rate,
        input_dropout=modality.input_dropout,
    )


def _decoder(n_input: int, config: ModelConfig) -> Decoder:
    covariates, network = config.covariates, config.network
    return Decoder(
        n_input,
        n_categories=[covariates.n_batch, *covariates.n_categories],
        n_continuous=covariates.n_continuous,
        n_hidden=network.n_hidden,
        n_layers=1,
        dropout_rate=0.0,
    )


def _priors(fusion: Fusion, config: ModelConfig) -> dict[str, Prior]:
    """A prior for each latent of the fusion, or one that couples them all."""
    sizes: dict[str, Any] = {
        "n_hidden": config.network.n_hidden,
        "n_labels": config.covariates.n_labels,
        "n_categories": list(config.covariates.n_prior_categories),
    }
    if COUPLED in config.priors:
        prior = Prior.build(config.priors[COUPLED], n_latent=fusion.n_output, **sizes)
        fusion.couple(cast("Coupling", prior))
        return {COUPLED: prior}
    return {n: Prior.build(config.priors[n], n_latent=width, **sizes) for n, width in fusion.latents.items()}


def _likelihood(name: str, config: ModelConfig) -> Likelihood:
    modality = config.modalities[name]
    return Likelihood.build(
        modality.likelihood,
        n_features=modality.n_features,
        n_hidden=config.network.n_hidden,
        n_batch=config.covariates.n_batch,
    )
