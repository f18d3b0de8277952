"""The key is sent to the connection's host, encrypted unless that is this machine, and nowhere else."""

import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import AchieveItError, AchieveItRedirectError
from tests.api.raw_server import RawServer, answering, response
from tests.conftest import API_KEY
from tests.support.faulty_sandbox import Sandbox

Connect = Callable[..., AchieveItClient]

PROXY_VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.fixture(autouse=True)
def no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests set what they are about."""
    for name in (*PROXY_VARIABLES, "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_to_another_host_are_not_followed(connect: Connect, sandbox: Sandbox, status: int) -> None:
    """The other host sees no connection at all, and the error says why."""
    with RawServer(answering(response(b"{}"))) as other:
        sandbox.script({"fault": {"status": status, "redirect": f"{other.url}/exports/plans/p1"}})
        with pytest.raises(AchieveItError, match="The key is never sent elsewhere") as caught:
            connect().get_plan_version("p1")
        assert other.connections == 0
    assert type(caught.value) is AchieveItRedirectError
    assert caught.value.status == status
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize(
    "location",
    ["/exports/plans/one", "//127.0.0.1:1/", "", "http://[", "https://a:99999/", "ftp://host/", "\xff\xfe", "?a=b"],
    ids=repr,
)
def test_no_redirect_is_followed_whatever_it_says(connect: Connect, sandbox: Sandbox, location: str) -> None:
    """Neither one to the same host, nor one that nobody can read."""
    sandbox.script({"fault": {"redirect": location}})
    with pytest.raises(AchieveItError) as caught:
        connect().get_plan_version("p1")
    assert type(caught.value) is AchieveItRedirectError
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("machine", ["127.0.0.1", "localhost", "default"])
def test_netrc_does_not_replace_the_key(
    connect: Connect, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: str
) -> None:
    """A password for the host in ~/.netrc belongs to other programs."""
    netrc = tmp_path / ".netrc"
    entry = "default" if machine == "default" else f"machine {machine}"
    netrc.write_text(f"{entry} login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    assert connect().get_plan_version("p1").total_count == 25
    url = sandbox.url.replace("127.0.0.1", "localhost")
    assert connect(base_url=url).get_plan_version("p1").total_count == 25
    assert all(request.key_ok for request in sandbox.requests)


def test_netrc_does_not_replace_the_key_over_tls(
    connect: Connect, tls: "Tls", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where `requests` does look at the environment."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login someone password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert connect(base_url=tls.sandbox.url, verify=tls.ca).get_plan_version("p1").total_count == 25
    assert tls.sandbox.requests[0].key_ok


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("variable", PROXY_VARIABLES)
def test_a_proxy_of_the_environment_does_not_see_plain_http(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, variable: str, host: str
) -> None:
    """Plain http is for loopback alone: a proxy would read the key."""
    with RawServer(answering(response(b"{}"))) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        url = sandbox.url.replace("127.0.0.1", host)
        assert connect(base_url=url).get_plan_version("p1").total_count == 25
        assert proxy.connections == 0


class Tls:
    """A sandbox that serves HTTPS, and the authority that signed its certificate."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        authority.cert_pem.write_to_path(self.ca)
        certificate = folder / "server.pem"
        authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        self.sandbox = Sandbox({"p1": 25}, key=API_KEY, ssl_certfile=certificate, ssl_keyfile=certificate)


@pytest.fixture
def tls(tmp_path: Path) -> Any:
    """Such a sandbox, running."""
    tls = Tls(tmp_path)
    with tls.sandbox:
        yield tls


def tunnel(connection: socket.socket, server: RawServer) -> None:
    """Serve as a proxy does: connect to where CONNECT says, and pass bytes on; keep all that the client sent."""
    host, port = server.read_head(connection).split(b" ")[1].split(b":")
    with socket.create_connection((host.decode(), int(port))) as target:
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        while True:
            for side in select.select([connection, target], [], [])[0]:
                data = side.recv(65536)
                if not data:
                    return
                if side is connection:
                    server.received += data
                (target if side is connection else connection).sendall(data)


def test_a_proxy_tunnels_and_does_not_see_the_key(connect: Connect, tls: Tls) -> None:
    """The extra `proxy` is used, and all that it gets is the host and bytes that it cannot read."""
    with RawServer(tunnel) as proxy:
        client = connect(base_url=tls.sandbox.url, verify=tls.ca, proxy=proxy.url)
        assert client.get_plan_version("p1").total_count == 25
        client.close()
    assert proxy.connections == 1
    assert proxy.received.startswith(f"CONNECT 127.0.0.1:{tls.sandbox.port} ".encode())
    assert API_KEY.encode() not in proxy.received
    assert b"uthorization" not in proxy.received
    assert tls.sandbox.requests[0].key_ok


def test_a_proxy_of_the_environment_tunnels_for_https(
    connect: Connect, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra, https goes where the machine's environment says."""
    with RawServer(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert connect(base_url=tls.sandbox.url, verify=tls.ca).get_plan_version("p1").total_count == 25
        assert proxy.connections == 1
        assert API_KEY.encode() not in proxy.received


def test_the_proxy_of_the_connection_wins(connect: Connect, tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is for connections that name none."""
    with RawServer(tunnel) as proxy, RawServer(tunnel) as other:
        monkeypatch.setenv("HTTPS_PROXY", other.url)
        monkeypatch.setenv("ALL_PROXY", other.url)
        client = connect(base_url=tls.sandbox.url, verify=tls.ca, proxy=proxy.url)
        assert client.get_plan_version("p1").total_count == 25
        assert (proxy.connections, other.connections) == (1, 0)


def test_a_proxy_that_refuses_is_named(connect: Connect, tls: Tls) -> None:
    """The error says that it was the proxy, and shows neither its password nor the key."""
    refusal = response(b"", status="407 Proxy Authentication Required")
    with RawServer(answering(refusal)) as proxy:
        url = proxy.url.replace("http://", "http://someone:pr0xy-pass@")
        client = connect(base_url=tls.sandbox.url, verify=tls.ca, proxy=url, max_retry_seconds=0)
        with pytest.raises(AchieveItError, match="407 Proxy Authentication Required") as caught:
            client.get_plan_version("p1")
    assert "pr0xy-pass" not in str(caught.value)
    assert API_KEY.encode() not in proxy.received
    assert not tls.sandbox.requests


def test_the_key_is_sent_in_its_header_alone(connect: Connect) -> None:
    """Not in the URL, where every log on the way would keep it."""
    with RawServer(answering(response(b'{"items": [], "totalCount": 0}'))) as server:
        connect(base_url=server.url).get_plan_version("p1")
    lines = bytes(server.received).decode().splitlines()
    assert [line for line in lines if API_KEY in line] == [f"Authorization: API-KEY {API_KEY}"]
