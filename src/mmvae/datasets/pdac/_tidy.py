"""The pancreatic cancer Visium data in the shape in which they are used. S spots, G genes, K sections."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray
from scipy.sparse import issparse

from mmvae._errors import SetupError
from mmvae._keys import COUNT_LAYERS
from mmvae.data import BLOCK_VALUES

from ._sections import ARRAY_PREFIX, PREFIX, SECTION, TISSUES, is_section, tissue_of

Masks = NDArray[np.bool_]

NOT_COUNTS = "normalized"


def tidy_pdac(adata: AnnData) -> AnnData:
    """Bring the coordinates of all sections together, name slides and tissues, and put the counts in X.

    Parameters
    ----------
    adata
        The data as :func:`~mmvae.datasets.pdac_visium` describes the file: ``obsm["spatial_<section>"]`` for each
        section, shape ``(n_spots, 2)``, NaN in the rows of other sections. It is left as it is, but the result shares
        its matrices.

    Returns
    -------
    The same spots and genes, with ``obsm["spatial"]``, shape ``(n_spots, 2)``, in place of the sections' arrays,
    ``obs["slide"]`` and ``obs["tissue"]``. Where X does not hold counts, it moves to ``layers["normalized"]`` and the
    first layer that does, or ``raw``, takes its place.

    Raises
    ------
    SetupError
        Spots without coordinates or with several, a section whose name does not say its tissue, or no counts
        anywhere. The message lists all that was found.
    """
    arrays = {
        key.removeprefix(ARRAY_PREFIX): np.asarray(adata.obsm[key], dtype=np.float64)
        for key in adata.obsm
        if key.startswith(ARRAY_PREFIX)
    }
    has = _presence(arrays, adata.n_obs)
    counts = _find_counts(adata)
    faults = _section_faults(arrays) + _spot_faults(adata, has, list(arrays))
    if counts is None:
        faults.append(_no_counts(adata))
    if faults or counts is None:
        raise SetupError(faults)
    slide = has.argmax(axis=1)
    position = np.stack([array[:, :2] for array in arrays.values()])[slide, np.arange(adata.n_obs)]
    return _rebuild(adata, counts, _label(adata, slide, list(arrays)), position)


def _presence(arrays: Mapping[str, NDArray[np.float64]], n_spots: int) -> Masks:
    """Which spots have coordinates in which section, shape ``(n_spots, n_sections)``."""
    columns = [np.isfinite(array[:, :2]).all(axis=1) for array in arrays.values()]
    return np.column_stack(columns) if columns else np.zeros((n_spots, 0), dtype=bool)


def _section_faults(arrays: Mapping[str, NDArray[np.float64]]) -> list[str]:
    if not arrays:
        return [f"Expected coordinates in obsm['{ARRAY_PREFIX}<section>']; got no such array. Pass the file as it is."]
    nameless = [section for section in arrays if not is_section(section)]
    if nameless:
        return [
            f"Expected sections to be named after one of {list(TISSUES)} and a number, such as '{PREFIX}HM2'; got "
            f"{nameless}. Rename the arrays '{ARRAY_PREFIX}<section>'."
        ]
    return []


def _spot_faults(adata: AnnData, has: Masks, sections: Sequence[str]) -> list[str]:
    """What is wrong with the spots' coordinates; nothing is said of them where there are no sections."""
    if not sections:
        return []
    times = has.sum(axis=1)
    faults = []
    if (times == 0).any():
        faults.append(
            f"Expected coordinates of every spot; got none for {int((times == 0).sum()):,} spots of sections "
            f"{_sections_of(adata, times == 0)}. Drop these spots, or give them coordinates."
        )
    if (times > 1).any():
        several = np.array(sections)[has[times > 1].any(axis=0)].tolist()
        faults.append(
            f"Expected each spot to have coordinates in one section; got several for {int((times > 1).sum()):,} spots, "
            f"in {several}. Put NaN where a spot is of another section."
        )
    if not faults and SECTION in adata.obs:
        faults += _strays(adata, has.argmax(axis=1), sections)
    return faults


def _strays(adata: AnnData, slide: NDArray[np.intp], sections: Sequence[str]) -> list[str]:
    placed = np.array([section.removeprefix(PREFIX) for section in sections])[slide]
    said = adata.obs[SECTION].astype(str).str.removeprefix(PREFIX).to_numpy()
    astray = placed != said
    if not astray.any():
        return []
    return [
        f"Expected coordinates in the section of obs['{SECTION}']; got others for {int(astray.sum()):,} spots of "
        f"sections {_sections_of(adata, astray)}. Correct the column or the arrays."
    ]


def _sections_of(adata: AnnData, spots: NDArray[np.bool_]) -> list[str] | str:
    return sorted(set(adata.obs[SECTION].astype(str)[spots])) if SECTION in adata.obs else "not known"


def _find_counts(adata: AnnData) -> tuple[Any, str | None] | None:
    """The counts and the layer they come from, ``None`` for X or ``raw``; ``None`` where there are none."""
    if _holds_counts(adata.X):
        return adata.X, None
    layers = _layer_names(adata)
    for layer in [*(name for name in COUNT_LAYERS if name in layers), *layers]:
        if _holds_counts(adata.layers[layer]):
            return adata.layers[layer], layer
    if adata.raw is not None and adata.var_names.isin(adata.raw.var_names).all() and _holds_counts(adata.raw.X):
        same = adata.var_names.equals(adata.raw.var_names)
        return adata.raw.X if same else adata.raw[:, adata.var_names].X, None
    return None


def _layer_names(adata: AnnData) -> list[str]:
    # from anndata 0.13, X is among the layers under the key None
    return sorted(name for name in adata.layers if name is not None)


def _holds_counts(matrix: Any) -> bool:
    """Whether every value is a non-negative integer, and not every one zero; read block by block."""
    if matrix is None:
        return False
    values = matrix.data if issparse(matrix) else np.asarray(matrix).reshape(-1)
    blocks = [values[start : start + BLOCK_VALUES] for start in range(0, len(values), BLOCK_VALUES)]
    whole = all(((block >= 0) & (block == np.floor(block))).all() for block in blocks)
    return whole and any(block.any() for block in blocks)


def _no_counts(adata: AnnData) -> str:
    looked = ["X", *(f"layers['{name}']" for name in _layer_names(adata)), *(["raw"] if adata.raw is not None else [])]
    return (
        "Expected counts, non-negative whole numbers, in X, a layer or raw with all the genes; got none in "
        f"{', '.join(looked)}. Add them as layers['counts']."
    )


def _label(adata: AnnData, slide: NDArray[np.intp], sections: list[str]) -> pd.DataFrame:
    tissue = np.array([tissue_of(section) for section in sections])[slide]
    return adata.obs.assign(
        slide=pd.Categorical.from_codes(slide, pd.Index(sections)).remove_unused_categories(),
        tissue=pd.Categorical(tissue, categories=TISSUES),
    )


def _rebuild(
    adata: AnnData, counts: tuple[Any, str | None], obs: pd.DataFrame, position: NDArray[np.float64]
) -> AnnData:
    matrix, source = counts
    layers = {name: adata.layers[name] for name in _layer_names(adata) if name != source}
    if matrix is not adata.X and adata.X is not None:
        layers[NOT_COUNTS if NOT_COUNTS not in layers else f"{NOT_COUNTS}_X"] = adata.X
    obsm = {key: values for key, values in adata.obsm.items() if not key.startswith(ARRAY_PREFIX)}
    return AnnData(
        matrix,
        obs=obs,
        var=adata.var.copy(),
        uns=dict(adata.uns),
        obsm={**obsm, "spatial": position},
        varm=dict(adata.varm),
        layers=layers,
        raw=adata.raw,
        obsp=dict(adata.obsp),
        varp=dict(adata.varp),
    )
