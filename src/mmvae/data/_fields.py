"""scvi-tools' fields of mosaic data. G features."""

from typing import Any, get_args

from anndata import AnnData
from mudata import MuData
from scvi import REGISTRY_KEYS
from scvi.data import fields

from mmvae._keys import PRIOR_COVARIATES, layer_key, size_factor_key

from .setup._columns import Role
from .setup._modality import Setup


class ModalityField(fields.LayerField):
    """Values of a modality, ``(n_cells, G)``; those of a query are of the reference's features, whatever else it has."""

    def transfer_field(self, state_registry: dict, adata_target: AnnData, **kwargs: Any) -> dict:
        """Register other data, whose features may be in another order and more than those of the reference."""
        return dict(state_registry) | {self.N_OBS_KEY: self.register_field(adata_target)[self.N_OBS_KEY]}


MuDataModalityField = fields.MuDataWrapper(ModalityField)


def fields_of(data: AnnData | MuData, setup: Setup) -> list[fields.BaseAnnDataField]:
    """Fields that register ``setup``; values were checked before and are not touched."""
    prefix = "" if isinstance(data, AnnData) else "MuData"

    def field(kind: str, *arguments: Any) -> fields.BaseAnnDataField:
        return getattr(fields, f"{prefix}{kind}Field")(*arguments)

    unchecked = {"is_count_data": False, "correct_data_format": False}
    layer: Any = MuDataModalityField if prefix else ModalityField
    where = {m.name: {"mod_key": m.name} if prefix else {} for m in setup.modalities}
    by_role = {role: [c.name for c in setup.columns if c.role == role] for role in get_args(Role)}
    return [
        *(layer(layer_key(m.name), m.layer, **unchecked, **where[m.name]) for m in setup.modalities),
        field("CategoricalObs", REGISTRY_KEYS.BATCH_KEY, next(iter(by_role["batch"]), None)),
        *(field("LabelsWithUnlabeledObs", REGISTRY_KEYS.LABELS_KEY, n, setup.unlabelled) for n in by_role["labels"]),
        field("CategoricalJointObs", REGISTRY_KEYS.CAT_COVS_KEY, by_role["categorical"]),
        field("NumericalJointObs", REGISTRY_KEYS.CONT_COVS_KEY, by_role["continuous"]),
        field("CategoricalJointObs", PRIOR_COVARIATES, by_role["prior_covariate"]),
        *(field("NumericalObs", size_factor_key(c.detail), c.name) for c in setup.columns if c.role == "size_factor"),
    ]
