"""The sandbox as a process of its own, so that what it takes is nobody's cost but its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Server:
    """A running sandbox.

    Attributes:
        url: Its base URL.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request to the sandbox's own control endpoints."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sandbox{path}", data, method=method)
        with urllib.request.urlopen(request) as response:
            return json.load(response)


@contextmanager
def serve(plans: Mapping[str, int]) -> Iterator[Server]:
    """Serve made-up plans, without compression, until the context ends."""
    command = [sys.executable, "-m", "airflow_provider_achieveit.sandbox", "--port", "0", "--no-gzip"]
    for plan, items in plans.items():
        command += ["--plan", f"{plan}={items}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        if " at http" not in ready:
            raise RuntimeError(f"the sandbox did not start: {ready}")
        yield Server(ready.split(" at ")[1].split()[0])
    finally:
        process.terminate()
        process.wait()
