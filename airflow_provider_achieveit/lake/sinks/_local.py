"""Local files as objects: what they are, and copies that are about to replace them."""

from __future__ import annotations

import os
import shutil
import stat
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_achieveit.lake.sinks.object_state import ObjectState


def local_state(path: Path) -> ObjectState | None:
    """Return the state of a file, or None if there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISDIR(found.st_mode):
        return None
    return ObjectState(
        f"{found.st_ino}-{found.st_mtime_ns}", found.st_size, datetime.fromtimestamp(found.st_mtime, UTC)
    )


def local_copy(file: Path, copy: Path, target: Path) -> Path:
    """Copy a file; the copy has the permissions of the file that it is about to replace, if there is one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, copy)
    with suppress(FileNotFoundError):
        replaced = target.stat()
        if not stat.S_ISDIR(replaced.st_mode):
            with suppress(PermissionError):
                os.chown(copy, replaced.st_uid, replaced.st_gid)
            copy.chmod(stat.S_IMODE(replaced.st_mode))
    # The system's own time of a new file is a few milliseconds coarse, too coarse to tell two exports' files apart.
    now = time.time_ns()
    os.utime(copy, ns=(now, now))
    with copy.open("rb") as written:
        os.fsync(written.fileno())
    return copy
