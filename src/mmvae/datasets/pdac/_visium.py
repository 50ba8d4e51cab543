"""Visium sections of pancreatic cancer and its metastases, from figshare to the cache, whole or not at all."""

import errno
import json
import math
import warnings
from collections.abc import Sequence
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import Any

import h5py
import pooch
import requests
from anndata import AnnData, read_h5ad

from mmvae._files import claimed, replacing

from ._tidy import tidy_pdac

DOI = "10.6084/m9.figshare.28835765.v1"
API = "https://api.figshare.com/v2"
ARTICLE = "articles/28835765/versions/1"
NAME = "khaliq2024"


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
        path = _fetch(mirrors=mirrors, folder=folder, progress=progress)
    adata = _read(Path(path))
    return tidy_pdac(adata) if tidy else adata


def _read(path: Path) -> AnnData:
    if not path.is_file():
        msg = f"Expected a file at '{path}'; got none. Correct `path`, or leave it out to download the file."
        raise FileNotFoundError(msg)
    try:
        _check_whole(path)
    except ValueError as error:
        msg = f"'{path}' cannot be read: {error}. Download it again from https://doi.org/{DOI}."
        raise ValueError(msg) from error
    return read_h5ad(path)


def _fetch(*, mirrors: Sequence[str], folder: Path, progress: bool) -> Path:
    """Path of the file, from the cache or else from the first source that has it; ``OSError`` as `pdac_visium` says.

    The name in the cache, ``<name>-<md5>.h5ad``, says what the file must hold, so that it can be checked without a
    network. The download goes to a folder beside it, and is moved once it is whole and its checksum right; one program at
    a time, as the others wait and take what it has got.
    Where figshare did not tell the checksum, a warning says so, and the file is taken if it is whole HDF5.
    """
    try:
        cached, damaged = _search(folder)
        if cached is not None:
            return cached
        path, failures = _try_sources(mirrors, folder, progress)
    except OSError as error:
        advice = "Free some space" if error.errno == errno.ENOSPC else "Make the folder writable"
        msg = f"Expected to write to '{folder}'; got '{error.strerror or error}'. {advice}, or choose another folder with `cache`."
        raise OSError(error.errno or errno.EIO, msg) from error
    if path is not None:
        return path
    sources = "\n".join(f"  {i}. {failure}" for i, failure in enumerate(failures, 1))
    spoilt = f"\nIn the cache, with a wrong checksum: {[str(path) for path in damaged]}." if damaged else ""
    msg = (
        f"Expected the file from one of the sources; got it from none:\n{sources}{spoilt}\nCheck the network and try "
        f"again, or download the .h5ad file by hand from https://doi.org/{DOI} and pass it as `path`."
    )
    raise OSError(msg)


def _look_up() -> tuple[list[str], str | None, int | None]:
    """Addresses of the file in the order to try, its checksum in hexadecimal digits, and its bytes, as far as known.

    pooch finds the files of a DOI, too, but by way of doi.org and the article's page, which figshare guards against
    programs, and without their sizes.
    """
    answer = BytesIO()
    pooch.HTTPDownloader()(f"{API}/{ARTICLE}", answer, None)
    files = [file for file in _read_files(answer.getvalue()) if file["name"].endswith(".h5ad")]
    if len(files) != 1:
        msg = f"expected one .h5ad file in the article; got {sorted(file['name'] for file in files) or 'none'}"
        raise ValueError(msg)
    file = files[0]
    # the API's own address answers where the one for browsers takes programs for robots
    urls = [file["download_url"], f"{API}/file/download/{file['id']}"]
    return urls, file.get("computed_md5") or file.get("supplied_md5") or None, file.get("size") or None


def _check_whole(path: Path, size: int | None = None) -> None:
    """Raise ``ValueError`` unless the file is HDF5 from beginning to end, of ``size`` bytes where that is known."""
    got = path.stat().st_size
    if got == 0:
        msg = (
            "expected a file; got an empty one, which is what figshare gives to programs it takes for robots (HTTP 202)"
        )
        raise ValueError(msg)
    if size is not None and got != size:
        msg = f"expected {size:,} bytes; got {got:,}: the transfer was cut off, or this is another file"
        raise ValueError(msg)
    try:
        h5py.File(path).close()
    except OSError as error:
        msg = f"expected an HDF5 file; got {got:,} bytes that are none, or not all of one ({error})"
        raise ValueError(msg) from error


def _read_files(answer: bytes) -> list[dict[str, Any]]:
    if not answer:
        msg = "expected a list of files; got an empty answer, which figshare gives to programs it takes for robots"
        raise ValueError(msg)
    try:
        files = json.loads(answer)["files"]
        return [file for file in files if file["name"] and file["download_url"] and file["id"]]
    except (ValueError, TypeError, KeyError) as error:
        msg = f"expected a list of files in JSON; got {answer[:80]!r}"
        raise ValueError(msg) from error


def _search(folder: Path) -> tuple[Path | None, list[Path]]:
    """A cached file whose checksum is right, and those whose checksum is not."""
    damaged: list[Path] = []
    for path in sorted(folder.glob(f"{NAME}-*.h5ad")):
        if pooch.file_hash(str(path), alg="md5") == path.stem.removeprefix(f"{NAME}-"):
            return path, damaged
        damaged.append(path)
    return None, damaged


def _try_sources(mirrors: Sequence[str], folder: Path, progress: bool) -> tuple[Path | None, list[str]]:
    """The file from the first source that has it, and what went wrong with those before."""
    failures = []
    urls, md5, size = list[str](), None, None
    try:
        urls, md5, size = _look_up()
    except (requests.RequestException, ValueError) as error:
        failures.append(f"doi:{DOI}: {_explain(error)}")
    for url in (*urls, *mirrors):
        try:
            return _download(url, md5, size, folder, progress), failures
        except (requests.RequestException, ValueError) as error:
            failures.append(f"{url}: {_explain(error)}")
    return None, failures


def _download(url: str, md5: str | None, size: int | None, folder: Path, progress: bool) -> Path:
    download = pooch.HTTPDownloader(progressbar=progress, chunk_size=1 << 20)
    folder.mkdir(parents=True, exist_ok=True)
    with claimed(folder / f"{NAME}.h5ad", wait=math.inf) as claim:
        cached, _ = _search(folder)  # what another program has downloaded meanwhile
        if cached is not None:
            return cached
        part = claim.scratch / NAME
        download(url, str(part), None)
        # A checksum alone does not say why it is wrong.
        _check_whole(part, size)
        found = pooch.file_hash(str(part), alg="md5")
        if found != (md5 or found):
            msg = f"expected a file with the checksum {md5}; got one with {found}"
            raise ValueError(msg)
        path = folder / f"{NAME}-{found}.h5ad"
        with replacing(path) as whole:
            part.replace(whole)
    if md5 is None:
        warnings.warn(
            f"The checksum of {url} is not verified: figshare did not tell the right one. Compare the file with another "
            "copy.",
            stacklevel=5,
        )
    return path


def _explain(error: Exception) -> str:
    if isinstance(error, requests.HTTPError) and error.response is not None:
        refused = ": the server refuses programs" if error.response.status_code == 403 else ""
        return f"expected the file; got HTTP {error.response.status_code} {error.response.reason}{refused}"
    if isinstance(error, requests.Timeout):
        return "expected an answer; got none in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "expected the whole file; got a part of it before the transfer was cut off"
    if isinstance(error, requests.ConnectionError):
        return f"expected an answer; got no connection ({error})"
    return str(error)
