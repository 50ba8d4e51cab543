"""Assays of the same genes and different cells as one modality. C cells, G genes."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any, Self

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from mmvae._errors import SetupError
from mmvae._keys import SPATIAL
from mmvae.data import choose_layer, is_supported, presence_of, shared_cells, values_of

# Assays of one tissue that share fewer than this of the smaller one's genes do not call them alike.
FEW = 0.1
# Names that agree in this many times more genes than the present ones are meant.
MUCH = 2
EXAMPLES = 3


def join_features(adatas: Mapping[str, AnnData] | MuData, *, key: str = "assay") -> AnnData:
    """Put the cells of several assays below each other, with the genes that all of them measured.

    Dissociated cells and the spots of a section share genes but no cell. Nothing connects them as two modalities; as one
    whose batch is the assay, labels of the cells can be predicted for the spots. Nothing of ``adatas`` is changed.

    Genes that an assay lacks are left out, since a zero would say that it looked for them. Choose genes that vary
    afterwards: those chosen in each assay alone have few in common.

    Parameters
    ----------
    adatas
        The assays by name, such as ``{"scrna": cells, "visium": spots}``, each with counts in X or in a layer named
        ``counts``; or a MuData whose modalities have no cell in common.
    key
        Column of ``obs`` that is to name the assay.

    Returns
    -------
    AnnData ``(n_cells, n_shared_genes)``, assay after assay, genes in the order of the first:

    - ``X``: counts; other values where no assay has counts. Sparse (CSR) if any assay's are;
    - ``obs``: all columns, missing where an assay has no such column, and ``key``, a category. Of a MuData also the columns
      that it alone holds;
    - ``var``: the columns that all assays have and agree on;
    - ``obsm``: all keys, NaN where an assay has no such key, as cells have no places (zeros in a sparse one);
    - ``uns["spatial"]``: images of all assays. Images of one name that differ are left out.

    Raises
    ------
    SetupError
        If the assays cannot be joined; the message lists all reasons.
    TypeError
        If ``adatas`` is neither a mapping of AnnData nor a MuData.

    Warns
    -----
    UserWarning
        If assays use the same names for cells. All names are then preceded by the assay's, as in ``"visium:AAACAAG-1"``.

    Notes
    -----
    A spot holds several cells: probabilities that :meth:`~mmvae.MultiVAE.predict` gives for it say which type its latent is
    most like, and are no proportions. Labels of the spots, such as regions, are of another kind: give the cells' labels in a
    column that the spots lack.

    Examples
    --------
    >>> joined = mmvae.pp.join_features({"scrna": cells, "visium": spots})
    >>> mmvae.MultiVAE.setup_anndata(joined, batch_key="assay", labels_key="cell_type")
    >>> model = mmvae.MultiVAE(joined)
    >>> model.train()
    >>> probabilities = model.predict(indices=(joined.obs["assay"] == "visium").to_numpy(), soft=True)
    >>> confidence = probabilities.max(axis=1)
    """
    taken = _Assays.of(adatas, key)
    if faults := taken.faults():
        raise SetupError(faults)
    cells = [cell for adata in taken.adatas.values() for cell in adata.obs_names]
    names_clash = len(set(cells)) < len(cells)
    if names_clash:
        msg = "Assays use the same names for cells, so each name is preceded by that of its assay."
        warnings.warn(msg, UserWarning, stacklevel=2)
    parts = [_part(taken, name, f"{name}:" if names_clash else "") for name in taken.adatas]
    joined = anndata.concat(parts, join="outer", merge="same", uns_merge="unique")
    joined.obs[key] = pd.Categorical(joined.obs[key], categories=list(taken.adatas))
    return joined


@dataclass(frozen=True)
class _Assays:
    """Arguments of :func:`join_features`."""

    adatas: Mapping[str, AnnData]
    key: str
    # Faults of the object that the assays came in, and columns and images that it alone holds.
    found: tuple[str, ...] = ()
    columns: pd.DataFrame | None = None
    uns: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Mapping[str, AnnData] | MuData, key: str) -> Self:
        """Arguments as the user gives them; a ``TypeError`` for ``data`` of another type."""
        if isinstance(data, MuData):
            return cls(dict(data.mod), key, tuple(_shared_cell_faults(data)), _own_columns(data), data.uns)
        if not isinstance(data, Mapping):
            msg = f"Expected a mapping of names to AnnData, or a MuData; got {type(data).__name__}."
            raise TypeError(f"{msg} Give such as {{'scrna': cells, 'visium': spots}}.")
        if wrong := {name: type(adata).__name__ for name, adata in data.items() if not isinstance(adata, AnnData)}:
            msg = f"Expected an AnnData of each assay; got {wrong}. Make one of each."
            raise TypeError(msg)
        return cls({str(name): adata for name, adata in data.items()}, key)

    @cached_property
    def shared(self) -> pd.Index:
        """Genes of all assays, in the order of the first."""
        first, *others = [adata.var_names for adata in self.adatas.values()]
        for names in others:
            first = first[first.isin(names)]
        return first

    @cached_property
    def layers(self) -> dict[str, tuple[str | None, bool]]:
        """By assay, the layer to take and whether it is counts."""
        chosen = {name: choose_layer(adata) for name, adata in self.adatas.items()}
        return {name: (layer, found.is_counts) for name, (layer, found, _) in chosen.items()}

    def obs_of(self, name: str) -> pd.DataFrame:
        """What is known of an assay's cells."""
        obs = self.adatas[name].obs
        return obs if self.columns is None else obs.join(self.columns)

    def faults(self) -> list[str]:
        """Everything that is wrong, a sentence each."""
        if len(self.adatas) < 2:
            return [f"expected two assays at the least; got {list(self.adatas)}."]
        each = [fault for name, adata in self.adatas.items() for fault in _faults_of(name, adata)]
        faults = [*self.found, *each, *self._key_faults(), *self._matrix_faults()]
        empty = any(0 in adata.shape for adata in self.adatas.values())
        return faults if empty else faults + self._value_faults() + self._gene_faults()

    def _key_faults(self) -> list[str]:
        """Assays whose column of that name says something else."""
        faults = []
        for name in self.adatas:
            obs = self.obs_of(name)
            if self.key in obs and not (obs[self.key].astype(str) == name).all():
                values = obs[self.key].unique()[:EXAMPLES].tolist()
                faults.append(
                    f"'{name}' has a column '{self.key}' of other content, such as {values}. Give another key, or drop it."
                )
        return faults

    def _matrix_faults(self) -> list[str]:
        """Matrices in ``obsm`` that cannot be put below each other."""
        kinds: dict[str, set[bool]] = {}
        for adata in self.adatas.values():
            for key, values in adata.obsm.items():
                kinds.setdefault(key, set()).add(isinstance(values, pd.DataFrame))
        return [
            f"obsm['{key}'] is a DataFrame in one assay and an array in another. Make them alike, or drop it."
            for key, found in kinds.items()
            if len(found) > 1
        ]

    def _value_faults(self) -> list[str]:
        if not all(is_supported(adata.X) for adata in self.adatas.values()):
            return []
        counts = [name for name, (_, is_counts) in self.layers.items() if is_counts]
        others = [name for name in self.layers if name not in counts]
        if not (counts and others):
            return []
        return [f"{counts} hold counts and {others} do not. Put their counts in X, or in a layer named 'counts'."]

    def _gene_faults(self) -> list[str]:
        """Few genes in common, and what names would have more."""
        least = min(adata.n_vars for adata in self.adatas.values())
        hints = [hint for pair in combinations(self.adatas, 2) for hint in self._pair_hints(*pair)]
        if len(self.shared) >= FEW * least and not hints:
            return []
        examples = {name: list(adata.var_names[:EXAMPLES]) for name, adata in self.adatas.items()}
        advice = " ".join(hints) or "Name genes alike, or take the shared ones yourself if there are no more."
        return [
            f"the assays share {len(self.shared):,} genes, of {least:,} at the most; they begin {examples}. {advice}"
        ]

    def _pair_hints(self, left: str, right: str) -> list[str]:
        """Columns of ``var``, or spellings, in which two assays have many more genes in common."""
        one, two = self.adatas[left], self.adatas[right]
        now = len(one.var_names.intersection(two.var_names))
        hints = [
            f"{n:,} are shared if '{name}' is named by its column '{column}': var_names = var['{column}']."
            for name, adata, other in ((left, one, two), (right, two, one))
            for column in adata.var.select_dtypes(exclude="number")
            if (n := int(other.var_names.isin(adata.var[column].astype(str)).sum())) > MUCH * now
        ]
        n = len(set(one.var_names.str.upper()) & set(two.var_names.str.upper()))
        if n > MUCH * now:
            hints.append(
                f"'{left}' and '{right}' share {n:,} if upper and lower case are not told apart, as between human and "
                "mouse: var_names = var_names.str.upper()."
            )
        if hints:
            return hints
        by_id = [bool(adata.var_names.str.match(r"ENS[A-Z]*G\d").mean() > 0.5) for adata in (one, two)]
        if by_id[0] == by_id[1]:
            return []
        ids, symbols = (left, right) if by_id[0] else (right, left)
        return [f"'{ids}' has Ensembl ids and '{symbols}' symbols: translate one of them."]


def _faults_of(name: str, adata: AnnData) -> list[str]:
    """Faults of one assay."""
    if 0 in adata.shape:
        return [f"'{name}' is empty: it has {adata.n_obs} cells and {adata.n_vars} genes. Leave it out."]
    faults = []
    if not is_supported(adata.X):
        faults.append(f"'{name}': expected X in a numpy array or a CSR or CSC matrix; got {type(adata.X).__name__}.")
    for what, axis, names in (("genes", "var", adata.var_names), ("cells", "obs", adata.obs_names)):
        if n := int(names.duplicated().sum()):
            faults.append(f"'{name}': {n} names of {what} are repeated. Use adata.{axis}_names_make_unique().")
    return faults


def _shared_cell_faults(mdata: MuData) -> list[str]:
    """Modalities that have cells in common, which are not assays of different cells."""
    names = list(mdata.mod)
    shared = shared_cells(presence_of(mdata, names))
    return [
        f"{shared[i, j]:,} cells have both '{names[i]}' and '{names[j]}', so these are two modalities: use setup_mudata, or "
        "give a mapping of AnnData whose cells have names of their own."
        for i, j in combinations(range(len(names)), 2)
        if shared[i, j]
    ]


def _own_columns(mdata: MuData) -> pd.DataFrame:
    """Columns of ``mdata.obs`` that no modality has."""
    known = {column for adata in mdata.mod.values() for column in adata.obs}
    pulled = tuple(f"{name}:" for name in mdata.mod)
    return mdata.obs[[c for c in mdata.obs if c not in known and not str(c).startswith(pulled)]]


def _part(taken: _Assays, name: str, prefix: str) -> AnnData:
    """What is taken of an assay."""
    adata, (layer, _) = taken.adatas[name], taken.layers[name]
    values: Any = values_of(adata, layer)
    if hasattr(values, "to_memory"):
        values = values.to_memory()
    values = values.tocsr() if sp.issparse(values) else np.asarray(values)
    obs = taken.obs_of(name).assign(**{taken.key: name})
    genes = adata.var_names.get_indexer(taken.shared)
    part = AnnData(values[:, genes], obs=obs, var=adata.var.loc[taken.shared], obsm=dict(adata.obsm))
    part.obs_names = prefix + part.obs_names
    if images := {**taken.uns.get(SPATIAL, {}), **adata.uns.get(SPATIAL, {})}:
        part.uns[SPATIAL] = images
    return part
