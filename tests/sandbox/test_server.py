"""The sandbox as a server: TLS, start and stop."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

import pytest
import requests

from tests.support.faulty_sandbox import Sandbox


def test_serves_https(tmp_path):
    """With a certificate the same API is served over TLS."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    with Sandbox({"p": 3}, ssl_certfile=tmp_path / "server.pem", ssl_keyfile=tmp_path / "server.pem") as sandbox:
        assert sandbox.url.startswith("https://")
        headers = {"Authorization": f"API-KEY {sandbox.key}"}
        url = f"{sandbox.url}/exports/plans/p"
        response = requests.get(url, headers=headers, timeout=30, verify=str(tmp_path / "authority.pem"))
        assert response.json()["totalCount"] == 3
        sandbox.script({"fault": {"reset": True}})
        with pytest.raises(requests.ConnectionError):
            requests.get(url, headers=headers, timeout=30, verify=str(tmp_path / "authority.pem"))


def test_ends_at_once_and_gives_the_port_back():
    """Stopping waits for nobody, not even for a request that hangs, and the port can be taken again."""
    sandbox = Sandbox({"p": 1}, latency=3600)
    started = time.monotonic()
    with sandbox, pytest.raises(requests.Timeout):
        requests.get(f"{sandbox.url}/exports/plans/p", timeout=0.2)
    assert time.monotonic() - started < 60
    with Sandbox({"p": 1}, port=sandbox.port) as again:
        assert again.url == sandbox.url
        assert requests.get(f"{again.url}/exports/plans/p", timeout=30).status_code == 401


def test_sends_at_once_over_a_kept_connection():
    """Many requests travel over one connection, and no body waits for the client to acknowledge the head."""
    with Sandbox({"p": 1}) as sandbox, requests.Session() as session:
        for _ in range(3):
            session.get(f"{sandbox.url}/exports/plans/p", timeout=30)
        (connection,) = sandbox._server.connections
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_many_clients_wait_side_by_side():
    """Three hundred connections at once, which a select() or a small backlog could not hold."""
    with Sandbox({"p": 1}, latency=3600) as sandbox, ExitStack() as stack:
        address = ("127.0.0.1", sandbox.port)
        clients = [stack.enter_context(socket.create_connection(address, timeout=60)) for _ in range(300)]
        for client in clients:
            client.sendall(b"GET /exports/plans/p HTTP/1.1\r\nHost: localhost\r\n\r\n")
        deadline = time.monotonic() + 60
        while sandbox.traffic().in_flight < 300:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        sandbox.stop()
        assert {client.recv(1) for client in clients} == {b""}
        while sandbox.traffic().in_flight:
            assert time.monotonic() < deadline
            time.sleep(0.01)
