"""The module: C cells, M modalities, G_m features, D_m latent dimensions, U fused dimensions."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from scvi.module.base import BaseModuleClass, LossOutput, auto_move_data
from torch import Tensor, nn
from torch.distributions import Normal

from mmvae._config import ModelConfig
from mmvae._keys import INFERENCE, KL, MINIBATCH, N_CELLS, OBJECTIVE, Z
from mmvae.fusion import Fusion, Posteriors
from mmvae.likelihoods import Emission
from mmvae.nn import Covariates, SparseRows, dense, in_full_precision
from mmvae.priors import PosteriorSample, PriorContext

from ._adversary import BatchAdversary, adversary_as_saved
from ._build import build_decoder, build_encoder, build_likelihood, build_priors, by_name
from ._minibatch import Inference, Minibatch, Step
from ._objective import Terms, emission_kl, importance_bound, log_weight, prior_kl, prior_losses, reconstruction


class ModalityDropout(nn.Module):
    """Withhold modalities from the encoders in a share, ``rate``, of the cells that have several.

    Such a cell keeps a subset drawn uniformly from the proper, non-empty subsets of what it has. Without it, a model
    trained on complete cells may put what the modalities share in the latent of one of them, and fails on cells that
    have only the other.
    """

    subsets: Tensor

    def __init__(self, n_modalities: int, rate: float) -> None:
        super().__init__()
        self.rate = rate
        subsets = [s for s in itertools.product((False, True), repeat=n_modalities) if any(s)]
        self.register_buffer("subsets", torch.tensor(subsets), persistent=False)

    def forward(self, present: Tensor) -> Tensor:
        """What each cell keeps of what is ``present``; both boolean, ``(n_cells, n_modalities)``."""
        inside = ~(self.subsets & ~present[:, None]).any(dim=2)
        proper = inside & (self.subsets.sum(dim=1) < present.sum(dim=1, keepdim=True))
        score = torch.rand(proper.shape, device=present.device).masked_fill(~proper, -1.0)
        drawn = self.subsets[score.argmax(dim=1)]
        lost = (torch.rand(len(present), 1, device=present.device) < self.rate) & proper.any(dim=1, keepdim=True)
        return torch.where(lost, drawn, present)


class MultiVAEModule(BaseModuleClass):
    r"""Variational autoencoder with one encoder, one prior and one decoder for each modality.

    For a cell with modalities O, of which the encoders saw S (all of O outside training), the loss is

    .. math::

        -\sum_{m \in O} \lambda_m\, \mathbb{E}_q \log p(x_m \mid u, s)
        + \beta \sum_{m \in S} KL(q_m \| p_m),
        \qquad u = F(z_S)

    in nats, averaged over cells. A minibatch becomes a step (:meth:`infer`, :meth:`decode`), and a step its terms
    (:meth:`terms`); scvi-tools' ``inference``, ``generative`` and ``loss`` are the same three under its names.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config, self.names = config, list(config.modalities)
        network, n_batch = config.network, config.covariates.n_batch
        self.network, self.n_labels = network, config.covariates.n_labels
        self.weights = {name: modality.weight for name, modality in config.modalities.items()}
        self.fusion = Fusion.build(config.fusion, n_latent={n: m.n_latent for n, m in config.modalities.items()})
        self.encoders = by_name({name: build_encoder(name, config) for name in self.names})
        self.decoders = by_name({name: build_decoder(self.fusion.n_output, config) for name in self.names})
        self.likelihoods = by_name({name: build_likelihood(name, config) for name in self.names})
        self.priors = by_name(build_priors(self.fusion, config))
        self.dropout = ModalityDropout(len(self.names), network.modality_dropout)
        self.adversary: BatchAdversary | None = None
        if network.batch_adversary > 0 and n_batch > 1:
            self.adversary = BatchAdversary(self.fusion.latent_width, n_batch, network.batch_adversary)
        self.register_load_state_dict_pre_hook(adversary_as_saved)
        scales = {name: nn.Parameter(torch.ones(()), requires_grad=False) for name in self.names}
        self.size_factor_scale = nn.ParameterDict(scales)

    def minibatch(self, tensors: Mapping[str, Tensor]) -> Minibatch:
        """The tensors of a loader, on the module's device, as a value."""
        # By the modalities' own order, which torch's dictionary of parameters does not keep.
        scales = {name: self.size_factor_scale[name] for name in self.names}
        n_features = {name: self.likelihoods[name].n_features for name in self.names}
        return Minibatch.of(tensors, scales, n_features, self.n_labels)

    def encode(self, minibatch: Minibatch) -> Posteriors:
        """Posterior of each modality in each cell, as stored with minified data; in training, modalities are dropped."""
        normals = {}
        for name in self.names:
            q = self._posterior(name, minibatch)
            loc, scale = minibatch.place(name, q.loc), minibatch.place(name, q.scale)
            normals[name] = Normal(loc, scale, validate_args=False)
        drops = self.training and self.dropout.rate > 0
        if minibatch.is_complete and not drops:
            return Posteriors(normals, minibatch.present, is_complete=True)
        return Posteriors.masked(normals, self.dropout(minibatch.present) if drops else minibatch.present)

    def _posterior(self, name: str, minibatch: Minibatch) -> Normal:
        """Posterior of a modality in the cells that have it: the stored one, if there is one, else the encoder's."""
        if name not in minibatch.stored:
            return self.encoders[name](self.encoder_input(name, minibatch))
        stored, width = minibatch.stored[name], self.fusion.n_latent[name]
        # Of a modality that the data lack no width is known.
        loc, scale = (part.reshape(len(part), width) for part in (stored.loc, stored.scale))
        return Normal(loc, scale, validate_args=False)

    def infer(self, minibatch: Minibatch, posteriors: Posteriors) -> Inference:
        """Draw every cell's latent, and fuse it."""
        latent, prior_terms = self.fusion.draw(posteriors)
        contexts = {}
        for term in prior_terms:
            context = self.context(term.name, minibatch, posteriors)
            contexts[term.name] = replace(context, mask=term.mask, observed_dims=term.observed_dims)
        fused = self.fusion.fuse(latent, posteriors)
        return Inference(minibatch, posteriors, latent, fused, prior_terms, contexts)

    def context(self, latent: str, minibatch: Minibatch, posteriors: Posteriors) -> PriorContext:
        """What the prior of a latent may condition on, in the cells of a minibatch."""
        labels, covariates, cells = minibatch.annotations
        encoder = self.encoders[latent] if latent in self.encoders else None
        return PriorContext(encoder=encoder, labels=labels, covariates=covariates, cells=cells, posteriors=posteriors)

    def decode(self, fused: Tensor, minibatch: Minibatch) -> dict[str, Emission]:
        """Explain each modality of the cells that have it from the fused latent of all, ``(n_cells, U)``."""
        emissions = {}
        for name in self.names:
            covariates = minibatch.covariates_of(name)
            hidden = self.decoders[name](minibatch.take(name, fused), covariates)
            emissions[name] = self.likelihoods[name](hidden, minibatch.size_factors[name], covariates.batch)
        return emissions

    def terms(self, step: Step, schedule: Tensor | float = 1.0) -> Terms:
        """What a step costs; ``schedule`` is the factor on the adversary's weight."""
        inference = step.inference
        with in_full_precision(inference.latent):
            kl = prior_kl(inference, self.priors) | emission_kl(step)
        auxiliary = {}
        if (imputation := self.fusion.imputation_loss(inference.posteriors)) is not None:
            auxiliary["imputation"] = imputation
        if self.training and self.adversary is not None:
            batch = inference.minibatch.covariates.batch
            auxiliary["adversary"] = self.adversary(inference.latent, batch, schedule)
        if self.training:
            with in_full_precision(inference.latent):
                auxiliary |= prior_losses(inference, self.priors)
        return Terms(reconstruction(step), kl, auxiliary)

    def rates(self, name: str, fused: Tensor, covariates: Covariates) -> Tensor:
        """Expected values of a modality, free of depth, for any cell, ``(n_cells, G_m)``."""
        return self.likelihoods[name].rates(self.decoders[name](fused, covariates), covariates.batch)

    def size_factors(self, name: str, minibatch: Minibatch, absent: Tensor | float | None = None) -> Tensor:
        """Of all cells in a modality, ``(n_cells, 1)``: in those that lack it, the median of the training cells."""
        has = minibatch.present[:, self.names.index(name), None]
        absent = self.likelihoods[name].size_factor if absent is None else absent
        return torch.where(has, minibatch.place(name, minibatch.size_factors[name]), absent)

    def _get_inference_input(self, tensors: dict[str, Tensor], **kwargs: Any) -> dict[str, Any]:
        return {MINIBATCH: self.minibatch(tensors)}

    def inference(self, minibatch: Minibatch) -> dict[str, Any]:
        """:meth:`encode` and :meth:`infer`, as scvi-tools calls them."""
        inference = self.infer(minibatch, self.encode(minibatch))
        return {INFERENCE: inference, Z: inference.fused}

    def _get_generative_input(self, tensors: dict[str, Tensor], inference_outputs: dict[str, Any]) -> dict[str, Any]:
        return {INFERENCE: inference_outputs[INFERENCE]}

    def generative(self, inference: Inference) -> dict[str, Emission]:
        """:meth:`decode`, as scvi-tools calls it."""
        return self.decode(inference.fused, inference.minibatch)

    def loss(
        self,
        tensors: dict[str, Tensor],
        inference_outputs: dict[str, Any],
        generative_outputs: dict[str, Emission],
        kl_weight: Tensor | float = 1.0,
        warmup: Tensor | float = 1.0,
    ) -> LossOutput:
        """Negative ELBO per cell, its parts by modality, and the cost of what is trained beside it.

        ``warmup``, from 0 to 1, is how much of its weight the adversary has.
        """
        step = Step(inference_outputs[INFERENCE], generative_outputs)
        terms = self.terms(step, warmup)
        misfit, divergence = terms.misfit(self.weights), self.network.kl_scale * terms.divergence()
        per_cell = sum(terms.auxiliary.values(), misfit + kl_weight * divergence)
        with in_full_precision(misfit):
            regularizer = sum(prior.regularizer() for prior in self.priors.values())
        return LossOutput(
            loss=per_cell.mean() + regularizer,
            reconstruction_loss=dict(terms.reconstruction),
            kl_local=dict(terms.kl),
            extra_metrics=self._metrics(step, terms) | {OBJECTIVE: (misfit + divergence).detach().mean()},
        )

    @torch.inference_mode()
    @auto_move_data
    def marginal_ll(self, tensors: dict[str, Tensor], n_mc_samples: int, return_mean: bool = False) -> Tensor | float:
        """Importance-weighted bound on log marginal likelihoods in nats, ``(n_cells,)`` or their mean, by draws."""
        minibatch = self.minibatch(tensors)
        posteriors = self.encode(minibatch)
        bound = importance_bound(torch.stack([self.log_weight(minibatch, posteriors) for _ in range(n_mc_samples)]))
        return float(bound.mean()) if return_mean else bound.cpu()

    def log_weight(self, minibatch: Minibatch, posteriors: Posteriors) -> Tensor:
        """Log importance weight of one draw of every cell's latent, in nats, ``(n_cells,)``."""
        inference = self.infer(minibatch, posteriors)
        return log_weight(Step(inference, self.decode(inference.fused, minibatch)), self.priors)

    def posterior_samples(self, minibatch: Minibatch) -> Iterator[tuple[str, PosteriorSample]]:
        """By latent, the posteriors of the cells that have it, from which priors are initialised."""
        inference = self.infer(minibatch, self.encode(minibatch))
        for term in inference.prior_terms:
            q, has, hidden = term.posterior, term.mask, None
            if term.name in self.encoders:
                hidden = self.encoders[term.name].hidden(self.encoder_input(term.name, minibatch))
                hidden = minibatch.place(term.name, hidden)[has]
            dims = None if term.observed_dims is None else term.observed_dims.mask[has]
            labels = minibatch.annotations.labels[has]
            yield term.name, PosteriorSample(q.mean[has], q.stddev[has], hidden, dims, labels)

    def encoder_input(self, name: str, minibatch: Minibatch) -> Tensor | SparseRows:
        """What the encoder of a modality sees, ``(n_m, G_m)``."""
        likelihood, values, factors = self.likelihoods[name], minibatch.values[name], minibatch.size_factors[name]
        if isinstance(values, SparseRows) and likelihood.zeros_stay:
            return values.apply(lambda stored: likelihood.encoder_input(stored[:, None], factors[values.rows])[:, 0])
        return likelihood.encoder_input(dense(values), factors)

    def _metrics(self, step: Step, terms: Terms) -> dict[str, Tensor]:
        """KL in nats per cell that has the latent, how many these are, and what scvi-tools' tuner looks for."""
        inference = step.inference
        minibatch, masks = inference.minibatch, {term.name: term.mask for term in inference.prior_terms}
        present = dict(zip(self.names, minibatch.present.unbind(dim=1), strict=True))
        masks |= {f"{name}_likelihood": has for name, has in present.items()}
        counts = torch.stack([masks[name] for name in terms.kl]).sum(dim=1)
        nats = torch.stack(list(terms.kl.values())).detach().sum(dim=1) / counts.clamp_min(1)
        metrics = {f"{KL}{name}": value for name, value in zip(terms.kl, nats.unbind(), strict=True)}
        metrics |= {f"{N_CELLS}{name}": count for name, count in zip(terms.kl, counts.unbind(), strict=True)}
        seen = {"z": inference.fused, "batch": minibatch.covariates.batch}
        if self.n_labels:
            seen["labels"] = minibatch.annotations.labels[:, None]
        return metrics | seen
