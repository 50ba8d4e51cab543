"""Names of modalities, cells and features, and whether the MuData's index of them is up to date."""

import numpy as np
import pandas as pd
from mudata import MuData
from torch import nn

from mmvae._keys import FUSED, JOINT, SHARED, UNWEIGHTED
from mmvae.data._access import rows_of

RESERVED = {FUSED, UNWEIGHTED, SHARED, JOINT}


def name_faults(mdata: MuData, names: list[str]) -> list[str]:
    """Faults of the names in ``mdata``; if there are any, rows cannot be matched to cells."""
    faults = [f for name in names for f in modality_name_faults(name)]
    faults += _duplicates("mdata.obs_names", mdata.obs_names)
    for name in names:
        adata = mdata.mod[name]
        faults += _duplicates(f"mdata['{name}'].obs_names", adata.obs_names)
        faults += _duplicates(f"mdata['{name}'].var_names", adata.var_names)
        if adata.n_vars == 0:
            faults.append(f"modality '{name}' has no features. Leave it out with modalities=.")
        elif not _is_indexed(mdata, name):
            faults.append(
                f"modality '{name}' was changed after the MuData was made: mdata.obsmap['{name}'] no longer fits its "
                "obs_names. Call mdata.update()."
            )
    return faults


def modality_name_faults(name: str) -> list[str]:
    """Whether a modality may have this name."""
    taken = hasattr(nn.ModuleDict(), name) or name in RESERVED
    if name == "" or "." in name or "+" in name or taken:
        return [
            f"modality name '{name}' cannot be used: it is empty, holds '.' or '+', or is a reserved word. Rename it."
        ]
    return []


def _duplicates(where: str, names: pd.Index) -> list[str]:
    if names.is_unique:
        return []
    again = names[names.duplicated()].unique()
    return [f"{where}: {len(again)} names occur more than once, such as '{again[0]}'. Make them unique."]


def _is_indexed(mdata: MuData, name: str) -> bool:
    """Whether ``obsmap`` leads from each cell to the row of that name, and reaches every row."""
    rows, adata = rows_of(mdata, name), mdata.mod[name]
    present = rows >= 0
    if present.sum() != adata.n_obs or (present.any() and rows.max() >= adata.n_obs):
        return False
    return bool(np.array_equal(adata.obs_names.to_numpy()[rows[present]], mdata.obs_names.to_numpy()[present]))
