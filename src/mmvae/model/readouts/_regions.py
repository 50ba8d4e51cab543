"""Which modality is that of chromatin accessibility."""

from mmvae._keys import SETUP_ARGS
from mmvae.data import kind_of, modalities_of
from mmvae.model._data import Data
from mmvae.model._reader import Reader

# Likelihoods that only regions have by default.
OF_REGIONS = ("poisson", "bernoulli")


def region_modality(reader: Reader, data: Data, modality: str | None) -> str:
    """The one that is named, or there is no other; else that of this kind, or where none is, with a likelihood of regions."""
    if modality is not None or len(reader.names) == 1:
        return reader.modality(modality)
    names: dict[str, str] = reader.model.registry_[SETUP_ARGS]["modalities"]
    roles = {name: role for role, name in names.items()}
    known = {name: own for name, own in modalities_of(data, names).items() if name in reader.names}
    found = [name for name, own in known.items() if kind_of(name, own, roles.get(name)) == "atac"]
    found = found or [name for name in reader.names if reader.module.likelihoods[name].name in OF_REGIONS]
    if len(found) != 1:
        msg = f"Expected one modality of chromatin accessibility; found {found} among {reader.names}. Give modality."
        raise ValueError(msg)
    return found[0]


def region_faults(reader: Reader, name: str) -> list[str]:
    """What is wrong with a modality whose regions are to be open or closed."""
    likelihood = reader.module.likelihoods[name]
    if likelihood.values in ("counts", "binary"):
        return []
    return [
        f"Expected a modality of counts, or of open and closed; '{name}' has likelihood '{likelihood.name}'. Give modality."
    ]
