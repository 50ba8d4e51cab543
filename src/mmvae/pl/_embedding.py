"""Cells on an embedding, coloured by anything that is known of them. C cells."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from matplotlib.axes import Axes
from mudata import MuData

from mmvae._checks import COUNT, check_is, check_texts, listed, number_faults
from mmvae._errors import SetupError
from mmvae._keys import UMAP
from mmvae.data import modalities_of

from ._colours import category_colours
from ._finish import Drawn, draw_bar, finished, make_room, panels_in_rows
from ._tables import Table, cells_of, column_of, features_of
from ._values import find_column, find_feature, find_values, matrices_of

PANEL = (4.6, 3.6)
# Arguments of scanpy that may hold a value for each panel, and for each cell.
BY_PANEL, BY_CELL = {"vmin", "vmax", "vcenter", "norm", "title", "marker"}, {"size", "s", "mask_obs"}


@dataclass(frozen=True)
class _Panel:
    """What a panel shows: values of all cells, ``(C,)``, and colours of categories by name, or a palette's name."""

    title: str
    values: pd.Series
    palette: str | dict[str, str] | None = None


def embedding(
    mdata: MuData | AnnData,
    color: str | Sequence[str],
    *,
    basis: str = UMAP,
    layer: str | None = None,
    imputed: Mapping[str, Table] | None = None,
    palette: str | Mapping[str, str] | None = None,
    ncols: int = 4,
    ax: Axes | None = None,
    show: bool | None = None,
    save: str | os.PathLike[str] | None = None,
    return_fig: bool = False,
    **kwargs: Any,
) -> Drawn:
    """Plot cells on an embedding, coloured by any feature of any modality, a panel for each colour.

    It is :func:`scanpy.pl.embedding` for mosaics. Cells that lack the modality of a feature are light grey and lie beneath
    the others; the title says how many have it. Imputed values have a panel of their own, as they are no measurements
    and often of another unit. Cells of different categories are drawn in random order, the same each time, so that none
    hides the others. Nothing of ``mdata`` is changed.

    Parameters
    ----------
    mdata
        Cells with an embedding in ``obsm``.
    color
        What to colour by, one or several of

        - a feature, ``"CD4"``, or ``"rna:CD4"`` where several modalities have it;
        - a column of ``obs``, or of a modality's as ``"rna:column"``;
        - a dimension of another embedding in ``obsm``, as ``"X_mmvae:3"``, counted from 0;
        - ``"mmvae_pattern"``, the modalities that a cell has.
    basis
        Which embedding: a key of ``obsm``, whose ``"X_"`` may be left out.
    layer
        Layer that features are taken from, instead of X.
    imputed
        By modality the values that :meth:`~mmvae.MultiVAE.impute` or
        :meth:`~mmvae.MultiVAE.get_normalized_expression` gave, as a DataFrame or, where they wrote a file, its AnnData.
        Features that are in it are drawn twice: as measured, if they are, and as imputed.
    palette
        Colours by category, or the name of scanpy's. By default those in ``uns["<column>_colors"]``, else seven that
        everybody can tell apart, or scanpy's where there are more.
    ncols
        Panels beside each other.
    ax
        Axes to draw on, where there is one panel.
    show, save, return_fig
        As in :func:`mmvae.pl.spatial`.
    **kwargs
        Further arguments of :func:`scanpy.pl.embedding`, such as ``size``, ``cmap``, ``vmax="p99"``, ``groups``,
        ``legend_loc`` or ``frameon``; limits, norms, titles and markers also as a list with one for each panel.

    Returns
    -------
    The axes, if ``show`` is ``False``: one for one panel, else a list.

    Raises
    ------
    SetupError
        If embedding, colours or layer are not there; the message lists all faults.

    Examples
    --------
    >>> mmvae.pl.embedding(mdata, ["rna:CD4", "protein:CD4", "mmvae_pattern"])
    >>> mmvae.pl.embedding(mdata, "protein:CD4", imputed={"protein": model.impute("protein")}, vmax="p99")
    """
    check_is("mdata", mdata, MuData, AnnData)
    check_texts(basis=basis, layer=layer)
    check_is("imputed", imputed or {}, Mapping)
    names = listed("color", color)
    panels, faults = _panels(mdata, names, layer, imputed or {}, palette)
    key, places = _find_basis(mdata, basis)
    if places is None:
        faults.append(_no_basis(mdata, basis))
    faults += _argument_faults(len(panels), mdata.n_obs, ncols, ax, kwargs)
    if faults or places is None:
        raise SetupError(faults)
    projection = {"projection": "3d"} if kwargs.get("projection") == "3d" else {}
    axes = [ax] if ax is not None else panels_in_rows(len(panels), ncols, PANEL, **projection)
    order = np.random.default_rng(0).permutation(mdata.n_obs)
    cells = AnnData(obs=pd.DataFrame(index=mdata.obs_names[order]), obsm={key: places[order]})
    for number, (panel, own) in enumerate(zip(panels, axes, strict=True)):
        given = {name: _of_panel(name, value, number, order) for name, value in kwargs.items()}
        cells.obs["value"] = panel.values.iloc[order]
        _draw(own, panel, cells, key, given)
    if ax is None:
        make_room(axes, PANEL)
    return finished(axes if len(axes) > 1 else axes[0], show=show, save=save, return_fig=return_fig)


def _panels(
    data: MuData | AnnData,
    names: Sequence[str],
    layer: str | None,
    imputed: Mapping[str, Table],
    palette: str | Mapping[str, str] | None,
) -> tuple[list[_Panel], list[str]]:
    """Panels by colour, as measured and as imputed, and what is wrong with the colours, a sentence each."""
    panels: list[_Panel] = []
    faults = [] if names else ["color is empty; name what to colour by."]
    named = {*modalities_of(data), *(name.partition(":")[0] for name in names)}
    if unknown := sorted(set(imputed) - named):
        faults.append(f"imputed has values of {unknown}, which are neither modalities of the data nor in color.")
    for name in names:
        try:
            guess = _imputed(data, name, imputed)
            if guess is None or find_feature(data, name) is not None:
                panels.append(_measured(data, name, layer, palette))
            if guess is not None:
                panels.append(_Panel(_counted(f"{name}, imputed", guess), guess))
        except LookupError as error:
            faults.append(f"color: {error.args[0]}")
    return panels, faults


def _measured(data: MuData | AnnData, name: str, layer: str | None, palette: str | Mapping[str, str] | None) -> _Panel:
    values, stored = find_values(data, name, layer)
    if not isinstance(values.dtype, pd.CategoricalDtype):
        return _Panel(_counted(name, values), values)
    colours = palette if isinstance(palette, str) else category_colours(name, values, stored, palette)
    return _Panel(name, values.cat.remove_unused_categories(), colours)


def _imputed(data: MuData | AnnData, name: str, imputed: Mapping[str, Table]) -> pd.Series | None:
    """Imputed values of a feature in all cells; ``None`` if there are none; ``LookupError`` if they are of other cells."""
    if not imputed or find_column(data, name) is not None:
        return None
    modality, _, feature = name.partition(":")
    modality, feature = find_feature(data, name) or (modality, feature)
    if modality not in imputed or feature not in features_of(imputed[modality]):
        return None
    values = column_of(imputed[modality], feature).reindex(data.obs_names)
    if values.isna().all():
        cells = list(cells_of(imputed[modality])[:2])
        msg = f"imputed has '{name}' for none of the cells: it names such as {cells}, the data {list(data.obs_names[:2])}."
        raise LookupError(msg)
    return values


def _draw(own: Axes, panel: _Panel, cells: AnnData, key: str, given: dict[str, Any]) -> None:
    """Draw the column ``"value"`` of the cells."""
    given = {"title": panel.title, "palette": panel.palette, "colorbar_loc": None} | given
    # scanpy knows how to write the names of embeddings without "X_"
    sc.pl.embedding(cells, key.removeprefix("X_"), color="value", ax=own, show=False, **given)
    has_scale = not isinstance(panel.values.dtype, pd.CategoricalDtype)
    if has_scale and given["colorbar_loc"] is None:
        draw_bar(own, own.collections[-1])


def _counted(name: str, values: pd.Series) -> str:
    """A title that says how many cells have a value, unless all have."""
    n_known = int(values.notna().sum())
    return name if n_known == len(values) else f"{name}\n{n_known:,} of {len(values):,} cells"


def _find_basis(data: MuData | AnnData, basis: str) -> tuple[str, np.ndarray | None]:
    """Key and values of an embedding of at least two dimensions."""
    known = matrices_of(data)
    key = basis if basis in known else f"X_{basis}"
    found = known.get(key)
    return key, None if found is None or found.shape[1] < 2 else np.asarray(found)


def _no_basis(data: MuData | AnnData, basis: str) -> str:
    known = [key for key, matrix in matrices_of(data).items() if matrix.shape[1] > 1]
    close = get_close_matches(basis, known, n=3) or [key for key in known if basis.lower() in key.lower()]
    hint = f" Is it {close}?" if close else " scanpy.tl.umap makes 'X_umap'."
    return f"basis: obsm has no embedding '{basis}'; it has {known}.{hint}"


def _argument_faults(
    n_panels: int, n_cells: int, ncols: int, ax: Axes | None, kwargs: Mapping[str, Any]
) -> Iterator[str]:
    yield from number_faults({"ncols": COUNT}, ncols=ncols)
    if ax is not None and n_panels > 1:
        yield f"ax is one of axes, for {n_panels} panels. Leave it out, or call once for each colour."
    for name, value in kwargs.items():
        if np.ndim(value) and name in BY_CELL and len(value) != n_cells:
            yield f"{name} has {len(value):,} values, for {n_cells:,} cells."
        if np.ndim(value) and name in BY_PANEL and n_panels and len(value) != n_panels:
            yield f"{name} has {len(value):,} values, for {n_panels} panels."


def _of_panel(name: str, value: Any, number: int, order: np.ndarray) -> Any:
    """An argument of scanpy's for the panel of this number, whose cells are in this order."""
    if np.ndim(value) == 0:
        return value
    if name in BY_CELL:
        return np.asarray(value)[order]
    return value[number] if name in BY_PANEL else value
