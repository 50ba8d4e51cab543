"""Whether an embedding is one of biology: what was measured, batches, and what each modality told."""

import os
from typing import Any

import pandas as pd
from anndata import AnnData
from mudata import MuData

from mmvae._keys import PATTERN, UMAP
from mmvae.data import SetupArguments
from mmvae.model import MultiVAE

from ._embedding import embedding
from ._finish import Drawn
from ._values import find_values


def overview(
    model: MultiVAE,
    mdata: MuData | AnnData | None = None,
    *,
    basis: str = UMAP,
    ncols: int = 3,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
    **kwargs: Any,
) -> Drawn:
    """Plot an embedding by what was measured, by batch, and by what each modality told of each cell.

    Cells should not lie apart by the first two, unless these go with biology. The last are nats, see
    :meth:`~mmvae.MultiVAE.get_modality_information`; cells that lack the modality are light grey, and
    the colours end at the 99th percentile unless ``vmax`` or ``norm`` says otherwise.

    Parameters
    ----------
    model
        A trained model.
    mdata
        Cells with an embedding in ``obsm``; the model's own by default.
    basis, ncols, show, save, return_fig, **kwargs
        As in :func:`mmvae.pl.embedding`.

    Returns
    -------
    The axes, if ``show`` is ``False``.

    Examples
    --------
    >>> sc.tl.umap(mdata)
    >>> mmvae.pl.overview(model)
    """
    data = model.adata if mdata is None else mdata
    information = model.get_modality_information(mdata)
    columns = SetupArguments.of(model.registry_["setup_args"]).batch_key
    found = {name: find_values(data, name) for name in (PATTERN, *columns)}
    cells = AnnData(
        obs=pd.DataFrame({name: values for name, (values, _) in found.items()})
        .rename(columns={PATTERN: "what was measured"})
        .join(information.add_prefix("nats from ")),
        uns={f"{name}_colors": list(colours) for name, (_, colours) in found.items()},
        obsm=dict(data.obsm),
    )
    limits = {} if "norm" in kwargs else {"vmax": "p99"}
    kwargs = limits | kwargs
    return embedding(
        cells, list(cells.obs), basis=basis, ncols=ncols, show=show, save=save, return_fig=return_fig, **kwargs
    )
