"""Files and folders that are there whole or not at all, and are of one program alone."""

import ctypes
import errno
import os
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

try:
    import fcntl
    import resource
except ImportError:  # on Windows, where programs are not kept apart and leftovers stay
    fcntl = resource = None  # type: ignore[assignment]

MB, GB = 2**20, 2**30
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# What file systems answer that know no locks, and those that know no second name of a file.
UNKNOWN = {errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}  # the last two differ on macOS
NO_LOCKS = {errno.ENOLCK, errno.EBADF, *UNKNOWN}
NO_LINKS = {errno.EPERM, errno.EMLINK, *UNKNOWN}
LOCK, BEFORE, PROBE = "lock", "before", "probe"
# Seconds for which another program that writes the same file is waited for.
WAIT = 60.0


@contextmanager
def replacing(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a name in a folder beside ``path``; the file or folder that is made there becomes ``path`` if all goes well.

    See :func:`claimed` and :meth:`Claim.writing`.
    """
    with claimed(path, overwrite=overwrite) as claim, claim.writing() as part:
        yield part


@contextmanager
def claimed(path: Path, *, overwrite: bool = True, wait: float = WAIT) -> Iterator["Claim"]:
    """Keep other programs of mmvae from writing ``path``, and find out whether it can be written.

    What is made meanwhile stands in a folder beside it, which is removed at the end; what a killed program left in it is
    cleared before. Links are followed.

    Parameters
    ----------
    path
        Of a file or a folder; what is no regular one is refused.
    overwrite
        Whether :meth:`Claim.writing` replaces what is there.
    wait
        Seconds to wait for another program that writes it.

    Raises
    ------
    OSError
        If there is no folder, or it cannot be written to, or another program writes ``path``; in words.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not (target.is_file() or target.is_dir()):
        msg = f"Expected the name of a file; '{path}' is a device or a pipe. Name a file."
        raise OSError(errno.EINVAL, msg)
    if not target.parent.is_dir():
        msg = f"Expected a folder for '{path}'; '{target.parent}' is not one. Make it first."
        raise FileNotFoundError(errno.ENOENT, msg)
    try:
        scratch, lock = _scratch_of(target, wait)
    except TimeoutError as error:
        msg = (
            f"Expected '{path}' for this program alone; another one is writing it. Wait for that, or give another name."
        )
        raise OSError(errno.EBUSY, msg) from error
    except OSError as error:
        advice = "Free some space" if error.errno in FULL else "Make it writable"
        msg = f"Expected to write to '{error.filename}'; got '{error.strerror}'. {advice}, or name another folder."
        raise OSError(error.errno, msg) from error
    try:
        _clear(scratch, target)
        yield Claim(path, target, scratch, overwrite)
    finally:
        with suppress(OSError):
            _clear(scratch, target)
            # Last, as whoever comes next makes another lock.
            (scratch / LOCK).unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)
        with suppress(OSError):  # on NFS a removed file stays, under another name, until it is closed
            scratch.rmdir()


@dataclass(frozen=True)
class Claim:
    """A name that this program alone writes: ``path`` as it was given, ``target`` without links, and room beside it."""

    path: Path
    target: Path
    scratch: Path
    overwrite: bool

    @contextmanager
    def writing(self) -> Iterator[Path]:
        """Give the name to write to; what is there at the end is flushed to the disk and gets its final name at once.

        Where a file is there by then that may not be replaced, it stays, and what was made is kept under a free name
        beside it, which a ``FileExistsError`` tells. A disk that is full is an ``OSError`` in words, whatever the writer
        made of it. A file that is replaced leaves its permissions behind.
        """
        part = self.scratch / self.path.name
        try:
            yield part
            _flush(part)
        except Exception as error:
            if (number := _fullness(error, part)) is None:
                raise
            msg = (
                f"Expected room for '{self.path}'; got '{os.strerror(number)}'. Free some space, or name another folder. No part "
                "of it is left, and what was there before is kept."
            )
            raise OSError(number, msg) from error
        if self.overwrite:
            _replace(part, self.target, self.scratch / BEFORE)
        else:
            _put(part, self.target)
        _flush_folder(self.target.parent)


def check_room(folder: Path, needed: int, advice: str) -> None:
    """Refuse what does not fit, in bytes, as HDF5 can bring the process down where it finds no room to write."""
    free = shutil.disk_usage(folder).free
    if resource is not None and (limit := resource.getrlimit(resource.RLIMIT_FSIZE)[0]) != resource.RLIM_INFINITY:
        free = min(free, limit)
    if needed > free:
        msg = f"Expected {_words(needed)} free; got {_words(free)} in '{folder.resolve()}'. Make room{advice}."
        raise OSError(errno.ENOSPC, msg)


def _words(size: int) -> str:
    return f"{size / GB:.2g} GB" if size > GB / 10 else f"{size / MB:.3g} MB"


def _scratch_of(target: Path, wait: float) -> tuple[Path, int | None]:
    """A folder beside ``target`` and the lock on it, which ends with the process; none where there are no locks."""
    scratch, deadline = target.with_name(f".{target.name}.mmvae"), time.monotonic() + wait
    while fcntl is not None:
        with suppress(FileExistsError):
            scratch.mkdir(mode=0o700)
        try:
            _refuse_foreign(scratch)
            lock = os.open(scratch / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # the program before has just removed it
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another folder of the same name may have come meanwhile.
            if os.path.samestat(os.fstat(lock), os.stat(scratch / LOCK)):
                return scratch, lock
        except FileNotFoundError:
            pass
        except (BlockingIOError, PermissionError):  # as the file system has it
            if time.monotonic() >= deadline:
                os.close(lock)
                raise TimeoutError from None
            time.sleep(0.05)
        except OSError as error:
            os.close(lock)
            if error.errno not in NO_LOCKS:
                raise
            shutil.rmtree(scratch, ignore_errors=True)
            break
        os.close(lock)
    return Path(mkdtemp(prefix=f"{scratch.name}.", dir=target.parent)), None


def _refuse_foreign(scratch: Path) -> None:
    """Refuse a folder that somebody else has put there, to lead what is written elsewhere, as into a common /tmp."""
    found, is_common = scratch.lstat(), scratch.parent.stat().st_mode & stat.S_ISVTX
    if not stat.S_ISDIR(found.st_mode) or (is_common and found.st_uid != os.geteuid()):
        raise PermissionError(errno.EACCES, "It is not a folder of yours", str(scratch))


def _clear(scratch: Path, target: Path) -> None:
    """Remove what a killed program left; a folder that it was about to replace comes back."""
    if (scratch / BEFORE).exists() and not target.exists():
        (scratch / BEFORE).rename(target)
    for left in scratch.iterdir():
        if left.is_dir():
            shutil.rmtree(left)
        elif left.name != LOCK:
            left.unlink()


def _fullness(error: Exception, part: Path) -> int | None:
    """The number of the disk's error, if it is full: writers say of that what they like, so a megabyte more is tried."""
    if not isinstance(error, OSError) or error.errno not in FULL:
        probe = part if part.is_file() else part.with_name(PROBE)
        try:
            with probe.open("ab") as file:
                file.write(bytes(MB))
                file.flush()
                os.fsync(file.fileno())
        except OSError as refused:
            error = refused
    return error.errno if isinstance(error, OSError) and error.errno in FULL else None


def _replace(part: Path, target: Path, before: Path) -> None:
    """Give ``part`` the name, owner and permissions of what is there, which goes; at once where the system can."""
    if target.exists():
        take_over(target.stat(), part)
    if not (part.is_dir() and target.is_dir()):
        os.replace(part, target)
    elif not _swap(part, target):
        target.rename(before)
        try:
            part.rename(target)
        except BaseException:
            before.rename(target)
            raise


def take_over(old: os.stat_result, part: Path) -> None:
    """Give ``part`` the owner, as far as the system lets one, and the permissions of the file that it is to replace."""
    if hasattr(os, "chown"):
        for owner, group in ((-1, old.st_gid), (old.st_uid, -1)):
            with suppress(OSError):
                os.chown(part, owner, group)
    os.chmod(part, stat.S_IMODE(old.st_mode))


def _swap(one: Path, other: Path) -> bool:
    """Whether two folders have changed names in one step, which Linux can."""
    try:
        renameat2: Any = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD and RENAME_EXCHANGE
    return renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0


def _put(part: Path, target: Path) -> None:
    """Give ``part`` the name if nothing has it, else another one that nothing has, which the error tells."""
    if _is_put(part, target):
        return
    for number in count(1):
        other = target.with_name(f"{target.stem}.{number}{target.suffix}")
        if _is_put(part, other):
            msg = (
                f"Expected no file at '{target}'; got one that another program made meanwhile. It is left as it is, and what "
                f"this one made is in '{other}'."
            )
            raise FileExistsError(msg)


def _is_put(part: Path, name: Path) -> bool:
    """Whether ``part`` has got a name that nothing had."""
    try:
        if part.is_dir():
            part.rename(name)
        else:
            os.link(part, name)
    except (FileExistsError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EISDIR):
            return False
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(name):
            return False
        part.rename(name)
    return True


def _flush(part: Path) -> None:
    """Have the disk hold what was written."""
    for path in [part, *part.rglob("*")] if part.is_dir() else [part]:
        if path.is_dir():
            _flush_folder(path)
            continue
        file = os.open(path, os.O_RDWR)
        try:
            os.fsync(file)
        finally:
            os.close(file)


def _flush_folder(folder: Path) -> None:
    """Have the disk hold the names in a folder, where the system can say so."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
