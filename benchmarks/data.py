"""The real data sets, and the cells and features that every method is given."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import mudata

if TYPE_CHECKING:
    from mudata import MuData

DEFAULT_FOLDER = Path(__file__).parents[2] / "shared" / "data"


@dataclass(frozen=True)
class DataSet:
    """A file, its columns of labels and batches, labels that mean 'not known', and a finer column of labels."""

    file: str
    labels: str
    batch: str | None = None
    unknown: tuple[str, ...] = ()
    fine: str | None = None

    def read(self, folder: Path) -> MuData:
        """The data as they are on disk."""
        with unpulled():
            return mudata.read_h5mu(folder / self.file)


DATA_SETS = {
    "pbmc10k": DataSet(
        "citeseq_pbmc10k_paired.h5mu", "cell_type", None, ("unlabelled", "undefined", "none"), "adtnorm_l2"
    ),
    "teaseq": DataSet("teaseq_pbmc_rna_adt_paired.h5mu", "cell_type"),
    "cite600": DataSet("neurips_bmmc_cite600.h5mu", "cell_type_coarse", "batch", fine="cell_type"),
    "multiome500": DataSet("neurips_bmmc_multiome500.h5mu", "cell_type_coarse", "batch", fine="cell_type"),
    "trimodal": DataSet("neurips_bmmc_trimodal_mosaic.h5mu", "cell_type_coarse", "batch", fine="cell_type"),
    "tcga": DataSet("bulk_breast_tcga_mosaic.h5mu", "cell_type"),
    "snareseq": DataSet("snareseq_mouse_cortex.h5mu", "cell_type", "batch", ("Mis",), "cell_type_fine"),
}


def data_folder() -> Path:
    """Folder of the data sets.

    Raises
    ------
    SystemExit
        If it does not exist.
    """
    folder = Path(os.environ.get("MMVAE_DATA", DEFAULT_FOLDER))
    if not folder.is_dir():
        msg = f"No data at {folder}. Set MMVAE_DATA to the folder that holds them."
        raise SystemExit(msg)
    return folder


def unpulled() -> AbstractContextManager[object]:
    """Context in which mudata 0.3 leaves ``obs`` and the order of the cells alone, as mudata 0.4 does.

    Not taken from mmvae: what its peers need in memory should not include it.
    """
    set_options = getattr(mudata, "set_options", None)
    return nullcontext() if set_options is None else set_options(pull_on_update=False)
