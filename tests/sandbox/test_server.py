"""The sandbox as a server: TLS, start and stop."""

from __future__ import annotations

import time

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
