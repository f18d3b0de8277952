"""The local spool: where a snapshot is complete and verified before anything is published.

A process that is killed can't clean up, so everything temporary is held with `flock`, which the kernel drops with the
process: what nobody holds any more is a leftover, and the next run removes it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "achieveit-spool-"


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """Give a new directory in the system's temporary directory, and remove it afterwards, whatever happens.

    Also removes the directories of runs that were killed.
    """
    sweep(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"))
    directory, lock = _locked_directory()
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _locked_directory() -> tuple[Path, int | None]:
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        try:
            lock = try_lock(directory)
        except OSError:
            return directory, None  # a filesystem without locks, where nobody sweeps either
        if lock is not None:
            return directory, lock


def try_lock(path: Path) -> int | None:
    """Lock a file or directory for this process; None if another process holds it, or has just removed it.

    Returns:
        A descriptor: closing it, or the end of the process, lets go.

    Raises:
        OSError: It can't be locked: it is another user's, or the filesystem has no locks.
    """
    try:
        # Files for writing: NFS wants that of who locks.
        lock = os.open(path, os.O_CLOEXEC | (os.O_RDONLY if path.is_dir() else os.O_RDWR))
    except FileNotFoundError:
        return None
    ours = False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(os.fstat(lock), path.stat())
    except (BlockingIOError, FileNotFoundError):
        pass
    finally:
        if not ours:
            os.close(lock)
    return lock if ours else None


def sweep(paths: Iterable[Path]) -> None:
    """Remove the temporary files and directories among the paths that no process holds any more."""
    for path in paths:
        lock = None
        with suppress(OSError):  # what can't be locked may be in use
            lock = try_lock(path)
        if lock is None:
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
        os.close(lock)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
