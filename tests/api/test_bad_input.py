"""Input that cannot work: each is refused before any request, by an error that names value, reason and remedy."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.settings import DEFAULT_BASE_URL, ClientSettings
from airflow_provider_achieveit.api.validate import check_plan_id, shown, text
from tests.support.faulty_sandbox import Sandbox

Connect = Callable[..., AchieveItClient]


def refusal(build: Callable[[], object]) -> str:
    """Return the message of a refusal, which is a ValueError as well."""
    with pytest.raises(AchieveItConfigError) as caught:
        build()
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert message.endswith(". Correct the value that is named.")
    return message


@pytest.mark.parametrize(
    "plan_id",
    [
        "", " ", "a b", "a/b", "/", "..", "../", "a.b", "a%2Fb", "a\nb", "a\x00b", "a\n", "\t", "a?b", "a#b", "ä",
        "https://api.achieveit.com/exports/plans/1", "x" * 65, None, 5, b"p1", ["p1"],
    ],
    ids=repr,
)  # fmt: skip
def test_a_plan_id_that_could_change_a_url_or_path_is_refused(
    client: AchieveItClient, sandbox: Sandbox, plan_id: Any
) -> None:
    """Only letters, digits and hyphens, at most 64, get into a URL; items are refused at the call, not at the first."""
    for call in (client.get_plan_items, client.get_plan_version):
        message = refusal(lambda call=call: call(plan_id))
        assert f"plan_id {plan_id!r} is not 1 to 64 letters, digits and hyphens" in message
    assert not sandbox.requests


@pytest.mark.parametrize("plan_id", ["a", "A-1", "x" * 64, "a0e2ce03-8d0e-4325-9a13-17a8b5936590"])
def test_plan_ids_of_the_documented_kind_are_accepted(plan_id: str) -> None:
    """Ids as the UI shows them, and shorter ones."""
    assert check_plan_id(plan_id) == plan_id


@pytest.mark.parametrize("key", ["", " ", "\n", None])
def test_an_empty_key_is_refused(key: Any) -> None:
    """The error says where the key belongs."""
    message = refusal(lambda: AchieveItClient(key))
    assert "The API key is empty or not text: it belongs in the password field" in message


@pytest.mark.parametrize("key", ["abc\n", " abc", "a\r\nHost: evil", "schlüssel", "a\x00b", "a\tb"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    """Pasted line breaks and spaces are named, the key is not."""
    message = refusal(lambda: AchieveItClient(key))
    assert "The API key has spaces, line breaks or other characters" in message
    assert key.strip() not in message


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("api.achieveit.com", "https://api.achieveit.com"),
        ("https://gov-api.achieveit.com/", "https://gov-api.achieveit.com"),
        ("HTTPS://API.achieveit.com", "https://API.achieveit.com"),
        ("api.achieveit.com:8443", "https://api.achieveit.com:8443"),
        ("https://proxy.example.com/achieveit/", "https://proxy.example.com/achieveit"),
        ("http://localhost:8765", "http://localhost:8765"),
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:8765", "http://[::1]:8765"),
        ("https://[2001:db8::1]", "https://[2001:db8::1]"),
        ("https://" + "a" * 63 + ".com", "https://" + "a" * 63 + ".com"),
    ],
)
def test_addresses_that_work_are_accepted(given: str, used: str) -> None:
    """With and without scheme, port, path, and for IPv6; no scheme means https."""
    assert ClientSettings(base_url=given).base_url == used


def test_the_default_address_is_the_vendors() -> None:
    """Commercial tenants need not name a host."""
    assert ClientSettings().base_url == DEFAULT_BASE_URL == "https://api.achieveit.com"


@pytest.mark.parametrize(
    "url",
    [
        "", " ", "https://", "http://", "https:///path", "https://a b.com", "https://a\nb.com", "https://host:port",
        "https://host:99999", "https://host:0", "https://[::1", "https://[nonsense]", "https://a..b", "https://.com",
        "https://-a.com", "https://a_b.com", "https://ä.com", "https://" + "a" * 64 + ".com", "https://host/../etc",
        "https://host\\evil.com", "a:b:c", "https:/x", "https:x", "https", "https//api.achieveit.com", "x:",
    ],
    ids=repr,
)  # fmt: skip
def test_a_malformed_host_is_refused(url: str) -> None:
    """The error names the value and what a good one looks like."""
    message = refusal(lambda: ClientSettings(base_url=url))
    assert f"The host {url!r} is malformed" in message


@pytest.mark.parametrize(
    "url",
    [
        "https://user@host",
        "https://user:hidden@host",
        "https://host?key=hidden",
        "host#hidden",
        "https://a\\@hidden.com",
    ],
)
def test_a_host_with_more_in_it_is_refused_without_showing_it(url: str) -> None:
    """What stands before an @ or after a question mark can be a secret."""
    message = refusal(lambda: ClientSettings(base_url=url))
    assert "The host holds a user name, a password or a query (it is not shown" in message
    assert "hidden" not in message


@pytest.mark.parametrize("path", ["/exports/plans", "/exports/plans/", "/exports/plans/a0e2ce03"])
def test_a_host_with_the_path_of_the_request_is_refused(path: str) -> None:
    """The client adds the path; twice would be a 404 that looks like a missing plan."""
    message = refusal(lambda: ClientSettings(base_url=f"https://api.achieveit.com{path}"))
    assert "holds the path of a request: give what stands before /exports" in message


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("API-KEY hidden", 'starts with "API-KEY"'),
        ("api-key: hidden", 'starts with "API-KEY"'),
        ("Authorization: API-KEY hidden", 'starts with "API-KEY"'),
        ('"hidden"', "is in quotes"),
        ("'hidden'", "is in quotes"),
        ("***", "is the *** that Airflow shows"),
    ],
)
def test_a_key_that_was_copied_with_more_around_it_is_refused(key: str, reason: str) -> None:
    """401 would not say why."""
    message = refusal(lambda: AchieveItClient(key))
    assert f"The API key {reason}" in message
    assert "hidden" not in message


def test_the_repr_of_settings_shows_no_password() -> None:
    """Logs and tracebacks show settings."""
    settings = ClientSettings(base_url="https://127.0.0.1", proxy="http://user:hidden@proxy:3128")
    assert "hidden" not in repr(settings)


@pytest.mark.parametrize("url", ["ftp://api.achieveit.com", "ws://api.achieveit.com", "file:///etc/passwd"])
def test_another_scheme_is_refused(url: str) -> None:
    """Only https, and http for loopback, are spoken."""
    assert url in refusal(lambda: ClientSettings(base_url=url))


@pytest.mark.parametrize(
    "url",
    [
        "http://api.achieveit.com", "HTTP://api.achieveit.com", "http://localhost.example.com", "http://10.0.0.1",
        "http://0.0.0.0", "http://[2001:db8::1]", "http://127.0.0.1.example.com", "http://2130706433",
    ],
)  # fmt: skip
def test_plain_http_is_refused_for_all_but_loopback(url: str) -> None:
    """The key never travels unencrypted to another machine."""
    message = refusal(lambda: ClientSettings(base_url=url))
    assert f"The host {url!r} would get the key unencrypted: only loopback may be http" in message


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("page_size", 0, "is not within 2 to 1500"),
        ("page_size", 1, "is not within 2 to 1500"),
        ("page_size", 1501, "is not within 2 to 1500"),
        ("page_size", -5, "is not within 2 to 1500"),
        ("page_size", 2.5, "is not an integer"),
        ("page_size", "many", "is not an integer"),
        ("page_size", True, "is not an integer"),
        ("page_size", [100], "is not an integer"),
        ("max_concurrency", 0, "is not within 1 to 32"),
        ("max_concurrency", 33, "is not within 1 to 32"),
        ("connect_timeout", 0, "is not within 0.1 to 86400"),
        ("read_timeout", -1, "is not within 0.1 to 86400"),
        ("read_timeout", "nan", "is not within 0.1 to 86400"),
        ("read_timeout", float("inf"), "is not within 0.1 to 86400"),
        ("read_timeout", 10**400, "is not a number"),
        ("read_timeout", True, "is not a number"),
        ("max_retry_seconds", -1, "is not within 0 to 86400"),
        ("max_retry_seconds", 86401, "is not within 0 to 86400"),
        ("max_retry_seconds", "5 min", "is not a number"),
        ("max_retry_seconds", {}, "is not a number"),
        ("verify", "/no/such/file", "is neither true, false nor the path of a CA file"),
        ("verify", "yes please", "is neither true, false nor the path of a CA file"),
        ("verify", 1, "is neither true, false nor the path of a CA file"),
        ("verify", [], "is neither true, false nor the path of a CA file"),
        ("verify", "a\x00b", "is neither true, false nor the path of a CA file"),
    ],
    ids=repr,
)
def test_a_setting_out_of_its_limits_is_refused(name: str, value: object, reason: str) -> None:
    """The error names the setting, the value and the limits."""
    message = refusal(lambda: ClientSettings(**{name: value}))
    assert message.startswith(name)
    assert reason in message
    assert shown(str(value) if name == "verify" else value) in message


def test_numbers_where_text_is_meant_become_their_digits() -> None:
    """Templates can be rendered to Python's own types; what means nothing as text is refused."""
    assert [text("label", value) for value in ("a", 2026, 1.5)] == ["a", "2026", "1.5"]
    for value, reason in ((True, "is not text"), ([], "is not text"), ("\ud800", "holds half a character")):
        assert reason in refusal(lambda value=value: text("label", value))


def test_a_folder_of_certificates_is_taken(tmp_path: Path) -> None:
    """OpenSSL looks into it when it needs one."""
    assert ClientSettings(verify=str(tmp_path)).verify == str(tmp_path)


def test_a_file_that_holds_no_certificate_is_refused(tmp_path: Path) -> None:
    """A wrong path shows when the client is made, and not as a refused server."""
    (tmp_path / "ca.pem").write_text("not a certificate")
    assert "nor the path of a CA file" in refusal(lambda: ClientSettings(verify=str(tmp_path / "ca.pem")))


@pytest.mark.parametrize(
    "proxy", ["proxy:3128", "socks5://proxy", "http://", "http://[", "http://proxy:99999", "http://proxy:0", 5]
)
def test_a_malformed_proxy_is_refused_without_showing_it(proxy: Any) -> None:
    """The URL of a proxy can hold a password."""
    message = refusal(lambda: ClientSettings(proxy=proxy))
    assert "proxy is not an http:// or https:// URL with a host" in message
    assert str(proxy) not in message.replace("http://", "") or proxy == "http://"


def test_a_proxy_for_plain_http_is_refused() -> None:
    """A proxy would read the key of a request that is not encrypted."""
    message = refusal(lambda: ClientSettings(base_url="http://127.0.0.1:8765", proxy="http://proxy:3128"))
    assert "would see the key of the plain-http host http://127.0.0.1:8765" in message


@pytest.mark.parametrize(
    ("name", "value", "used"),
    [
        ("page_size", "200", 200),
        ("page_size", 200.0, 200),
        ("page_size", "", 1500),
        ("page_size", None, 1500),
        ("max_concurrency", " 8 ", 8),
        ("connect_timeout", "2.5", 2.5),
        ("read_timeout", 30, 30.0),
        ("max_retry_seconds", "0", 0.0),
        ("verify", "true", True),
        ("verify", "False", False),
        ("verify", "", True),
        ("verify", False, False),
        ("proxy", "", None),
        ("proxy", "http://proxy:3128", "http://proxy:3128"),
    ],
)
def test_text_becomes_what_it_means(name: str, value: object, used: object) -> None:
    """Connections in URI form hold nothing but text, and forms leave empty fields empty."""
    actual = getattr(ClientSettings(**{name: value}), name)
    assert actual == used
    assert type(actual) is type(used)
