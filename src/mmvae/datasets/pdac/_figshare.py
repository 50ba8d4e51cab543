"""What figshare holds under a DOI."""

import json
import re
from dataclasses import dataclass
from io import BytesIO
from typing import Any

API = "https://api.figshare.com/v2"

_DOI = re.compile(r"10\.\d+/m9\.figshare\.(?P<article>\d+)(?:\.v(?P<version>\d+))?")


@dataclass(frozen=True)
class Listing:
    """Where a file can be had, in the order to try, and what it should be, as far as that is known.

    Parameters
    ----------
    urls
        Addresses of the file.
    md5
        Its checksum, as hexadecimal digits.
    size
        Its size, in bytes.
    """

    urls: tuple[str, ...] = ()
    md5: str | None = None
    size: int | None = None


def look_up(doi: str) -> Listing:
    """Ask figshare's API for the one h5ad file of an article.

    pooch finds the files of a DOI, too, but by way of doi.org and the article's page, which figshare guards against
    programs, and without their sizes.

    Raises
    ------
    ValueError
        The answer is no list of files, or not one file is an h5ad file.
    requests.RequestException
        The API cannot be reached, or refuses.
    """
    import pooch

    answer = BytesIO()
    pooch.HTTPDownloader()(_article_url(doi), answer, None)
    files = [file for file in _read_files(answer.getvalue()) if file["name"].endswith(".h5ad")]
    if len(files) != 1:
        msg = f"expected one .h5ad file in the article; got {sorted(file['name'] for file in files) or 'none'}"
        raise ValueError(msg)
    file = files[0]
    # the API's own address answers where the one for browsers takes programs for robots
    urls = (file["download_url"], f"{API}/file/download/{file['id']}")
    return Listing(urls, file.get("computed_md5") or file.get("supplied_md5") or None, file.get("size") or None)


def _article_url(doi: str) -> str:
    name = _DOI.fullmatch(doi)
    if name is None:
        msg = f"Expected a DOI of figshare; got {doi!r}. Use one such as '10.6084/m9.figshare.28835765.v1'."
        raise ValueError(msg)
    version = f"/versions/{name['version']}" if name["version"] else ""
    return f"{API}/articles/{name['article']}{version}"


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
