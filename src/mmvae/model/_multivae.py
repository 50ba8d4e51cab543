"""The model class."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from scvi import REGISTRY_KEYS
from scvi.model.base import ArchesMixin, BaseModelClass, VAEMixin

from mmvae._checks import COUNT, COUNT_OR_ZERO, NOT_NEGATIVE, POSITIVE, SHARE_BELOW_1, check_numbers
from mmvae._config import CovariateConfig, ModalityConfig, ModelConfig, NetworkConfig
from mmvae._keys import COUPLED, DEFAULTS, PRIOR_COVARIATES, layer_key, size_factor_key
from mmvae.data import SetupArguments, feature_statistics, graph_of, modalities_of, presence_of, shared_cells
from mmvae.fusion import Fusion
from mmvae.module import MultiVAEModule
from mmvae.nn import Component
from mmvae.priors import Prior
from mmvae.train import defaults_for, seeded

from ._contributions import ContributionMixin
from ._generation import GenerationMixin
from ._prediction import PredictionMixin
from ._prior_checks import check_graph, check_priors, warn_of_batch
from ._priors import PriorMixin
from ._representation import RepresentationMixin
from ._setup import SetupMixin
from ._training import TrainingMixin

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

logger = logging.getLogger(__name__)

PRIOR = "mog"
BATCH_ADVERSARY = 10.0
TAKES = {
    "n_latent": COUNT,
    "n_hidden": COUNT,
    "n_layers": COUNT,
    "dropout_rate": SHARE_BELOW_1,
    "input_dropout": SHARE_BELOW_1,
    "modality_dropout": SHARE_BELOW_1,
    "modality_weights": POSITIVE,
    "kl_scale": NOT_NEGATIVE,
    "batch_adversary": NOT_NEGATIVE,
    "seed": COUNT_OR_ZERO,
}


class MultiVAE(
    SetupMixin,
    RepresentationMixin,
    PriorMixin,
    ContributionMixin,
    GenerationMixin,
    PredictionMixin,
    VAEMixin,
    TrainingMixin,
    ArchesMixin,
    BaseModelClass,
):
    """Multi-encoder variational autoencoder with a learned prior for each modality.

    Every modality has its own encoder, its own latent and its own prior; the latents are fused, by concatenation
    unless asked otherwise, and every modality is decoded from the fused latent. Cells need not have every modality.

    Parameters
    ----------
    mdata
        MuData registered with :meth:`setup_mudata`, or AnnData registered with :meth:`setup_anndata`.
    registry
        Registry of a saved model; used by :meth:`load` where there are no data.
    n_latent
        Latent dimensions of each modality, as one number or by modality. By default 10 below 3,000 cells, 15 below
        30,000, else 20.
    n_hidden
        Width of the hidden layers of encoders and decoders; 128 below 30,000 cells, else 256.
    n_layers
        Hidden layers of an encoder; 1 below 3,000 cells, else 2.
    dropout_rate
        Probability with which a hidden unit of an encoder is dropped in training.
    input_dropout
        Probability with which a feature is hidden from its encoder in training, as one number or by modality; the
        decoders explain all features. 0 for modalities that are not named.
    prior
        Prior of each latent: ``"mog"``, ``"normal"``, ``"gaussian"``, ``"vamp"``, ``"flow"``, ``"labels"``,
        ``"conditional"`` (on ``prior_covariate_keys``), ``"mmvm"`` (the modalities' posteriors), ``"gmrf"`` (neighbours
        in space), one of your own (:class:`~mmvae.priors.Prior`), a mapping such as
        ``{"name": "mog", "n_components": 30}``, or one of these by modality, ``{"rna": "mog", "protein": "normal"}``. Or
        ``"coupled"``, one prior for the latents of all modalities. Modalities that are not named take ``"mog"``, those
        that :func:`mmvae.pp.spatial` made of neighbours ``"gmrf"``.
    fusion
        ``"concat"``, ``"attention"`` (a concatenation in which modalities read one another), ``"poe"``, ``"moe"`` or
        ``"mopoe"`` (one joint latent and one prior), or one of your own (:class:`~mmvae.fusion.Fusion`).
    modality_dropout
        Share of the cells with several modalities that lose some at the encoders, in training. Without it a model of
        complete cells is of little use for cells that have one modality.
    modality_weights
        Weight of a modality's likelihood in the loss, by modality. By default 1, the only choice under which the loss is
        a bound, and for sums over neighbours one over the number of neighbours, since each count is in as many of them.
    kl_scale
        Weight of the KL in the loss; 1 is the bound.
    batch_adversary
        Weight, in nats, of a classifier of batches that the encoders learn to mislead, where there are several batches;
        0 leaves it out. It mixes batches further than the decoders' knowledge of the batch does, and takes with it what
        is found in one batch alone, the more so the fewer counts tell of it. By default 10, which lost nothing on sets of
        cells whose batches hold the same types and up to 0.04 of the scores of cell types where most types were in one
        batch alone, and 0 for data with a graph of neighbours, because slides differ in what they hold: on simulated
        sections of different tissues it lost half of the niches.
    seed
        Of the initial weights, and of :meth:`train`.

    Examples
    --------
    >>> mdata = mmvae.datasets.simulate(500, missing=0.3)
    >>> mmvae.MultiVAE.setup_mudata(mdata, batch_key="batch")
    >>> model = mmvae.MultiVAE(mdata)
    >>> model.train()
    >>> mdata.obsm["X_mmvae"] = model.get_latent_representation()

    Notes
    -----
    A whole batch without a modality, cells with a single one, rows in another order: all are taken as they are. What
    a cell has is read from ``mdata.obsmap``. Modalities that no cell bridges are refused.

    Defaults are the same for complete data and mosaics. Those of ``prior``, ``fusion``, ``input_dropout`` and
    ``batch_adversary``, and the sizes below 3,000 cells, were chosen on public sets of 220 to 1,262 cells of
    RNA with protein, with ATAC, of all three as a mosaic, and of bulk tumours, with their labels in view
    (``docs/evidence.md``); the sizes above follow scvi-tools' heuristics. ``modality_dropout`` was chosen in simulation:
    without it the RNA latent of a model of complete cells does not hold what RNA alone could tell.
    """

    _module_cls = MultiVAEModule

    def __init__(
        self,
        mdata: MuData | AnnData | None = None,
        registry: dict | None = None,
        *,
        n_latent: int | Mapping[str, int] | None = None,
        n_hidden: int | None = None,
        n_layers: int | None = None,
        dropout_rate: float | None = None,
        prior: str | Mapping[str, Any] | Prior | None = None,
        fusion: str | Mapping[str, Any] | Fusion = "concat",
        input_dropout: float | Mapping[str, float] = 0.0,
        modality_dropout: float = 0.3,
        modality_weights: Mapping[str, float] | None = None,
        kl_scale: float = 1.0,
        batch_adversary: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(mdata, registry)
        # Sizes are settled here and saved, so that a query of another size does not change them.
        chosen = defaults_for(0 if mdata is None else mdata.n_obs)
        names = list(self._arguments.chosen)
        n_latent = _by_modality("n_latent", chosen.n_latent if n_latent is None else n_latent, names)
        n_hidden = chosen.n_hidden if n_hidden is None else n_hidden
        n_layers = chosen.n_layers if n_layers is None else n_layers
        dropout_rate = chosen.dropout_rate if dropout_rate is None else dropout_rate
        weights = self._carried("weight") | dict(modality_weights or {})
        modality_weights = _by_modality("modality_weights", weights, names, 1.0)
        input_dropout = _by_modality("input_dropout", input_dropout, names, 0.0)
        batch_adversary = self._batch_adversary(mdata) if batch_adversary is None else batch_adversary
        check_numbers(
            TAKES,
            n_latent=n_latent,
            n_hidden=n_hidden,
            n_layers=n_layers,
            dropout_rate=dropout_rate,
            input_dropout=input_dropout,
            modality_dropout=modality_dropout,
            modality_weights=modality_weights,
            kl_scale=kl_scale,
            batch_adversary=batch_adversary,
            seed=seed,
        )
        self.seed = seed
        self.shared_ = self.labelled_ = self.reliability_ = self.spread_ = self.best_epoch_ = self._linked = None
        self.training_report_: list[str] = []
        network = NetworkConfig(n_hidden, n_layers, dropout_rate, modality_dropout, kl_scale, batch_adversary)
        modalities = self._modality_configs(n_latent, modality_weights, input_dropout)
        with seeded(seed):
            self.module = MultiVAEModule(self._config(modalities, network, prior, fusion))
        check_priors(self.module)
        if mdata is not None:
            check_graph(list(self.module.priors.values()), mdata)
            warn_of_batch(list(self.module.priors.values()), mdata, self._arguments)
            self._learn_from_data()
        prior = {name: p.spec() for name, p in self.module.priors.items()}
        fusion = self.module.fusion.spec()
        self._model_summary_string = self._summary()
        # scvi-tools leaves data out of what it saves, but not the `None` that stands for them in a model without data.
        self.init_params_ = self._get_init_params({k: v for k, v in locals().items() if k != "mdata"})

    @property
    def _arguments(self) -> SetupArguments:
        return SetupArguments.of(self.registry_["setup_args"])

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities."""
        return list(self.module.names)

    @property
    def labels(self) -> list[str]:
        """The labels that were registered, those of cells without a label left out; empty without ``labels_key``."""
        fields = self.registry_["field_registries"].get(REGISTRY_KEYS.LABELS_KEY, {})
        state = fields.get("state_registry", {})
        unlabelled = str(state.get("unlabeled_category"))
        return [str(label) for label in state.get("categorical_mapping", ()) if str(label) != unlabelled]

    @staticmethod
    def _batch_adversary(data: MuData | AnnData | None) -> float:
        return BATCH_ADVERSARY if data is None or graph_of(data) is None else 0.0

    def _modality_configs(
        self, n_latent: Mapping[str, int], weights: Mapping[str, float], input_dropout: Mapping[str, float]
    ) -> dict[str, ModalityConfig]:
        return {
            name: ModalityConfig(
                n_features=self.summary_stats[f"n_{layer_key(name)}"],
                n_latent=n_latent[name],
                likelihood=choice,
                weight=weights[name],
                input_dropout=input_dropout[name],
            )
            for name, choice in self._arguments.chosen.items()
        }

    def _config(
        self, modalities: Mapping[str, ModalityConfig], network: NetworkConfig, prior: Any, fusion: Any
    ) -> ModelConfig:
        n_latent = {name: modality.n_latent for name, modality in modalities.items()}
        latents = Fusion.build(fusion, n_latent=n_latent).latents
        own = {latent: self._carried("prior").get(latent, PRIOR) for latent in latents}
        priors = own if prior is None else _priors_of(prior, own, list(n_latent))
        return ModelConfig(modalities, priors, fusion, network, self._covariate_config())

    def _carried(self, default: str) -> dict[str, Any]:
        """By modality, a default that the data carry in ``uns``, where they carry one."""
        if self.adata is None:
            return {}
        given = {name: adata.uns.get(DEFAULTS, {}) for name, adata in modalities_of(self.adata).items()}
        return {name: own[default] for name, own in given.items() if default in own and name in self._arguments.chosen}

    def _covariate_config(self) -> CovariateConfig:
        fields = self.registry_["field_registries"]
        categories, biology = (
            tuple(fields.get(key, {}).get("state_registry", {}).get("n_cats_per_key", ()))
            for key in (REGISTRY_KEYS.CAT_COVS_KEY, PRIOR_COVARIATES)
        )
        return CovariateConfig(
            n_batch=self.summary_stats.n_batch,
            n_categories=categories,
            n_continuous=self.summary_stats.get("n_extra_continuous_covs", 0),
            n_labels=len(self.labels),
            n_prior_categories=biology,
        )

    def _learn_from_data(self) -> None:
        """Start likelihoods and fusion from the registered data."""
        manager, presence = self.adata_manager, presence_of(self.adata, self.modalities)
        self.module.fusion.link(torch.as_tensor(shared_cells(presence)))
        for index, name in enumerate(self.modalities):
            if layer_key(name) not in manager.data_registry:
                continue
            statistics = feature_statistics(manager.get_from_registry(layer_key(name)))
            self.module.likelihoods[name].init_from(statistics)
            if size_factor_key(name) in manager.data_registry:
                given = np.asarray(manager.get_from_registry(size_factor_key(name))).ravel()[presence[:, index]]
                self.module.size_factor_scale[name].fill_(statistics.size_factor / float(np.median(given)))

    def _summary(self) -> str:
        module, rows = self.module, []
        for name in self.modalities:
            likelihood = module.likelihoods[name]
            prior = f"prior {module.priors[name].name}, " if name in module.priors else ""
            rows.append(
                f"  {name}: {likelihood.n_features:,} features, likelihood {likelihood.name}, {prior}"
                f"{module.fusion.n_latent[name]} latent dimensions"
            )
        joint = [f"prior {p.name}" for n, p in module.priors.items() if n not in self.modalities]
        fused = ", ".join([f"fusion {module.fusion.name}", *joint, f"{module.fusion.n_output} fused dimensions"])
        return "\n".join([f"MultiVAE of {len(rows)} modalities; {fused}", *rows])

    def __repr__(self) -> str:
        trained = "trained" if self.is_trained_ else "not trained"
        cells = "no data" if self.adata is None else f"{self.adata.n_obs:,} cells"
        return f"{self._model_summary_string}\n{cells}; {trained}"

    def get_var_names(self, legacy_mudata_format: bool = False) -> dict[str, np.ndarray] | np.ndarray:
        """Feature names of each modality; an array where the model was set up with an AnnData, as scvi-tools has it."""
        features = self._features
        return next(iter(features.values())) if self.registry_["setup_method_name"] == "setup_anndata" else features

    @property
    def _features(self) -> dict[str, np.ndarray]:
        """Feature names of each modality, also where the model was loaded without data."""
        fields = self.registry_["field_registries"]
        return {
            name: np.asarray(fields[layer_key(name)]["state_registry"]["column_names"], dtype=str)
            for name in self.modalities
            if layer_key(name) in fields
        }


def _by_modality(argument: str, value: Any, names: list[str], default: float | None = None) -> dict[str, Any]:
    """One value for each modality, from one for all or a mapping, complete unless there is a ``default``."""
    given = dict(value) if isinstance(value, Mapping) else dict.fromkeys(names, value)
    filled = given if default is None else dict.fromkeys(names, default) | given
    if set(filled) != set(names):
        which = f"each of {names}" if default is None else f"some of {names}"
        msg = f"Expected {argument} as one number or for {which}; got it for {list(given)}."
        raise ValueError(msg)
    return {name: filled[name] for name in names}


def _priors_of(choice: Any, defaults: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """A prior's choice for each latent of the fusion, whose ``defaults`` are given, or one that couples all."""
    if isinstance(choice, Mapping) and set(choice) == {COUPLED}:  # as saved
        return dict(choice)
    if isinstance(choice, str | Component) or "name" in choice:
        if Prior.class_of(cast("Any", choice)).couples:
            return {COUPLED: choice}
        return dict.fromkeys(defaults, choice)
    if unknown := sorted(set(choice) - set(defaults)):
        known = f"modalities {names}" if set(defaults) == set(names) else f"the one latent {list(defaults)}"
        msg = f"Expected a prior for {known}; got priors for {unknown}."
        raise ValueError(msg)
    if coupled := [latent for latent, own in choice.items() if Prior.class_of(own).couples]:
        msg = f"Expected prior '{COUPLED}' for all modalities, prior='{COUPLED}'; got it for {coupled} alone."
        raise ValueError(msg)
    return dict(defaults) | dict(choice)
