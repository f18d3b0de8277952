"""A program whose children each export the plan `p` once, and fail or die at a chosen step.

A step is a file operation on the destination or in the temporary directory; Python announces each before it does it.
Started with the sandbox's URL and key, a local destination and a temporary directory. A line on stdin is `count`,
`kill <step>`, `fail <step>` or `unlocked`; the answer is a line of JSON: how the child ended, and after how many steps.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.portfolio import export_plan
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink

#: What makes something new: on a full disk, these fail and the others do not.
MAKING = {"os.mkdir", "os.rename", "shutil.copyfile"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Steps:
    """Counts the steps, and lets one of them go wrong."""

    def __init__(self, places: tuple[str, ...], what: str, at: int) -> None:
        self.places, self.what, self.at = places, what, at
        self.seen = 0

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "fcntl.flock" and self.what == "unlocked" and self._within(arguments[0], self.places[0]):
            raise OSError(errno.EBADF, "Bad file descriptor")  # as NFS says it
        if not event.startswith(("open", "os.", "shutil.", "fcntl.")) or not self._concerns(event, arguments):
            return
        making = event in MAKING or (event == "open" and arguments[2] & WRITING)
        if self.what == "fail" and not making:
            return
        self.seen += 1
        if self.seen == self.at and self.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.seen == self.at and self.what == "fail":
            raise OSError(errno.ENOSPC, "No space left on device")

    def _within(self, descriptor: int, place: str) -> bool:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith(place)

    def _concerns(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "fcntl.flock":
            return True
        # Removing a tree names files by a directory's descriptor.
        if event in ("os.remove", "os.rmdir") and arguments[1] != -1:
            return True
        return any(str(argument).startswith(self.places) for argument in arguments)


def export(url: str, key: str, root: str, spools: str, what: str, at: int) -> tuple[str, int]:
    """Export once, in this process, with a fault at this step."""
    steps = Steps((root, spools), what, at)
    sys.addaudithook(steps)
    client = AchieveItClient(key, ClientSettings(base_url=url, max_retry_seconds=0))
    try:
        export_plan(client, ParquetSink(Store(LocalFileSystem(), root)), "p", snapshot="now")
    except Exception as error:  # the test looks at what it was
        return type(error).__name__, steps.seen
    return "exported", steps.seen


def main() -> None:
    """One child a line."""
    url, key, root, spools = sys.argv[1:]
    tempfile.tempdir = spools
    for line in sys.stdin:
        what, _, at = line.strip().partition(" ")
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            outcome = export(url, key, root, spools, what, int(at or 0))
            os.write(writing, json.dumps(outcome).encode())
            os._exit(0)
        os.close(writing)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reading) as said:
            answer = "killed" if os.WIFSIGNALED(status) else said.read()
        sys.stdout.write(json.dumps(["killed", 0]) + "\n" if answer == "killed" else answer + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
