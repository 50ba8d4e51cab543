"""Assays of the same genes and different cells as one modality. C cells, G genes."""

import warnings
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from mudata import MuData

from mmvae._checks import check_texts
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
    check_texts(key=key)
    assays = _assays(adatas)
    obs = _observations(adatas, assays)
    layers = {name: choose_layer(adata)[:2] for name, adata in assays.items() if is_supported(adata.X)}
    counts = {name: found.is_counts for name, (_, found) in layers.items()}
    if faults := _faults(adatas, assays, obs, counts, key):
        raise SetupError(faults)
    cells = [cell for adata in assays.values() for cell in adata.obs_names]
    names_clash = len(set(cells)) < len(cells)
    if names_clash:
        msg = "Assays use the same names for cells, so each name is preceded by that of its assay."
        warnings.warn(msg, UserWarning, stacklevel=2)
    shared = _shared_genes(assays)
    images = adatas.uns.get(SPATIAL, {}) if isinstance(adatas, MuData) else {}
    parts = []
    for name, adata in assays.items():
        part = _part(adata, layers[name][0], shared, obs[name].assign(**{key: name}), images)
        part.obs_names = f"{name}:" + part.obs_names if names_clash else part.obs_names
        parts.append(part)
    joined = anndata.concat(parts, join="outer", merge="same", uns_merge="unique")
    joined.obs[key] = pd.Categorical(joined.obs[key], categories=list(assays))
    return joined


def _assays(data: Mapping[str, AnnData] | MuData) -> dict[str, AnnData]:
    """The assays by name; a ``TypeError`` for ``data`` of another type."""
    if isinstance(data, MuData):
        return dict(data.mod)
    if not isinstance(data, Mapping):
        msg = f"Expected a mapping of names to AnnData, or a MuData; got {type(data).__name__}."
        raise TypeError(f"{msg} Give such as {{'scrna': cells, 'visium': spots}}.")
    if wrong := {name: type(adata).__name__ for name, adata in data.items() if not isinstance(adata, AnnData)}:
        msg = f"Expected an AnnData of each assay; got {wrong}. Make one of each."
        raise TypeError(msg)
    return {str(name): adata for name, adata in data.items()}


def _observations(data: Mapping[str, AnnData] | MuData, assays: Mapping[str, AnnData]) -> dict[str, pd.DataFrame]:
    """What is known of the cells of each assay; of a MuData also by the columns that no modality has."""
    if not isinstance(data, MuData):
        return {name: adata.obs for name, adata in assays.items()}
    known = {column for adata in assays.values() for column in adata.obs}
    pulled = tuple(f"{name}:" for name in assays)
    own = data.obs[[c for c in data.obs if c not in known and not str(c).startswith(pulled)]]
    return {name: adata.obs.join(own) for name, adata in assays.items()}


def _shared_genes(assays: Mapping[str, AnnData]) -> pd.Index:
    """Genes of all assays, in the order of the first."""
    first, *others = [adata.var_names for adata in assays.values()]
    return first[np.all([first.isin(names) for names in others], axis=0)]


def _faults(
    data: Mapping[str, AnnData] | MuData,
    assays: Mapping[str, AnnData],
    obs: Mapping[str, pd.DataFrame],
    counts: Mapping[str, bool],
    key: str,
) -> list[str]:
    """Everything that is wrong, a sentence each."""
    if len(assays) < 2:
        return [f"expected two assays at the least; got {list(assays)}."]
    faults = _shared_cell_faults(data) if isinstance(data, MuData) else []
    faults += [fault for name, adata in assays.items() for fault in _faults_of(name, adata)]
    for name, table in obs.items():
        if key in table and not (table[key].astype(str) == name).all():
            values = table[key].unique()[:EXAMPLES].tolist()
            faults.append(
                f"'{name}' has a column '{key}' of other content, such as {values}. Give another key, or drop it."
            )
    for name in dict.fromkeys(key for adata in assays.values() for key in adata.obsm):
        if len({isinstance(adata.obsm[name], pd.DataFrame) for adata in assays.values() if name in adata.obsm}) > 1:
            faults.append(
                f"obsm['{name}'] is a DataFrame in one assay and an array in another. Make them alike, or drop it."
            )
    if any(0 in adata.shape for adata in assays.values()):
        return faults
    with_counts, without = [[name for name in counts if counts[name] is wanted] for wanted in (True, False)]
    if len(counts) == len(assays) and with_counts and without:
        faults.append(
            f"{with_counts} hold counts and {without} do not. Put their counts in X, or in a layer named 'counts'."
        )
    return faults + _gene_faults(assays)


def _gene_faults(assays: Mapping[str, AnnData]) -> list[str]:
    """Few genes in common, and what names would have more."""
    n_shared, least = len(_shared_genes(assays)), min(adata.n_vars for adata in assays.values())
    hints = [hint for pair in combinations(assays, 2) for hint in _pair_hints(assays, *pair)]
    if n_shared >= FEW * least and not hints:
        return []
    examples = {name: list(adata.var_names[:EXAMPLES]) for name, adata in assays.items()}
    advice = " ".join(hints) or "Name genes alike, or take the shared ones yourself if there are no more."
    return [f"the assays share {n_shared:,} genes, of {least:,} at the most; they begin {examples}. {advice}"]


def _pair_hints(assays: Mapping[str, AnnData], left: str, right: str) -> list[str]:
    """Columns of ``var``, or spellings, in which two assays have many more genes in common."""
    one, two = assays[left], assays[right]
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


def _part(adata: AnnData, layer: str | None, genes: pd.Index, obs: pd.DataFrame, images: Mapping[str, Any]) -> AnnData:
    """What is taken of an assay."""
    values: Any = values_of(adata, layer)
    if hasattr(values, "to_memory"):
        values = values.to_memory()
    values = values.tocsr() if sp.issparse(values) else np.asarray(values)
    values = values[:, adata.var_names.get_indexer(genes)]
    part = AnnData(values, obs=obs, var=adata.var.loc[genes], obsm=dict(adata.obsm))
    if images := {**images, **adata.uns.get(SPATIAL, {})}:
        part.uns[SPATIAL] = images
    return part
