"""A program whose children each land one commit in a lake, and are killed at a chosen step.

A step is a file below the destination that Python is about to write, move or copy, or a commit of deltalake. Started
with a format, the destination and a temporary directory. Each line on stdin is JSON: what to land, and the step (0:
none); the answer is a line of JSON: how the child ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

# Imported here, once, and not in each child: it takes seconds.
import pyiceberg.catalog.sql
import pyiceberg.io.fsspec
import pyiceberg.io.pyarrow  # noqa: F401

from airflow_provider_achieveit.api.errors import AchieveItError
from tests.lake.formats.conftest import FORMATS
from tests.lake.formats.lakes import BEGINNING, IcebergLake, land

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.rename", "os.link", "shutil.copyfile"}
#: The functions with which deltalake changes a table, of which Python says nothing.
CALLS = {"create_write_transaction", "create_deltalake"}


class Steps:
    """Counts steps, and kills the process at one of them."""

    def __init__(self, place: str, at: int) -> None:
        self._place, self._at = place, at
        self.seen = 0

    def watch(self, kind: str) -> None:
        """Begin to count."""
        sys.addaudithook(self._on_event)
        if kind == "delta":
            sys.setprofile(self._on_call)

    def _step(self) -> None:
        self.seen += 1
        if self.seen == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        opens = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITING
        if (opens or event in CHANGES) and any(str(argument).startswith(self._place) for argument in arguments):
            self._step()

    def _on_call(self, frame: FrameType, event: str, function: Any) -> None:
        if event == "c_call" and function.__name__ in CALLS:
            self._step()


def run(kind: str, root: Path, order: dict[str, Any]) -> tuple[str, int]:
    """Land in this process."""
    steps = Steps(str(root), order.get("kill", 0))
    with tempfile.TemporaryDirectory() as directory:
        steps.watch(kind)
        read_at = BEGINNING + timedelta(seconds=order["read_at"])
        try:
            land(FORMATS[kind](root).sink(), Path(directory), order["plans"], order["label"], read_at=read_at)
        except AchieveItError as error:
            return f"{type(error).__name__}: {error}", steps.seen
    return "landed", steps.seen


def main() -> None:
    """One child a line."""
    kind, root, spools = sys.argv[1:]
    IcebergLake.io = "pyiceberg.io.fsspec.FsspecFileIO"  # pyarrow's would write without a word to Python
    tempfile.tempdir = spools
    for line in sys.stdin:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writing, json.dumps(run(kind, Path(root), json.loads(line))).encode())
            os._exit(0)
        os.close(writing)
        _, status = os.waitpid(child, 0)
        with os.fdopen(reading) as said:
            answer = said.read()
        print(json.dumps(["killed", 0]) if os.WIFSIGNALED(status) else answer, flush=True)


if __name__ == "__main__":
    main()
