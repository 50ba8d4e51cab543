"""A file is the old one or the new one, whole, wherever what writes it stops."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from killing import code_of, started, stopping_at

from mmvae import _files
from mmvae._files import check_room, claimed, replacing

OLD, NEW = "old", "new"


def write_file(path: Path, text: str) -> None:
    path.write_text(text)


def write_folder(path: Path, text: str) -> None:
    path.mkdir(exist_ok=True)
    (path / "inside").write_text(text)


def text_of(path: Path) -> str | None:
    """What a file holds, or the one in a folder."""
    if not path.exists():
        return None
    (file,) = path.iterdir() if path.is_dir() else [path]
    return file.read_text()


@pytest.mark.parametrize(
    ("write", "overwrite", "swaps"),
    [
        pytest.param(write_file, True, True, id="old_file"),
        pytest.param(write_file, False, True, id="new_file"),
        pytest.param(write_folder, True, True, id="old_folder"),
        pytest.param(write_folder, True, False, id="old_folder_in_two_steps"),
    ],
)
def test_killed_at_any_call_the_file_is_old_or_new(tmp_path, write, overwrite, swaps, monkeypatch):
    if not swaps:
        monkeypatch.setattr(_files, "_swap", lambda *_: False)
    target = tmp_path / "out"
    found, n = set(), 0
    while True:
        n += 1
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        if overwrite:
            write(target, OLD)

        def work(n=n):
            stopping_at(n, lambda: os._exit(9))
            with replacing(target, overwrite=overwrite) as part:
                write(part, NEW)

        code = code_of(started(work))
        found.add(text_of(target))
        # The next run clears what was left, and brings a folder back whose place was empty for a moment.
        with claimed(target) as claim:
            assert os.listdir(claim.scratch) == [_files.LOCK]
        assert text_of(target) in ((OLD, NEW) if overwrite else (None, NEW))
        assert os.listdir(tmp_path) in ([], ["out"])
        if code == 0:
            break
    assert n > 10
    assert found <= {OLD, NEW} | ({None} if not overwrite or (write is write_folder and not swaps) else set())
    assert found >= {NEW, OLD if overwrite else None}


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_failing_at_any_call_nothing_is_lost_and_nothing_left(tmp_path, write):
    def fail():
        raise OSError(errno.EIO, "no luck")

    target, n, is_stopped = tmp_path / "out", 0, True
    while is_stopped:
        n += 1
        write(target, OLD)
        with pytest.MonkeyPatch.context() as patch:
            called = stopping_at(n, fail, patch.setattr)
            try:
                with replacing(target) as part:
                    write(part, NEW)
            except OSError:
                assert text_of(target) in (OLD, NEW)
            else:
                assert text_of(target) == NEW
            is_stopped = called.total() >= n
        with claimed(target):
            pass
        assert os.listdir(tmp_path) == ["out"]
    assert n > 10


def test_an_exception_leaves_what_was_there(tmp_path):
    target = tmp_path / "out.txt"
    target.write_text(OLD)
    with pytest.raises(KeyboardInterrupt), replacing(target) as part:
        part.write_text("half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["out.txt"]
    assert target.read_text() == OLD


def full_disk(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with replacing(path) as part:
        part.write_text("x" * 5000)


def full_disk_that_a_library_words(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    with replacing(path) as part:
        part.write_text("x" * 1000)
        raise RuntimeError("unexpected pos 64 vs 0")


@pytest.mark.parametrize("fill", [full_disk, full_disk_that_a_library_words])
def test_a_full_disk_is_said_in_words_whatever_the_writer_says(tmp_path, fill):
    target = tmp_path / "out.txt"
    target.write_text(OLD)

    def work():
        with pytest.raises(OSError, match="Expected room for '.*out.txt'; got 'File too large'. Free some space"):
            fill(target)

    assert code_of(started(work)) == 0
    assert target.read_text() == OLD
    assert os.listdir(tmp_path) == ["out.txt"]


def test_another_failure_is_itself(tmp_path):
    with pytest.raises(RuntimeError, match="out of luck"), replacing(tmp_path / "out") as part:
        part.write_text("half")
        raise RuntimeError("out of luck")


def test_a_link_is_followed_and_permissions_are_kept(tmp_path):
    (tmp_path / "there").mkdir()
    target, link = tmp_path / "there" / "kept", tmp_path / "link.txt"
    target.write_text(OLD)
    target.chmod(0o640)
    link.symlink_to(target)
    with replacing(link) as part:
        # writers go by the ending of the name that the user gave
        assert part.suffix == ".txt"
        part.write_text(NEW)
    assert link.is_symlink()
    assert target.read_text() == NEW
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


def test_a_device_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is a device or a pipe. Name a file"), replacing(tmp_path / "pipe"):
        pass


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with (
        pytest.raises(FileNotFoundError, match="absent' is not one. Make it first"),
        replacing(tmp_path / "absent" / "x"),
    ):
        pass


def test_a_link_in_place_of_the_folder_beside_it_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".out.mmvae").symlink_to("elsewhere")
    with pytest.raises(PermissionError, match="It is not a folder of yours"), replacing(tmp_path / "out"):
        pass
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_folder_of_somebody_else_is_not_written_to_in_a_common_one(tmp_path, monkeypatch):
    (tmp_path / ".out.mmvae").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    tmp_path.chmod(0o1777)
    with pytest.raises(PermissionError, match="It is not a folder of yours"), replacing(tmp_path / "out"):
        pass
    tmp_path.chmod(0o777)
    with replacing(tmp_path / "out") as part:
        part.write_text(NEW)


HOLD = """
import sys, time
from pathlib import Path
from mmvae._files import claimed
with claimed(Path(sys.argv[1])) as claim:
    (claim.scratch / "part").write_text("half")
    print("holds", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A program that writes ``out``, for ever."""
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"holds\n"
        yield process
        process.kill()


def test_what_another_program_writes_is_left_to_it_until_that_is_killed(holder, tmp_path):
    with pytest.raises(OSError, match="another one is writing it"), claimed(tmp_path / "out", wait=0):
        pass
    assert (tmp_path / ".out.mmvae" / "part").read_text() == "half"
    holder.kill()
    holder.wait()
    with replacing(tmp_path / "out") as part:
        assert os.listdir(part.parent) == [_files.LOCK]
        part.write_text(NEW)
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES])
def test_a_lock_that_another_program_has_is_known_by_either_of_its_words(tmp_path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, "taken")

    monkeypatch.setattr(_files.fcntl, "flock", flock)
    with pytest.raises(OSError, match="another one is writing it"), claimed(tmp_path / "out", wait=0):
        pass


def test_short_writes_wait_for_each_other(tmp_path):
    """Eight processes write one file a few times each: all succeed, and none writes into what another one wrote."""

    def work(text):
        for _ in range(5):
            with replacing(tmp_path / "out") as part:
                assert os.listdir(part.parent) == [_files.LOCK]
                part.write_text(text)
                time.sleep(0)
                assert part.read_text() == text

    children = [started(lambda text=str(number) * 1000: work(text)) for number in range(8)]
    assert [code_of(child) for child in children] == [0] * 8
    assert len(set((tmp_path / "out").read_text())) == 1
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("links", [True, False], ids=["links", "no_links"])
def test_a_file_that_came_meanwhile_stays_and_the_results_are_kept_beside_it(tmp_path, monkeypatch, links):
    def link(*_):
        raise OSError(errno.EPERM, "no second names here")

    if not links:
        monkeypatch.setattr(os, "link", link)
    (tmp_path / "out.1.txt").write_text("another")
    with (
        pytest.raises(FileExistsError, match=r"what this one made is in '.*out\.2\.txt'"),
        replacing(tmp_path / "out.txt", overwrite=False) as part,
    ):
        part.write_text(NEW)
        (tmp_path / "out.txt").write_text(OLD)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "out.txt": OLD,
        "out.1.txt": "another",
        "out.2.txt": NEW,
    }


def test_a_folder_that_came_meanwhile_stays_and_the_results_are_kept_beside_it(tmp_path):
    with pytest.raises(FileExistsError, match=r"out\.1'"), replacing(tmp_path / "out", overwrite=False) as part:
        write_folder(part, NEW)
        write_folder(tmp_path / "out", OLD)
    assert text_of(tmp_path / "out") == OLD
    assert text_of(tmp_path / "out.1") == NEW


@pytest.mark.parametrize("number", sorted(_files.NO_LOCKS))
def test_where_there_are_no_locks_each_has_a_folder_of_its_own(tmp_path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, "no locks here")

    monkeypatch.setattr(_files.fcntl, "flock", flock)
    with claimed(tmp_path / "out", wait=0) as one, claimed(tmp_path / "out", wait=0) as other:
        assert one.scratch != other.scratch
        with one.writing() as part:
            part.write_text(NEW)
    assert os.listdir(tmp_path) == ["out"]


def test_nothing_is_left_where_a_removed_file_stays_until_it_is_closed(tmp_path, monkeypatch):
    """As on NFS."""
    unlink, close, kept = os.unlink, os.close, tmp_path / ".out.mmvae" / ".nfs1"

    def rename(path, *_, **__):
        os.rename(path, kept) if Path(path).name == _files.LOCK else unlink(path)

    def close_and_remove(number):
        close(number)
        if kept.exists():
            unlink(kept)

    monkeypatch.setattr(os, "unlink", rename)
    monkeypatch.setattr(os, "close", close_and_remove)
    with replacing(tmp_path / "out") as part:
        part.write_text(NEW)
    assert os.listdir(tmp_path) == ["out"]


def test_room_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(OSError, match="free; got .* Make room, or else") as failed:
        check_room(tmp_path, 2**60, ", or else")
    assert failed.value.errno == errno.ENOSPC
