"""Temporary directories that no run leaves behind for ever, however it ends.

A process that is killed can't clean up. So each temporary directory is locked with `flock`, and the kernel ends the
lock with the process: a directory that nobody has locked is a leftover, and the next run removes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from airflow_provider_achieveit.lake.errors import AchieveItScratchError

_PREFIX = "achieveit-spool-"
#: No space, a quota that is used up, a file that may not grow.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """Give a new directory in the system's temporary directory, and remove it afterwards, whatever happens.

    Also removes the directories of runs that were killed.

    Raises:
        AchieveItScratchError: The temporary directory is full, or is not writable.
    """
    within = Path(tempfile.gettempdir())
    sweep(within.glob(f"{_PREFIX}*"))
    with ExitStack() as stack:
        try:
            directory = stack.enter_context(locked_directory(within, _PREFIX))
        except OSError as error:
            raise AchieveItScratchError(f"{within}: {type(error).__name__}: {error}") from error
        try:
            yield directory
        except OSError as error:
            if error.errno in _FULL:
                raise AchieveItScratchError(f"{within}: {type(error).__name__}: {error}") from error
            raise


@contextmanager
def locked_directory(within: Path, prefix: str) -> Iterator[Path]:
    """Give a new, locked directory, and remove it afterwards, whatever happens."""
    directory, lock = _make_locked(within, prefix)
    try:
        yield directory
    finally:
        try:
            shutil.rmtree(directory, ignore_errors=True)
        finally:
            # Also after an exception inside rmtree, such as a signal's: a directory that stays locked is never swept.
            if lock is not None:
                os.close(lock)


def _make_locked(within: Path, prefix: str) -> tuple[Path, int | None]:
    while True:
        directory = Path(tempfile.mkdtemp(prefix=prefix, dir=within))
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
        # flock() on NFS needs a descriptor that was opened for writing.
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
        try:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        except OSError:
            continue  # another user's
        finally:
            os.close(lock)
