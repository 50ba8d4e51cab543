"""The pancreatic cancer Visium data in the shape in which they are used. S spots, G genes, K sections."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from mmvae._errors import SetupError
from mmvae._keys import COUNT_LAYERS
from mmvae.data import is_supported, scan

from ._sections import ARRAY_PREFIX, PREFIX, SECTION, TISSUES, is_section, tissue_of


def tidy_pdac(adata: AnnData) -> AnnData:
    """What :func:`~mmvae.datasets.pdac_visium` says; ``adata`` is left as it is, but the result shares its matrices."""
    arrays = {
        key.removeprefix(ARRAY_PREFIX): np.asarray(adata.obsm[key], dtype=np.float64)
        for key in adata.obsm
        if key.startswith(ARRAY_PREFIX)
    }
    # which spots have coordinates in which section, (S, K)
    has = np.array([np.isfinite(array[:, :2]).all(axis=1) for array in arrays.values()]).T
    counts = _find_counts(adata)
    faults = _place_faults(adata, has, list(arrays))
    if counts is None:
        looked = ["X", *(f"layers['{name}']" for name in _layer_names(adata))]
        looked += [] if adata.raw is None else ["raw"]
        faults.append(
            "Expected counts, non-negative whole numbers, in X, a layer or raw with all the genes; got none in "
            f"{', '.join(looked)}. Add them as layers['counts']."
        )
    if faults or counts is None:
        raise SetupError(faults)
    slide = has.argmax(axis=1)
    position = np.stack([array[:, :2] for array in arrays.values()])[slide, np.arange(adata.n_obs)]
    tissue = np.array([tissue_of(section) for section in arrays])[slide]
    obs = adata.obs.assign(
        slide=pd.Categorical.from_codes(slide, pd.Index(list(arrays))).remove_unused_categories(),
        tissue=pd.Categorical(tissue, categories=TISSUES),
    )
    return _rebuild(adata, counts, obs, position)


def _place_faults(adata: AnnData, has: np.ndarray, sections: Sequence[str]) -> list[str]:
    if not sections:
        return [f"Expected coordinates in obsm['{ARRAY_PREFIX}<section>']; got no such array. Pass the file as it is."]
    faults, times = [], has.sum(axis=1)
    if nameless := [section for section in sections if not is_section(section)]:
        faults.append(
            f"Expected sections to be named after one of {list(TISSUES)} and a number, such as '{PREFIX}HM2'; got "
            f"{nameless}. Rename the arrays '{ARRAY_PREFIX}<section>'."
        )
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
    if (times == 1).all() and SECTION in adata.obs:
        placed = np.array([section.removeprefix(PREFIX) for section in sections])[has.argmax(axis=1)]
        astray = placed != adata.obs[SECTION].astype(str).str.removeprefix(PREFIX).to_numpy()
        if astray.any():
            faults.append(
                f"Expected coordinates in the section of obs['{SECTION}']; got others for {int(astray.sum()):,} spots of "
                f"sections {_sections_of(adata, astray)}. Correct the column or the arrays."
            )
    return faults


def _sections_of(adata: AnnData, spots: np.ndarray) -> list[str] | str:
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
    """Whether every value is a non-negative integer, and not every one zero."""
    if not is_supported(matrix):
        return False
    found = scan(matrix)
    return found.is_counts and found.n_nonzero > 0


def _rebuild(adata: AnnData, counts: tuple[Any, str | None], obs: pd.DataFrame, position: np.ndarray) -> AnnData:
    matrix, source = counts
    layers = {name: adata.layers[name] for name in _layer_names(adata) if name != source}
    if matrix is not adata.X and adata.X is not None:
        layers["normalized_X" if "normalized" in layers else "normalized"] = adata.X
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
