"""A program that exports a plan again and again in child processes, and kills each of them after a while.

Imports take seconds and are not what is tested: they happen once, before the children are forked. Started with the
sandbox's URL, a destination and its connection id (or -); each line on stdin is the life of a child in seconds, or
empty for one that ends by itself after one export.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator

# pyarrow, s3fs and so on are loaded here, in the parent, which starts no threads.
import airflow.providers.amazon.aws.fs.s3
import requests  # noqa: F401

import airflow_provider_achieveit.lake.export  # noqa: F401
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator


def export_for_ever(url: str, destination: str, conn_id: str | None) -> Iterator[None]:
    """Edit the plan, export it, and so on."""
    while True:
        urllib.request.urlopen(urllib.request.Request(f"{url}/_sandbox/plans/p1/edit", b"{}", method="POST"))
        AchieveItExportOperator(
            task_id="export", plan_id="p1", destination=destination, destination_conn_id=conn_id, snapshot="now"
        ).execute({})
        yield


def live(seconds: float | None) -> str:
    """Run a child that exports, and kill it after so many seconds; with None, let it end after one export."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        url, destination, conn_id = sys.argv[1:]
        for _ in export_for_ever(url, destination, None if conn_id == "-" else conn_id):
            if seconds is None:
                os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return "killed"
    return f"ended with {status} after {time.monotonic() - started}"


def main() -> None:
    """Let a child live for each line, and say how it ended."""
    for line in sys.stdin:
        sys.stdout.write(f"child {live(float(line) if line.strip() else None)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    assert airflow.providers.amazon.aws.fs.s3
    main()
