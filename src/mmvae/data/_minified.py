"""Minified data: posteriors of cells in place of their values. n_m cells that have modality m, D_m latent dimensions."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from mmvae._keys import MINIFIED, MINIFY_TYPE, OBSERVED_DEPTH, POSTERIORS, POSTERIORS_WITH_COUNTS, SCVI_UUID

from ._access import annotations_of, joined, modalities_of

WAYS = (POSTERIORS, POSTERIORS_WITH_COUNTS)


@dataclass(frozen=True)
class StoredPosterior:
    """Mean and variance, ``(n_m, D_m)``, and size factor, ``(n_m, 1)``, of each row of a modality."""

    mean: np.ndarray
    variance: np.ndarray
    size_factor: np.ndarray


@dataclass(frozen=True)
class Minification:
    """How data are minified: in what way, under which keys of ``obsm`` the posteriors are, and a digest of the encoders."""

    way: str
    mean: str
    variance: str
    encoders: str

    @classmethod
    def of(cls, data: AnnData | MuData) -> "Minification | None":
        """That of ``data``; ``None`` if they hold their values alone."""
        return cls(data.uns[MINIFY_TYPE], **data.uns[MINIFIED]) if MINIFY_TYPE in data.uns else None

    @property
    def has_values(self) -> bool:
        """Whether the data hold their values, too."""
        return self.way == POSTERIORS_WITH_COUNTS

    @property
    def uns(self) -> dict[str, object]:
        """What says so in ``uns``, for :meth:`of` and for scvi-tools."""
        own = {"mean": self.mean, "variance": self.variance, "encoders": self.encoders}
        return {MINIFY_TYPE: self.way, MINIFIED: own}

    def apply(
        self, data: AnnData | MuData, layers: Mapping[str, str | None], stored: Mapping[str, StoredPosterior]
    ) -> AnnData | MuData:
        """New data with the posteriors, registered ``layers`` as zeros; all else but ``obs`` and ``var`` is shared."""
        modalities = modalities_of(data, {name: name for name in layers})
        parts = {name: self._part(adata, layers.get(name)) for name, adata in modalities.items()}
        for name, own in stored.items():
            parts[name].obsm[self.mean], parts[name].obsm[self.variance] = own.mean, own.variance
            parts[name].obs[OBSERVED_DEPTH] = own.size_factor.ravel()
        if isinstance(data, AnnData):
            (new,) = parts.values()
        else:
            new = joined(parts, data.obs.copy(), annotations_of(data))
        new.uns.pop(SCVI_UUID, None)
        new.uns.update(self.uns)
        return new

    def _part(self, adata: AnnData, layer: str | None) -> AnnData:
        """A modality with the values that are kept: all, or zeros in their place."""
        layers = {key: values for key, values in adata.layers.items() if key is not None}
        x, zeros = adata.X, sp.csr_matrix(adata.shape, dtype=np.float32)
        if not self.has_values:
            x, layers = zeros, {} if layer is None else {layer: zeros.copy()}
        more = {key: dict(getattr(adata, key)) for key in ("uns", "obsm", "varm", "obsp", "varp")}
        return AnnData(x, obs=adata.obs.copy(), var=adata.var.copy(), layers=layers, **more)


def stored_posteriors(data: AnnData | MuData, names: list[str]) -> dict[str, StoredPosterior]:
    """Posteriors of each modality, of no row where the data lack it; nothing where the data are not minified."""
    if (how := Minification.of(data)) is None:
        return {}
    found = dict.fromkeys(names, StoredPosterior(*(np.zeros((0, width), np.float32) for width in (0, 0, 1))))
    for name, adata in modalities_of(data, {name: name for name in names}).items():
        if name in found:
            parts = adata.obsm[how.mean], adata.obsm[how.variance], adata.obs[[OBSERVED_DEPTH]]
            found[name] = StoredPosterior(*(np.asarray(part, dtype=np.float32) for part in parts))
    return found


def minified_faults(data: AnnData | MuData, names: list[str]) -> list[str]:
    """Modalities of minified data that lack what stands in place of their values."""
    how = Minification.of(data)
    return [
        f"modality '{name}' is minified and lacks {lost}. Minify the data anew."
        for name, adata in modalities_of(data, {name: name for name in names}).items()
        if how is not None and name in names
        for lost in _lost(adata, how)
    ]


def _lost(adata: AnnData, how: Minification) -> list[str]:
    lost = [f"obsm['{key}']" for key in (how.mean, how.variance) if key not in adata.obsm]
    return lost if OBSERVED_DEPTH in adata.obs else [*lost, f"obs['{OBSERVED_DEPTH}']"]
