"""Visium sections of pancreatic cancer and its metastases, from figshare."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import pooch
from anndata import AnnData, read_h5ad

from ._figshare import DOI, check_whole, fetch
from ._tidy import tidy_pdac


def pdac_visium(
    path: str | PathLike[str] | None = None,
    *,
    mirrors: Sequence[str] = (),
    cache: str | PathLike[str] | None = None,
    progress: bool = True,
    tidy: bool = True,
) -> AnnData:
    """Spatial transcriptomics of pancreatic cancer: 30 Visium sections, 91,496 spots, 17,860 genes.

    Sections of normal pancreas, primary tumours, and their metastases in liver and lymph node, of 13 patients. The file is
    downloaded with pooch from figshare, once; its checksum, as figshare's API tells it, is verified then and whenever the
    file is read from the cache, which needs no network.

    Parameters
    ----------
    path
        A file that you already have: nothing is downloaded then.
    mirrors
        Further addresses (``http`` or ``https``) of the same file, tried in this order if figshare fails.
    cache
        Folder to keep the file in; by default that of the operating system, ``pooch.os_cache("mmvae")``.
    progress
        Show a progress bar.
    tidy
        Bring the file into the shape that the notes describe; else it is returned as it is.

    Returns
    -------
    AnnData with counts in X, sparse, ``(n_spots, n_genes)``.

    Raises
    ------
    OSError
        No source gave the file; the message lists each with what went wrong. Or it cannot be written, such as to a full
        disk. No part of a file is left behind, and a good one in the cache is kept.
    FileNotFoundError
        There is no file at ``path``.
    ValueError
        The file at ``path`` is not whole, or a mirror is no such address.
    SetupError
        With ``tidy``: spots without coordinates or with several, a section whose name does not say its tissue, or no
        counts.

    Notes
    -----
    With ``tidy``,

    - ``obsm["spatial"]`` holds the places, ``(n_spots, 2)``, in pixels of each section's own image. In the file there is one
      array per section, ``obsm["spatial_<section>"]``, which is NaN in the rows of the others.
    - ``obs["slide"]`` is the section, such as ``IU_PDA_HM2``, and ``obs["tissue"]`` is ``NP`` (normal pancreas), ``T`` (primary
      tumour), ``HM`` (liver metastasis) or ``LNM`` (lymph node metastasis).
    - Where the file's X does not hold counts, it becomes ``layers["normalized"]``, and the layer that does (``counts``,
      ``raw_counts``, ``raw``, ``umi``, or else the first by name) moves to X, or the values of ``raw`` are put there.
    - What else the file holds is kept, such as ``obs["patient"]``, the labels ``obs["first_type"]`` (cell type),
      ``obs["CompositionCluster_CC"]`` (niche) and ``obs["Origin"]``, and images in ``uns["spatial"]``.

    Reading takes as much memory as the file has values; nothing is made dense. ``obsm["X_integrated"]``, 3,000 numbers
    per spot, can be as large as the counts: delete it if you have no use for it.

    References
    ----------
    Khaliq et al., Nature Genetics 2024; data at https://doi.org/10.6084/m9.figshare.28835765.v1 and GEO GSE272362.

    Examples
    --------
    >>> adata = mmvae.datasets.pdac_visium()
    >>> adata.obs["tissue"].value_counts()

    Without a network, :func:`~mmvae.datasets.simulate_pdac` gives data of the same form.
    """
    wrong = [mirrors] if isinstance(mirrors, str) else [m for m in mirrors if not m.startswith(("http://", "https://"))]
    if wrong:
        msg = (
            f"Expected `mirrors` to be a list of addresses with http:// or https://; got {wrong}. Pass a list of those."
        )
        raise ValueError(msg)
    if path is None:
        folder = Path(pooch.os_cache("mmvae") if cache is None else cache).expanduser()
        path = fetch(mirrors=mirrors, folder=folder, progress=progress)
    adata = _read(Path(path))
    return tidy_pdac(adata) if tidy else adata


def _read(path: Path) -> AnnData:
    if not path.is_file():
        msg = f"Expected a file at '{path}'; got none. Correct `path`, or leave it out to download the file."
        raise FileNotFoundError(msg)
    try:
        check_whole(path)
    except ValueError as error:
        msg = f"'{path}' cannot be read: {error}. Download it again from https://doi.org/{DOI}."
        raise ValueError(msg) from error
    return read_h5ad(path)
