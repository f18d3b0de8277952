"""A program whose children each land one commit in a lake, and are killed at a chosen step.

A step is a change of a file below the destination or the warehouse that Python makes, or a call with which a library
writes or commits by other means. Started with a format, the destination and a temporary directory. Each line on stdin
is JSON: what to land, and the step (0: none); the answer is a line of JSON: how the child ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

from airflow_provider_achieveit.api.errors import AchieveItError
from tests.lake.formats.conftest import FORMATS
from tests.lake.formats.lakes import BEGINNING, land

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "shutil.copyfile"}
#: Names of the functions of deltalake and pyiceberg that write or commit.
CALLS = {"create_write_transaction", "create_deltalake", "create_table", "commit_table", "create", "new_output"}


class Steps:
    """Counts steps, and kills the process at one of them."""

    def __init__(self, place: str, at: int) -> None:
        self._place, self._at = place, at
        self.seen = 0

    def watch(self) -> None:
        """Begin to count."""
        sys.addaudithook(self._on_event)
        threading.setprofile(self._on_call)
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
        if event in ("call", "return") and frame.f_code.co_name in CALLS and "pyiceberg" in frame.f_code.co_filename:
            self._step()


def run(kind: str, root: Path, order: dict[str, Any]) -> tuple[str, int]:
    """Land in this process."""
    steps = Steps(str(root.parent / "lake"), order.get("kill", 0))
    with tempfile.TemporaryDirectory() as directory:
        steps.watch()
        read_at = BEGINNING + timedelta(seconds=order["read_at"])
        try:
            land(FORMATS[kind](root).sink(), Path(directory), order["plans"], order["label"], read_at=read_at)
        except AchieveItError as error:
            return f"{type(error).__name__}: {error}", steps.seen
    return "landed", steps.seen


def main() -> None:
    """One child a line."""
    kind, root, spools = sys.argv[1:]
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
