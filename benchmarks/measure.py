"""CPU and memory of a program and everything that it starts, as the operating system counts them."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_INTERVAL = 0.05


@dataclass(frozen=True)
class Cost:
    """What a program took.

    Attributes:
        wall: Seconds.
        cpu: Seconds of user and system time, of the process and of all children that it waited for.
        peak_mb: Peak resident memory in MB: the largest sum over the process tree at 20 Hz, or the kernel's own
            high-water mark of a single process, whichever is more.
    """

    wall: float
    cpu: float
    peak_mb: float


def bare_environment() -> dict[str, str]:
    """Return what a program needs of the caller's environment, and nothing that could change what it does."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


def run(command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> Cost:
    """Run a program to its end.

    Raises:
        RuntimeError: It failed; the message has the end of its output.
    """
    with log.open("wb") as output:
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=dict(environment))
        sampled = [0]
        ended = threading.Event()
        sampler = threading.Thread(target=_sample, args=(process.pid, sampled, ended))
        sampler.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        ended.set()
        sampler.join()
    if process.returncode:
        tail = log.read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{tail}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, max(sampled[0], usage.ru_maxrss * 1024) / 1e6)


def _sample(pid: int, largest: list[int], ended: threading.Event) -> None:
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        while not ended.wait(_INTERVAL):
            total = 0
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
            largest[0] = max(largest[0], total)
