"""The file comes from the first source that has it, whole or not at all, and is kept. The server plays figshare."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import numpy as np
import pooch
import pytest

from mmvae.datasets import pdac_visium, simulate_pdac
from mmvae.datasets.pdac import _visium

if TYPE_CHECKING:
    from pathlib import Path

ARTICLE = "/articles/28835765/versions/1"
BROWSER, DIRECT, FIRST, SECOND = "/ndownloader/7", "/file/download/7", "/first.h5ad", "/second.h5ad"


@dataclass
class Reply:
    """What a server answers; of the body, it may send less than it announces, or not announce how much it sends."""

    body: bytes = b""
    status: int = 200
    sent: int | None = None
    announced: bool = True


@dataclass
class Figshare:
    """A server, what it answers at which path, and the paths that were asked for."""

    url: str = ""
    replies: dict[str, Reply] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def list_files(self, *names: str, **changes: object) -> None:
        content = self.replies[BROWSER].body
        file = {
            "id": 7,
            "size": len(content),
            "download_url": f"{self.url}{BROWSER}",
            "supplied_md5": "",
            "computed_md5": hashlib.md5(content).hexdigest(),
        }
        files = [{**file, "name": name, **changes} for name in names]
        self.replies[ARTICLE] = Reply(json.dumps({"files": files}).encode())


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    """An h5ad file of the form of the real one."""
    path = tmp_path_factory.mktemp("made") / "small.h5ad"
    simulate_pdac(4, n_spots=20, n_genes=20, density=0.3, tidy=False).write_h5ad(path)
    return path.read_bytes()


@pytest.fixture
def figshare(content, monkeypatch):
    site = Figshare()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            site.asked.append(self.path)
            reply = site.replies.get(self.path, Reply(status=404))
            self.send_response(reply.status)
            if reply.announced:
                self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body[: reply.sent])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    site.replies = {path: Reply(content) for path in (BROWSER, DIRECT, FIRST, SECOND)}
    site.list_files("atlas.h5ad")
    monkeypatch.setattr(_visium, "API", site.url)
    yield site
    server.shutdown()
    server.server_close()


@pytest.fixture
def no_network(monkeypatch):
    # port 9 of loopback: nothing listens there, and nothing leaves the machine
    monkeypatch.setattr(_visium, "API", "http://127.0.0.1:9")


def load(cache: Path, **arguments):
    return pdac_visium(cache=cache, **{"progress": False, **arguments})


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def name_of(content: bytes) -> str:
    return f"khaliq2024-{hashlib.md5(content).hexdigest()}.h5ad"


def failure_of(cache: Path, **arguments) -> str:
    with pytest.raises(OSError, match="Expected") as failed:
        load(cache, **arguments)
    return str(failed.value)


def test_the_file_is_downloaded_once_and_tidied(figshare, tmp_path, content, monkeypatch):
    adata = load(tmp_path / "new" / "cache")
    assert adata.shape == (80, 20)
    assert set(adata.obs["tissue"]) == {"NP", "T", "HM", "LNM"}
    assert np.isfinite(adata.obsm["spatial"]).all()
    assert figshare.asked == [ARTICLE, BROWSER]
    assert files_in(tmp_path / "new" / "cache") == [name_of(content)]
    monkeypatch.setattr(_visium, "API", "http://127.0.0.1:9")
    again = load(tmp_path / "new" / "cache")
    assert len(figshare.asked) == 2
    assert (again.X != adata.X).nnz == 0


def test_untidied_data_are_those_of_the_file(figshare, tmp_path):
    adata = load(tmp_path, tidy=False)
    assert "spatial" not in adata.obsm
    assert sum(key.startswith("spatial_") for key in adata.obsm) == 4


def test_the_default_cache_is_that_of_the_operating_system(figshare, tmp_path, monkeypatch, content):
    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    pdac_visium(progress=False)
    assert files_in(tmp_path / "mmvae") == [name_of(content)]


@pytest.mark.parametrize("progress", [True, False])
def test_the_progress_bar_can_be_turned_off(figshare, tmp_path, capsys, progress):
    load(tmp_path, progress=progress)
    assert ("100%" in capsys.readouterr().err) == progress


def test_sources_are_tried_in_order_until_one_has_the_file(figshare, tmp_path, content):
    for path in (BROWSER, DIRECT, FIRST):
        figshare.replies[path] = Reply(status=403)
    mirrors = [f"{figshare.url}{FIRST}", f"{figshare.url}{SECOND}", f"{figshare.url}/third.h5ad"]
    assert load(tmp_path, mirrors=mirrors).n_obs == 80
    assert figshare.asked == [ARTICLE, BROWSER, DIRECT, FIRST, SECOND]
    assert files_in(tmp_path) == [name_of(content)]


def test_the_error_names_every_source_and_what_to_do(figshare, tmp_path):
    for path, status in ((BROWSER, 403), (DIRECT, 500), (FIRST, 404)):
        figshare.replies[path] = Reply(status=status)
    lines = failure_of(tmp_path, mirrors=[f"{figshare.url}{FIRST}"]).splitlines()
    for line, path, status in zip(lines[1:4], (BROWSER, DIRECT, FIRST), (403, 500, 404), strict=True):
        assert f"{figshare.url}{path}: " in line
        assert f"HTTP {status}" in line
    assert "https://doi.org/10.6084/m9.figshare.28835765.v1" in lines[-1]
    assert "`path`" in lines[-1]


FAILURES = {
    "refused": (Reply(status=403), "HTTP 403"),
    "empty_202": (Reply(status=202), "takes for robots"),
    "cut_off": (Reply(b"x" * 5000, sent=100), "the transfer was cut off"),
    "cut_off_unnoticed": (Reply(b"x" * 100, announced=False), "got 100: the transfer was cut off"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_no_part_of_a_failed_download_stays(figshare, tmp_path, failure):
    reply, message = FAILURES[failure]
    (tmp_path / "other-file.h5ad").write_bytes(b"of another data set")
    for path in (BROWSER, DIRECT):
        figshare.replies[path] = reply
    assert failure_of(tmp_path).count(message) == 2
    assert files_in(tmp_path) == ["other-file.h5ad"]


def test_a_page_in_place_of_the_file_is_found_out(figshare, tmp_path):
    page = b"<html>Prove that you are human</html>"
    for path in (BROWSER, DIRECT):
        figshare.replies[path] = Reply(page)
    figshare.list_files("atlas.h5ad")
    assert "expected an HDF5 file; got 37 bytes that are none" in failure_of(tmp_path)
    assert files_in(tmp_path) == []


def test_a_wrong_checksum_is_found_out(figshare, tmp_path, content):
    figshare.list_files("atlas.h5ad", computed_md5="0" * 32)
    message = failure_of(tmp_path)
    assert f"the checksum {'0' * 32}; got one with {hashlib.md5(content).hexdigest()}" in message
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("names", [(), ("readme.txt",), ("a.h5ad", "b.h5ad")])
def test_an_article_without_one_h5ad_file_is_refused(figshare, tmp_path, names):
    figshare.list_files(*names)
    listed = [name for name in names if name.endswith(".h5ad")] or "none"
    assert f"expected one .h5ad file in the article; got {listed}" in failure_of(tmp_path)
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        pytest.param(Reply(status=202), "got an empty answer", id="empty"),
        pytest.param(Reply(status=403), "HTTP 403", id="refused"),
        pytest.param(Reply(b"<html>"), "got b'<html>'", id="no_json"),
        pytest.param(Reply(b'{"message": "gone"}'), "expected a list of files", id="no_files"),
        pytest.param(Reply(b'{"files": [{"id": 7}]}'), "expected a list of files", id="nameless_files"),
    ],
)
def test_an_api_that_does_not_list_files_is_a_source_that_failed(figshare, tmp_path, reply, message):
    figshare.replies[ARTICLE] = reply
    said = failure_of(tmp_path)
    assert "1. doi:10.6084/m9.figshare.28835765.v1: " in said
    assert message in said
    assert files_in(tmp_path) == []


def test_no_network_is_said_to_be_none(no_network, tmp_path):
    message = failure_of(tmp_path, mirrors=["http://127.0.0.1:9/file.h5ad"])
    assert message.count("got no connection") == 2
    assert "Check the network" in message
    assert files_in(tmp_path) == []


@pytest.mark.filterwarnings("ignore:The checksum of")
def test_without_a_checksum_a_mirror_is_believed_if_its_file_is_whole(figshare, no_network, tmp_path, content):
    half = Reply(content[: len(content) // 2])
    figshare.replies[FIRST] = half
    mirrors = [f"{figshare.url}{FIRST}", f"{figshare.url}{SECOND}"]
    assert "not all of one" in failure_of(tmp_path, mirrors=mirrors[:1])
    assert files_in(tmp_path) == []
    assert load(tmp_path, mirrors=mirrors).n_obs == 80
    assert files_in(tmp_path) == [name_of(content)]


def test_a_mirror_without_a_checksum_is_warned_of(figshare, no_network, tmp_path):
    with pytest.warns(UserWarning, match="is not verified") as caught:
        load(tmp_path, mirrors=[f"{figshare.url}{FIRST}"])
    assert caught[0].filename == __file__


def test_the_checksum_that_was_supplied_stands_in_for_the_computed_one(figshare, tmp_path, content):
    figshare.list_files("atlas.h5ad", computed_md5="", supplied_md5=hashlib.md5(content).hexdigest(), size=0)
    assert load(tmp_path).n_obs == 80


def test_a_full_disk_is_said_to_be_one(figshare, tmp_path, monkeypatch):
    def open_on_full_disk(path, mode):
        file = open(path, mode)
        write = file.write

        class Full:
            close, flush = file.close, file.flush

            def write(self, chunk):
                write(chunk[:100])
                raise OSError(errno.ENOSPC, "No space left on device")

        return Full()

    monkeypatch.setattr(pooch.downloaders, "open", open_on_full_disk, raising=False)
    message = failure_of(tmp_path)
    assert f"Expected to write to '{tmp_path}'; got" in message
    assert "No space left on device" in message
    assert "Free some space" in message
    assert figshare.asked == [ARTICLE, BROWSER]
    assert files_in(tmp_path) == []


def test_several_programs_download_it_once(figshare, tmp_path, content):
    found = []
    # Locks are between files that are open, not between processes alone.
    programs = [threading.Thread(target=lambda: found.append(load(tmp_path, tidy=False).n_obs)) for _ in range(3)]
    for program in programs:
        program.start()
    for program in programs:
        program.join()
    assert found == [80] * 3
    assert figshare.asked.count(BROWSER) == 1
    assert files_in(tmp_path) == [name_of(content)]


def test_what_a_killed_download_left_is_cleared(figshare, tmp_path, content):
    left = tmp_path / ".khaliq2024.h5ad.mmvae"
    left.mkdir()
    (left / "khaliq2024").write_bytes(content[:100])
    load(tmp_path)
    assert files_in(tmp_path) == [name_of(content)]


def test_a_full_disk_keeps_its_error_number(figshare, tmp_path, monkeypatch):
    def replace(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="Free some space") as failed:
        load(tmp_path)
    assert failed.value.errno == errno.ENOSPC
    assert files_in(tmp_path) == []


def test_a_cache_that_is_no_folder_is_said_to_be_none(figshare, tmp_path):
    (tmp_path / "file").touch()
    assert "choose another folder with `cache`" in failure_of(tmp_path / "file")


def test_a_damaged_file_in_the_cache_is_replaced_once_a_good_one_is_there(figshare, tmp_path, content):
    cached = tmp_path / name_of(content)
    cached.write_bytes(content[:-1] + b"?")
    for path in (BROWSER, DIRECT):
        figshare.replies[path] = Reply(status=403)
    assert f"with a wrong checksum: ['{cached}']" in failure_of(tmp_path)
    assert cached.read_bytes() == content[:-1] + b"?"
    figshare.replies[DIRECT] = Reply(content)
    load(tmp_path)
    assert cached.read_bytes() == content
    assert files_in(tmp_path) == [cached.name]


def test_a_file_of_ones_own_is_read_without_network_or_cache(no_network, tmp_path, content):
    own = tmp_path / "own.h5ad"
    own.write_bytes(content)
    assert pdac_visium(str(own), cache=tmp_path / "cache").n_obs == 80
    assert files_in(tmp_path) == ["own.h5ad"]


@pytest.mark.parametrize("length", [0, 100, -100], ids=["empty", "start", "cut_off"])
def test_a_file_of_ones_own_that_is_not_whole_is_refused(tmp_path, content, length):
    own = tmp_path / "own.h5ad"
    own.write_bytes(content[:length])
    with pytest.raises(ValueError, match="cannot be read: expected .* got .* Download it again from https://doi.org"):
        pdac_visium(own)


def test_a_file_that_is_not_there_is_said_to_be_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="Expected a file at .*own.h5ad'; got none. Correct `path`"):
        pdac_visium(tmp_path / "own.h5ad")


@pytest.mark.parametrize("mirrors", ["http://one.org/file.h5ad", ["/a/path.h5ad"], ["doi:10.5281/zenodo.1/file.h5ad"]])
def test_mirrors_that_are_no_list_of_addresses_are_refused(tmp_path, mirrors):
    with pytest.raises(ValueError, match="Expected `mirrors` to be a list of addresses"):
        load(tmp_path, mirrors=mirrors)
