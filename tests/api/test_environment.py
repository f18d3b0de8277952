"""The environment's proxy and CA bundle: used where they can be, and named at once where no try could change them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_achieveit.api.errors import AchieveItConfigError, AchieveItUnreachableError
from tests.api.raw_server import RawServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.sandbox import Sandbox
    from tests.api.conftest import Certificates

    Connect = Callable[..., AchieveItClient]

VARIABLES = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy")
HOST = "https://api.example.com"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine that runs the tests."""
    for name in (*VARIABLES, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4", "SOCKS5"])
def test_a_socks_proxy_is_refused_at_once(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
) -> None:
    """With or without its package; the message names the variable and the ways out, and no password."""
    monkeypatch.setenv(name, f"{scheme}://someone:pr0xy-pass@127.0.0.1:1080")
    with pytest.raises(AchieveItConfigError, match=f"{name} in the environment names a SOCKS proxy") as caught:
        connect(base_url=HOST)
    assert "NO_PROXY to api.example.com" in str(caught.value)
    assert "pr0xy-pass" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://", "http://:3128", "http://host:port", "http://host:99999", "ftp://host:21", "http://[", "://"]
)
def test_a_proxy_variable_that_is_no_url_is_named(connect: Connect, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Before any request."""
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(AchieveItConfigError, match="HTTPS_PROXY in the environment is not an http:// or https:// URL"):
        connect(base_url=HOST)


@pytest.mark.parametrize("way_out", ["the connection's proxy", "NO_PROXY"])
def test_a_bad_variable_does_not_matter_where_it_is_not_used(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, way_out: str
) -> None:
    """What the message advises helps."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    if way_out == "NO_PROXY":
        monkeypatch.setenv("NO_PROXY", "api.example.com")
        connect(base_url=HOST)
    else:
        connect(base_url=HOST, proxy="http://127.0.0.1:3128")


def test_a_plain_http_sandbox_needs_nothing_of_the_environment(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its proxy nor its CA bundle."""
    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/file")
    assert connect(base_url=sandbox.url).get_plan_version("p1").total_count == 25


def test_a_proxy_without_a_scheme_is_an_http_one(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """`host:port`, as curl takes it."""
    with RawServer(lambda connection, server: server.read_head(connection) and None) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
        with pytest.raises(Exception, match="proxy"):
            connect(base_url=HOST, max_retry_seconds=0).get_plan_version("p1")
        assert proxy.received.startswith(b"CONNECT api.example.com:443")


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("problem", ["missing", "no certificates"])
def test_a_ca_bundle_that_cannot_be_used_is_named(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, problem: str
) -> None:
    """Variable and path, before any request."""
    path = tmp_path / "ca.pem"
    if problem == "no certificates":
        path.write_text("nothing")
    monkeypatch.setenv(name, str(path))
    with pytest.raises(AchieveItConfigError, match=f"{name} in the environment, .*ca.pem.*, is not the path"):
        connect(base_url=HOST)
    connect(base_url=HOST, verify=False)


def test_a_folder_can_be_a_ca_bundle(connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As OpenSSL has it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path))
    connect(base_url=HOST)


def test_the_first_variable_wins(connect: Connect, monkeypatch: pytest.MonkeyPatch, certificates: Certificates) -> None:
    """REQUESTS_CA_BUNDLE before CURL_CA_BUNDLE, as in `requests`."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.ca))
    monkeypatch.setenv("CURL_CA_BUNDLE", "/no/such/file")
    connect(base_url=HOST)


def test_a_proxy_with_a_name_that_cannot_be_looked_up_is_told(connect: Connect) -> None:
    """A part of a host's name has at most 63 letters; Python's resolver says so with an error of its own kind."""
    client = connect(base_url=HOST, proxy=f"http://{'a' * 70}.example.com:3128", max_retry_seconds=0)
    with pytest.raises(AchieveItUnreachableError, match=r"the proxy cannot be used: .*label"):
        client.get_plan_version("p1")
