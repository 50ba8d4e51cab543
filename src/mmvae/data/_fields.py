"""scvi-tools fields for a set-up."""

from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS
from scvi.data import fields

from mmvae._keys import PRIOR_COVARIATES, layer_key, size_factor_key

from .setup import Setup


def fields_of(data: AnnData | MuData, setup: Setup) -> list[fields.BaseAnnDataField]:
    """Fields that register ``setup``; values were checked before and are not touched."""
    prefix = "" if isinstance(data, AnnData) else "MuData"
    layer, labels, category, number, categories, numbers = (
        getattr(fields, prefix + name)
        for name in (
            "LayerField",
            "LabelsWithUnlabeledObsField",
            "CategoricalObsField",
            "NumericalObsField",
            "CategoricalJointObsField",
            "NumericalJointObsField",
        )
    )
    by_role = {
        role: [c.name for c in setup.columns if c.role == role]
        for role in ("categorical", "continuous", "prior_covariate")
    }
    single = {c.role: c.name for c in setup.columns if c.role in ("batch", "labels")}
    unchecked = {"is_count_data": False, "correct_data_format": False}
    where = {m.name: {"mod_key": m.name} if prefix else {} for m in setup.modalities}
    return [
        *(layer(layer_key(m.name), m.layer, **unchecked, **where[m.name]) for m in setup.modalities),
        category(REGISTRY_KEYS.BATCH_KEY, single.get("batch")),
        *([labels(REGISTRY_KEYS.LABELS_KEY, single["labels"], setup.unlabelled)] if "labels" in single else []),
        categories(REGISTRY_KEYS.CAT_COVS_KEY, by_role["categorical"]),
        numbers(REGISTRY_KEYS.CONT_COVS_KEY, by_role["continuous"]),
        categories(PRIOR_COVARIATES, by_role["prior_covariate"]),
        *(number(size_factor_key(c.detail), c.name) for c in setup.columns if c.role == "size_factor"),
    ]
