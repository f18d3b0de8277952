"""A name server that never answers, asked by the C library itself: nothing can interrupt that call.

The test runs in namespaces of its own, where resolv.conf names a server on loopback that takes questions and is silent.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

NAMESPACES = ["unshare", "--map-root-user", "--mount", "--net"]

PROGRAM = """
import fcntl, json, socket, struct, subprocess, sys, threading, time

for file, place in zip(sys.argv[1:], ("/etc/resolv.conf", "/etc/nsswitch.conf"), strict=True):
    subprocess.run(["mount", "--bind", file, place], check=True)
with socket.socket() as any_socket:  # the loopback of a new namespace is down: SIOCSIFFLAGS, IFF_UP | IFF_RUNNING
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x41))
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))

from airflow_provider_achieveit.api import AchieveItClient, AchieveItError
from airflow_provider_achieveit.api.settings import ClientSettings

def ask(close_after=None, **settings):
    client = AchieveItClient("a-key-of-some-length", ClientSettings(base_url="https://plans.example.com", **settings))
    if close_after is not None:
        threading.Timer(close_after, client.close).start()
    started = time.monotonic()
    try:
        client.get_plan_version("p1")
    except AchieveItError as error:
        print(json.dumps([type(error).__name__, time.monotonic() - started]))

ask(connect_timeout=0.5, read_timeout=5, max_retry_seconds=0)
ask(close_after=0.5, connect_timeout=60, read_timeout=60, max_retry_seconds=0)
print(json.dumps(len(server.recv(1000))))  # a question did come
"""


def test_a_call_ends_although_its_name_server_is_silent(tmp_path: Path) -> None:
    """When `connect_timeout` is over, and when the client is closed; the process then ends as well."""
    if subprocess.run([*NAMESPACES, "true"], capture_output=True).returncode != 0:
        pytest.skip("this machine lets nobody make namespaces (unshare), in which resolv.conf can be another")
    resolv, nsswitch = tmp_path / "resolv.conf", tmp_path / "nsswitch.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:30 attempts:5\n")
    nsswitch.write_text("hosts: dns\n")
    command = [*NAMESPACES, sys.executable, "-c", PROGRAM, str(resolv), str(nsswitch)]
    # The C library alone would wait for 150 s.
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    (timed_out, waited), (closed, waited_again), question = map(json.loads, done.stdout.splitlines())
    assert (timed_out, closed) == ("AchieveItTimeoutError", "AchieveItClosedError")
    assert max(waited, waited_again) < 20, "far above half a second, and far below what the C library takes"
    assert question > 0
