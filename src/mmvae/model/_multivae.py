"""The model class."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from anndata import AnnData
from mudata import MuData

from mmvae._checks import check_is
from mmvae._config import NetworkConfig
from mmvae._keys import SETUP_ARGS, SETUP_METHOD
from mmvae._printing import printable
from mmvae.data import SetupArguments
from mmvae.fusion import Fusion
from mmvae.module import MultiVAEModule
from mmvae.priors import Prior
from mmvae.train import defaults_for, seeded

from ._configuration import check_graph, check_priors, configuration, default_adversary, warn_of_batch
from ._data import Data, ReferenceMemory
from ._loading import Loading
from ._minification import Minifying
from ._reader import features_of, labels_of, number_of_cells
from ._setup import Registration
from ._training import Training
from .readouts import Readouts


class MultiVAE(Registration, Loading, Minifying, Readouts, Training):
    """Multi-encoder variational autoencoder with a learned prior for each modality.

    Every modality has its own encoder, latent and prior; the latents are fused, by concatenation unless asked
    otherwise, and every modality is decoded from the fused latent. Cells need not have every modality.

    Parameters
    ----------
    mdata
        MuData registered with :meth:`setup_mudata`, or AnnData registered with :meth:`setup_anndata`.
    registry
        What was registered, in place of data: that of a :class:`~mmvae.MosaicDataModule`, or, for another data module,
        that of a model of a part of the data with the same features and categories.
    n_latent
        Latent dimensions of each modality, as one number or by modality. By default 10 below 3,000 cells, 15 below
        30,000, else 20.
    n_hidden, n_layers
        Width of the hidden layers of encoders and decoders, 128 below 30,000 cells, else 256; hidden layers of an
        encoder, 1 below 3,000 cells, else 2.
    dropout_rate, input_dropout
        Probabilities with which a hidden unit of an encoder is dropped in training, and with which a feature is hidden
        from its encoder; the latter as one number or by modality, 0 for those that are not named.
    prior
        Prior of each latent: ``"mog"``, ``"normal"``, ``"gaussian"``, ``"vamp"``, ``"flow"``, ``"labels"``,
        ``"conditional"`` (on ``prior_covariate_keys``), ``"mmvm"`` (the modalities' posteriors), ``"gmrf"`` (neighbours
        in space), one of your own (:class:`~mmvae.priors.Prior`), a mapping, ``{"name": "mog", "n_components": 30}``,
        or one of these by modality, ``{"rna": "mog", "protein": "normal"}``. Or ``"coupled"``, one for all latents. By
        default ``"mog"``, for modalities that :func:`mmvae.pp.spatial` made of neighbours ``"gmrf"``.
    fusion
        ``"concat"``, ``"attention"`` (a concatenation in which modalities read one another), ``"poe"``, ``"moe"`` or
        ``"mopoe"`` (one joint latent and one prior), or one of your own (:class:`~mmvae.fusion.Fusion`).
    modality_dropout
        Share of the cells with several modalities that lose some at the encoders, in training. Without it a model of
        complete cells is of little use for cells that have one modality.
    modality_weights
        Weight of a modality's likelihood in the loss, by modality. By default 1, the only choice under which the loss
        is a bound, and for sums over neighbours one over their number, since each count is in as many of them.
    kl_scale
        Weight of the KL in the loss; 1 is the bound.
    batch_adversary
        Weight, in nats, of a classifier of batches that the encoders learn to mislead, where there are several batches;
        0 leaves it out. It mixes batches further, and takes with it what is found in one batch alone, the more so the
        fewer counts tell of it. By default 10, which lost nothing where batches hold the same types and up to 0.04 of
        the scores of cell types where most types were in one batch alone, and 0 for data with a graph of neighbours: on
        simulated sections of different tissues it lost half of the niches.
    seed
        Of the initial weights, and of :meth:`train`, which says what it decides.
    extra_payload_autotune
        Given by scvi-tools' tuner where it scores latents, which it finds with and without.

    Examples
    --------
    >>> mdata = mmvae.datasets.simulate(500, missing=0.3)
    >>> mmvae.MultiVAE.setup_mudata(mdata, batch_key="batch")
    >>> model = mmvae.MultiVAE(mdata)
    >>> model.train()
    >>> mdata.obsm["X_mmvae"] = model.get_latent_representation()

    Notes
    -----
    ``mdata.obsmap`` says what a cell has; rows may be in any order. Modalities that no cell bridges are refused.

    Defaults of ``prior``, ``fusion``, ``input_dropout`` and ``batch_adversary``, and the sizes below 3,000 cells, were
    chosen on public sets of 220 to 1,262 cells of RNA with protein, with ATAC, of all three as a mosaic, and of bulk
    tumours, with their labels in view (``docs/evidence.md``); the sizes above follow scvi-tools' heuristics, under which
    6,855 cells of CITE-seq were not over-trained in 90 epochs. What keeps fewer cells from being learnt by heart, the prior
    of the decoders' loadings (``loading_sd``, see :meth:`train`), and which epoch is kept were chosen on such sets, too, by
    bounds of held-out cells, matches of their views through one modality, imputation, and types in each latent.
    ``modality_dropout`` was chosen in simulation: without it the RNA latent of a model of complete cells does not hold
    what RNA alone could tell.
    """

    _module_cls = MultiVAEModule

    def __init__(
        self,
        mdata: Data | None = None,
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
        extra_payload_autotune: bool = False,
    ) -> None:
        if mdata is not None:
            check_is("mdata", mdata, MuData, AnnData)
        super().__init__(mdata, registry)
        # Sizes are settled here and saved, so that a query of another size does not change them.
        sizes = asdict(defaults_for(number_of_cells(self.registry_) if mdata is None else mdata.n_obs))
        given = {"n_latent": n_latent, "n_hidden": n_hidden, "n_layers": n_layers, "dropout_rate": dropout_rate}
        sizes = {name: sizes[name] if value is None else value for name, value in given.items()}
        chosen = {"n_latent": sizes.pop("n_latent"), "seed": seed}
        chosen |= {"modality_weights": modality_weights, "input_dropout": input_dropout}
        adversary = default_adversary(mdata) if batch_adversary is None else batch_adversary
        network = NetworkConfig(
            **sizes, modality_dropout=modality_dropout, kl_scale=kl_scale, batch_adversary=adversary
        )
        config = configuration(self.registry_, mdata, network, chosen, prior, fusion)
        with seeded(seed):
            self.module = MultiVAEModule(config)
        check_priors(self.module)
        if mdata is not None:
            self.adata_manager.check_unchanged(every_value=True)
            self.adata_manager.check_columns()
            check_graph(self.module.priors.values(), mdata)
            warn_of_batch(self.module, mdata, SetupArguments.of(self.registry_[SETUP_ARGS]))
            self._count_pairs()
        self.seed = seed
        self.memory_ = dict(vars(ReferenceMemory()))
        self.best_epoch_ = None
        self.training_report_ = []
        self._model_summary_string = self._summary()
        settled = {"prior": {name: p.spec() for name, p in self.module.priors.items()}, "seed": seed}
        settled |= {"fusion": self.module.fusion.spec()} | asdict(network)
        fields = {"n_latent": "n_latent", "input_dropout": "input_dropout", "modality_weights": "weight"}
        for argument, field in fields.items():
            settled[argument] = {name: getattr(m, field) for name, m in config.modalities.items()}
        self.init_params_ = self._get_init_params(settled)

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities."""
        return list(self.module.names)

    @property
    def labels(self) -> list[str]:
        """The labels that were registered, those of cells without a label left out; empty without ``labels_key``."""
        return labels_of(self.registry_)

    def _summary(self) -> str:
        module, rows = self.module, []
        for name in self.modalities:
            likelihood = module.likelihoods[name]
            prior = f"prior {module.priors[name].name}, " if name in module.priors else ""
            rows.append(
                f"  {printable(name)}: {likelihood.n_features:,} features, likelihood {likelihood.name}, {prior}"
                f"{module.fusion.n_latent[name]} latent dimensions"
            )
        joint = [f"prior {p.name}" for n, p in module.priors.items() if n not in self.modalities]
        fused = ", ".join([f"fusion {module.fusion.name}", *joint, f"{module.fusion.n_output} fused dimensions"])
        return "\n".join([f"MultiVAE of {len(rows)} modalities; {fused}", *rows])

    def __repr__(self) -> str:
        trained = "trained" if self.is_trained_ else "not trained"
        cells = "no data" if self.adata is None else f"{self.adata.n_obs:,} cells"
        minified = "" if self.minified_data_type is None else ", minified"
        return f"{self._model_summary_string}\n{cells}{minified}; {trained}"

    def get_var_names(self, legacy_mudata_format: bool = False) -> dict[str, np.ndarray] | np.ndarray:
        """Feature names of each modality; an array where the model was set up with an AnnData, as scvi-tools has it."""
        features = features_of(self.registry_, self.modalities)
        return next(iter(features.values())) if self.registry_[SETUP_METHOD] == "setup_anndata" else features
