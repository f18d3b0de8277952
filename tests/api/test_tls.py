import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import AchieveItServerError, AchieveItTlsError
from tests.api.conftest import Certificates
from tests.api.raw_server import RawServer, answering, response
from tests.conftest import API_KEY
from tests.support.faulty_sandbox import Sandbox

Connect = Callable[..., AchieveItClient]

EMPTY_PLAN = response(b'{"items": [], "totalCount": 0}')


def tls_sandbox(certificate: Path) -> Sandbox:
    """A sandbox that serves HTTPS."""
    return Sandbox({"p1": 25}, key=API_KEY, ssl_certfile=certificate, ssl_keyfile=certificate)


def refused(client: AchieveItClient) -> str:
    """Ask once, and return the message of the refusal: one that nobody tries again."""
    with pytest.raises(AchieveItServerError) as caught:
        client.get_plan_version("p1")
    assert type(caught.value) is AchieveItTlsError, str(caught.value)
    assert client.requests_sent == 1
    assert "set verify to the path of its CA file" in str(caught.value)
    return str(caught.value)


def wait_for(condition: Callable[[], bool]) -> None:
    """Give a server's thread the time to notice."""
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_a_certificate_of_a_known_authority_is_accepted(connect: Connect, certificates: Certificates) -> None:
    """`verify` is the path of a CA file."""
    with tls_sandbox(certificates.good) as sandbox:
        client = connect(base_url=sandbox.url, verify=str(certificates.ca), page_size=10)
        assert list(client.get_plan_items("p1")) == sandbox.plan("p1").items()


def test_a_certificate_of_an_unknown_authority_is_refused(connect: Connect, certificates: Certificates) -> None:
    """By default only the system's authorities are trusted; the server sees no request."""
    with tls_sandbox(certificates.good) as sandbox:
        assert "CERTIFICATE_VERIFY_FAILED" in refused(connect(base_url=sandbox.url))
        assert not sandbox.requests


def test_a_certificate_of_another_host_is_refused(connect: Connect, certificates: Certificates) -> None:
    """A trusted authority is not enough: the name must match, and the server sees no request."""
    with tls_sandbox(certificates.other_host) as sandbox:
        assert "match" in refused(connect(base_url=sandbox.url, verify=str(certificates.ca)))
        assert not sandbox.requests


def test_an_expired_certificate_is_refused(connect: Connect, certificates: Certificates) -> None:
    """The server sees no request."""
    with tls_sandbox(certificates.expired) as sandbox:
        assert "expired" in refused(connect(base_url=sandbox.url, verify=str(certificates.ca)))
        assert not sandbox.requests


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_verification_can_be_turned_off(connect: Connect, certificates: Certificates) -> None:
    """`verify=False` accepts what the tests above refuse."""
    with tls_sandbox(certificates.other_host) as sandbox:
        assert connect(base_url=sandbox.url, verify=False).get_plan_version("p1").total_count == 25


def test_the_ca_bundle_of_the_environment_is_used(
    connect: Connect, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a company's machines set REQUESTS_CA_BUNDLE, `verify` need not be set."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.ca))
    with tls_sandbox(certificates.good) as sandbox:
        assert connect(base_url=sandbox.url).get_plan_version("p1").total_count == 25


def test_verify_wins_over_the_environment(
    connect: Connect, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle of the environment does not replace the connection's own."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ssl.get_default_verify_paths().cafile or "/etc/hostname")
    with tls_sandbox(certificates.good) as sandbox:
        client = connect(base_url=sandbox.url, verify=str(certificates.ca))
        assert client.get_plan_version("p1").total_count == 25


def test_a_server_without_tls_is_refused(connect: Connect, sandbox: Sandbox) -> None:
    """https:// to a port that speaks plain http is no passing fault."""
    refused(connect(base_url=sandbox.url.replace("http://", "https://")))
    assert not sandbox.requests


class VersionedServer:
    """A TLS server of exactly one version; it notes what its handshakes came to."""

    def __init__(self, certificate: Path, version: ssl.TLSVersion) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.set_ciphers("DEFAULT@SECLEVEL=0")  # else OpenSSL itself does not offer the old versions
        self.context.load_cert_chain(certificate)
        self.context.minimum_version = self.context.maximum_version = version
        self.spoken: list[str | None] = []

    def handle(self, connection: socket.socket, server: RawServer) -> None:
        """Shake hands, and tell of an empty plan."""
        try:
            secured = self.context.wrap_socket(connection, server_side=True)
        except ssl.SSLError:
            self.spoken.append(None)
            return
        self.spoken.append(secured.version())
        answering(EMPTY_PLAN)(secured, server)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_tls_below_1_2_is_refused(
    connect: Connect, certificates: Certificates, version: ssl.TLSVersion, verify: bool
) -> None:
    """A server of an older version gets no request, even when its certificate would be accepted."""
    old = VersionedServer(certificates.good, version)
    with RawServer(old.handle) as server:
        url = f"https://127.0.0.1:{server.port}"
        refused(connect(base_url=url, verify=str(certificates.ca) if verify else False))
        assert server.connections == 1
        wait_for(lambda: old.spoken == [None])
        # It is we who refuse: a client that does not mind the version is served.
        careless = ssl.create_default_context(cafile=certificates.ca)
        careless.set_ciphers("DEFAULT@SECLEVEL=0")
        careless.minimum_version = version
        with (
            socket.create_connection(("127.0.0.1", server.port)) as plain,
            careless.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
        ):
            secured.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert secured.recv(1000).startswith(b"HTTP/1.1 200")
    assert old.spoken == [None, version.name.replace("_", ".")]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_from_1_2_on_is_accepted(connect: Connect, certificates: Certificates, version: ssl.TLSVersion) -> None:
    """The same server with a version of today is read."""
    current = VersionedServer(certificates.good, version)
    with RawServer(current.handle) as server:
        client = connect(base_url=f"https://127.0.0.1:{server.port}", verify=str(certificates.ca))
        assert client.get_plan_version("p1").total_count == 0
    assert current.spoken == [version.name.replace("_", ".")]


def test_a_connection_lost_during_the_handshake_is_tried_again(connect: Connect, certificates: Certificates) -> None:
    """That is no refusal: a load balancer that restarts looks the same."""
    current = VersionedServer(certificates.good, ssl.TLSVersion.TLSv1_3)

    def handle(connection: socket.socket, server: RawServer) -> None:
        if server.connections == 1:
            connection.recv(10)
        else:
            current.handle(connection, server)

    with RawServer(handle) as server:
        client = connect(base_url=f"https://127.0.0.1:{server.port}", verify=str(certificates.ca))
        assert client.get_plan_version("p1").total_count == 0
        assert client.requests_sent == 2
