"""Getting a file of a figshare article into the cache, whole or not at all."""

import errno
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py

from ._figshare import Listing, look_up

CHUNK = 1 << 20


def fetch(doi: str, name: str, *, mirrors: Sequence[str], folder: Path, progress: bool) -> Path:
    """Path of the one h5ad file of a figshare article, from the cache or else from the first source that has it.

    The name in the cache, ``<name>-<md5>.h5ad``, says what the file must hold, so that it can be checked without a
    network. pooch downloads to a temporary file beside it and renames that once it is whole and its checksum right.

    Parameters
    ----------
    doi
        DOI of the article.
    name
        What the name of the file in the cache begins with.
    mirrors
        Further addresses of the same file, to try in this order after figshare's. Where figshare did not tell the
        checksum, a warning says so, and the file is taken if it is whole HDF5.
    folder
        The cache.
    progress
        Show a progress bar.

    Raises
    ------
    OSError
        No source gave the file, or it cannot be written. No part of it is left behind.
    """
    try:
        cached, damaged = _search(folder, name)
        if cached is not None:
            return cached
        path, failures = _try_sources(doi, name, mirrors=mirrors, folder=folder, progress=progress)
    except OSError as error:
        raise _disk_error(error, folder) from error
    if path is not None:
        return path
    raise OSError(_no_source(doi, failures, damaged))


def check_whole(path: Path, size: int | None = None) -> None:
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


def _search(folder: Path, name: str) -> tuple[Path | None, list[Path]]:
    """A cached file whose checksum is right, and those whose checksum is not."""
    import pooch

    damaged: list[Path] = []
    for path in sorted(folder.glob(f"{name}-*.h5ad")):
        if pooch.file_hash(str(path), alg="md5") == path.stem.removeprefix(f"{name}-"):
            return path, damaged
        damaged.append(path)
    return None, damaged


def _try_sources(
    doi: str, name: str, *, mirrors: Sequence[str], folder: Path, progress: bool
) -> tuple[Path | None, list[str]]:
    """The file from the first source that has it, and what went wrong with those before."""
    import requests

    failures = []
    listing = Listing()
    try:
        listing = look_up(doi)
    except (requests.RequestException, ValueError) as error:
        failures.append(f"doi:{doi}: {_explain(error)}")
    for url in (*listing.urls, *mirrors):
        try:
            return _download(url, name, listing, folder=folder, progress=progress), failures
        except (requests.RequestException, ValueError) as error:
            failures.append(f"{url}: {_explain(error)}")
    return None, failures


def _download(url: str, name: str, listing: Listing, *, folder: Path, progress: bool) -> Path:
    import pooch

    path = pooch.retrieve(
        url,
        known_hash=None if listing.md5 is None else f"md5:{listing.md5}",
        fname=f"{name}-{listing.md5 or 'unverified'}.h5ad",
        path=folder,
        downloader=_checking_downloader(listing.size, progress=progress),
    )
    return Path(path) if listing.md5 is not None else _name_by_content(Path(path), name, url)


def _checking_downloader(size: int | None, *, progress: bool) -> Callable[[str, str, Any], None]:
    """A downloader of pooch, followed by a look at what came: a checksum alone does not say why it is wrong."""
    import pooch

    download = pooch.HTTPDownloader(progressbar=progress, chunk_size=CHUNK)

    def download_and_check(url: str, output_file: str, owner: Any) -> None:
        download(url, output_file, owner)
        check_whole(Path(output_file), size)

    return download_and_check


def _name_by_content(path: Path, name: str, url: str) -> Path:
    import pooch

    warnings.warn(
        f"The checksum of {url} is not verified: figshare did not tell the right one. Compare the file with another copy.",
        stacklevel=6,
    )
    return path.replace(path.with_name(f"{name}-{pooch.file_hash(str(path), alg='md5')}.h5ad"))


def _explain(error: Exception) -> str:
    import requests

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


def _disk_error(error: OSError, folder: Path) -> OSError:
    advice = "Free some space" if error.errno == errno.ENOSPC else "Make the folder writable"
    msg = f"Expected to write to '{folder}'; got '{error}'. {advice}, or choose another folder with `cache`."
    return OSError(error.errno or errno.EIO, msg)


def _no_source(doi: str, failures: Sequence[str], damaged: Sequence[Path]) -> str:
    sources = "\n".join(f"  {i}. {failure}" for i, failure in enumerate(failures, 1))
    spoilt = f"\nIn the cache, with a wrong checksum: {[str(path) for path in damaged]}." if damaged else ""
    return (
        f"Expected the file from one of the sources; got it from none:\n{sources}{spoilt}\nCheck the network and try "
        f"again, or download the .h5ad file by hand from https://doi.org/{doi} and pass it as `path`."
    )
