import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import AchieveItAuthError, AchieveItConfigError
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.schema import PLAN_ITEMS
from tests.support.faulty_sandbox import Sandbox

HookOf = Callable[[str], AchieveItHook]
Hook = Callable[..., AchieveItHook]

DEFAULTS = ClientSettings()


def test_the_default_connection_is_achieveit_default() -> None:
    """A hook without arguments looks for the id that the documentation names."""
    assert AchieveItHook().achieveit_conn_id == AchieveItHook.default_conn_name == "achieveit_default"
    assert (AchieveItHook.conn_type, AchieveItHook.conn_name_attr) == ("achieveit", "achieveit_conn_id")


def test_a_plan_is_read_through_a_connection(hook: Hook, sandbox: Sandbox) -> None:
    """Items, version and table come through the hook, with the page size of the connection."""
    reader = hook(page_size=10)
    items = sandbox.plan("p1").items()
    assert list(reader.get_plan_items("p1")) == items
    assert {request.query.split("&")[1] for request in sandbox.requests} == {"take=10"}
    assert reader.get_plan_version("p1").total_count == 25
    table = reader.get_plan_table("p1")
    assert isinstance(table, pa.Table)
    assert table.schema.equals(PLAN_ITEMS, check_metadata=False)
    assert table.column("id").to_pylist() == [item["id"] for item in items]


def test_items_come_sorted_as_asked_for(hook: Hook, sandbox: Sandbox) -> None:
    """Sort key and direction reach the API."""
    list(hook().get_plan_items("p1", sort_key="due", sort_direction="desc"))
    assert "sortKey=due&sortDirection=desc" in sandbox.requests[0].query


def test_the_client_works_without_airflow(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    """`get_conn` gives one client, which needs the connection no more."""
    reader = hook()
    client = reader.get_conn()
    assert isinstance(client, AchieveItClient)
    assert reader.get_conn() is client
    monkeypatch.delenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT")
    assert client.get_plan_version("p1").total_count == 25


@pytest.mark.parametrize(
    "ask",
    [
        lambda hook: list(hook.get_plan_items("p1")),
        lambda hook: hook.get_plan_version("p1"),
        lambda hook: hook.get_plan_table("p1"),
    ],
    ids=["items", "version", "table"],
)
def test_a_refused_key_fails_a_task_at_once(hook: Hook, sandbox: Sandbox, ask: Callable[[AchieveItHook], Any]) -> None:
    """Airflow tries such a task no second time; who catches the error finds status and plan."""
    sandbox.key = "another"
    with pytest.raises(AirflowFailException, match="answered 401") as caught:
        ask(hook())
    assert isinstance(caught.value, AchieveItAuthError)
    assert (caught.value.status, caught.value.plan_id) == (401, "p1")
    assert caught.value.__cause__ is None
    assert len(sandbox.requests) == 1


def test_making_a_hook_opens_and_resolves_nothing(sandbox: Sandbox) -> None:
    """DAG files make hooks whose connections exist only on workers."""
    AchieveItHook("no_such_connection")
    assert not sandbox.requests


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        ({"host": None}, "https://api.achieveit.com"),
        ({"host": "api.achieveit.com"}, "https://api.achieveit.com"),
        ({"host": "https://api.achieveit.com/"}, "https://api.achieveit.com"),
        ({"host": "gov-api.achieveit.com"}, "https://gov-api.achieveit.com"),
        ({"host": "https://gov-api.achieveit.com"}, "https://gov-api.achieveit.com"),
        ({"host": "api.achieveit.com", "schema": "https"}, "https://api.achieveit.com"),
        ({"host": "api.achieveit.com", "port": 8443}, "https://api.achieveit.com:8443"),
        ({"host": "api.achieveit.com", "schema": "https", "port": 8443}, "https://api.achieveit.com:8443"),
        ({"host": "https://api.achieveit.com", "port": 8443}, "https://api.achieveit.com:8443"),
        ({"host": "https://api.achieveit.com:8443"}, "https://api.achieveit.com:8443"),
        ({"host": "https://api.achieveit.com:8443", "port": 9000}, "https://api.achieveit.com:8443"),
        ({"host": "https://proxy.example.com/achieveit"}, "https://proxy.example.com/achieveit"),
        ({"host": "localhost", "schema": "http", "port": 8765}, "http://localhost:8765"),
        ({"host": "http://127.0.0.1:8765"}, "http://127.0.0.1:8765"),
        ({"host": "[::1]", "schema": "http", "port": 8765}, "http://[::1]:8765"),
        ({"host": "http://[::1]:8765"}, "http://[::1]:8765"),
        ({"host": "http://[::1]", "port": 8765}, "http://[::1]:8765"),
    ],
    ids=str,
)
def test_the_address_is_put_together(hook: Hook, fields: dict[str, Any], url: str) -> None:
    """Host with and without scheme, and scheme and port in fields of their own; what the host says wins."""
    assert hook(**fields).get_conn().settings.base_url == url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("achieveit://:k@", "https://api.achieveit.com"),
        ("achieveit://:k@gov-api.achieveit.com", "https://gov-api.achieveit.com"),
        ("achieveit://:k@localhost:8765/http", "http://localhost:8765"),
        ("achieveit://:k@[::1]:8765/http", "http://[::1]:8765"),
        ('{"conn_type": "achieveit", "password": "k", "host": "::1", "schema": "http"}', "http://[::1]"),
    ],
)
def test_connections_written_by_hand_work(hook_of: HookOf, text: str, url: str) -> None:
    """The spellings that people try first, IPv6 with and without brackets."""
    assert hook_of(text).get_conn().settings.base_url == url


def test_ipv6_loopback_is_reached(hook_of: HookOf) -> None:
    """The address that was put together is one that requests can be sent to."""
    try:
        sandbox = Sandbox({"p1": 3}, host="::1")
        sandbox.start()
    except OSError:
        pytest.skip("this machine has no IPv6")
    try:
        reader = hook_of(f"achieveit://:{sandbox.key}@[::1]:{sandbox.port}/http")
        assert reader.get_plan_version("p1").total_count == 3
    finally:
        sandbox.stop()


@pytest.mark.parametrize("key", ["s3cr3t/with?odd&chars=%41@:#", "plain", "a+b c~!*'()", 'half"quoted\\'])
def test_any_printable_key_arrives_as_it_is(hook: Hook, sandbox: Sandbox, key: str) -> None:
    """What has to be quoted in a URI is unquoted once."""
    sandbox.key = key
    assert hook(password=key).get_plan_version("p1").total_count == 25
    assert sandbox.requests[0].key_ok


def test_all_extras_are_used(hook: Hook) -> None:
    """Each has its type afterwards, also when it comes as text, as in a URI."""
    extras = {
        "page_size": 200,
        "max_concurrency": 2,
        "connect_timeout": 3,
        "read_timeout": 4.5,
        "max_retry_seconds": 0,
        "verify": False,
        "test_plan_id": "p1",
    }
    settings = hook(host="https://127.0.0.1", proxy="http://proxy:3128", **extras).get_conn().settings
    expected = ClientSettings("https://127.0.0.1", 200, 2, 3.0, 4.5, 0.0, verify=False, proxy="http://proxy:3128")
    assert settings == expected
    assert [type(value) for value in vars(settings).values()] == [type(value) for value in vars(expected).values()]


def test_unknown_extras_are_one_warning_that_names_them(
    hook: Hook, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """A setting that is spelt wrong would be missed in silence; its value can be a secret."""
    reader = hook(pagesize=5, timeout="hidden", verify_ssl=False, base_url="https://hidden.example.com", page_size=7)
    assert reader.get_conn().settings.page_size == 7
    assert reader.get_plan_version("p1").total_count == 25
    [warning] = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider")]
    assert (
        "unknown and change nothing: 'pagesize', 'timeout', 'verify_ssl', 'base_url'. Known are page_size, " in warning
    )
    assert "hidden" not in warning


def test_extras_as_the_forms_store_them_are_used(hook_of: HookOf) -> None:
    """The UI stores all extras as one JSON text, in which a field that was left empty is empty or null."""
    extra = json.dumps({"page_size": "200", "verify": "", "proxy": None, "read_timeout": ""})
    text = json.dumps({"conn_type": "achieveit", "password": "k", "extra": extra})
    settings = hook_of(text).get_conn().settings
    assert (settings.page_size, settings.verify, settings.proxy) == (200, True, None)
    assert settings.read_timeout == DEFAULTS.read_timeout


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"password": None},
            "The API key is empty or not text: it belongs in the password field",
        ),
        ({"password": "two words\n"}, "The API key has spaces, line breaks"),
        ({"host": "http://api.achieveit.com"}, "The host 'http://api.achieveit.com' would get the key unencrypted"),
        ({"host": "api.achieveit.com", "schema": "http"}, "would get the key unencrypted: only loopback may be http"),
        ({"host": "api.achieveit.com", "schema": "ftp"}, "has the scheme 'ftp': only https works"),
        ({"host": "not a host"}, "The host 'https://not a host' is malformed"),
        ({"host": "https://user:pass@api.achieveit.com"}, "The host holds a user name, a password or a query"),
        ({"host": "https://api.achieveit.com:port", "port": 8}, "The host 'https://api.achieveit.com:port' is mal"),
        ({"page_size": 1}, "page_size"),
        ({"page_size": 1501}, "is not within 2 to 1500"),
        ({"page_size": "all"}, "page_size 'all' is not an integer"),
        ({"max_concurrency": 0}, "max_concurrency"),
        ({"connect_timeout": -1}, "connect_timeout"),
        ({"read_timeout": "soon"}, "read_timeout 'soon' is not a number"),
        ({"max_retry_seconds": -1}, "max_retry_seconds"),
        ({"verify": "/no/such/ca.pem"}, "verify '/no/such/ca.pem' is neither true, false nor the path of a CA file"),
        ({"host": "https://127.0.0.1", "proxy": "proxy:3128"}, "proxy is not an http:// or https:// URL"),
        ({"proxy": "http://proxy:3128"}, "The proxy would see the key of the plain-http host"),
    ],
    ids=str,
)
def test_a_field_that_cannot_work_is_named(hook: Hook, sandbox: Sandbox, fields: dict[str, Any], message: str) -> None:
    """Every way to use the hook says which value is wrong and why; nothing is sent, and nothing shows the key."""
    reader = hook(**fields)
    for use in (reader.get_conn, lambda: reader.get_plan_version("p1"), lambda: reader.get_plan_items("p1")):
        with pytest.raises(AchieveItConfigError) as caught:
            use()
        assert message in str(caught.value)
        assert "Correct the value that is named." in str(caught.value)
        assert sandbox.key not in str(caught.value)
    assert not sandbox.requests


@pytest.mark.parametrize("conn_id", ["no_such_connection", "achieveit_default"])
def test_a_connection_that_does_not_exist_is_named(sandbox: Sandbox, conn_id: str) -> None:
    """The error carries the id that was looked for."""
    with pytest.raises(AchieveItConfigError, match=f"The Airflow connection '{conn_id}' can't be used"):
        AchieveItHook(conn_id).get_conn()
    assert not sandbox.requests


@pytest.mark.parametrize("extra", ["[1]", '"text"', "5", "page_size=5", '{"page_size": 5'])
def test_extras_that_are_no_object_are_refused(hook_of: HookOf, extra: str) -> None:
    """Going on with defaults would hide what someone meant to set."""
    text = json.dumps({"conn_type": "achieveit", "password": "k", "extra": extra})
    with pytest.raises(AchieveItConfigError, match=r"'achieveit_default' (is not a JSON|can't be used)"):
        hook_of(text).get_conn()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"plan_id": "../p1"}, "plan_id"),
        ({"plan_id": ""}, "plan_id"),
        ({"plan_id": "p1", "sort_key": "id"}, "sort_key"),
        ({"plan_id": "p1", "sort_direction": "up"}, "sort_direction"),
    ],
    ids=str,
)
def test_a_bad_argument_is_refused_before_a_request(
    hook: Hook, sandbox: Sandbox, arguments: dict[str, str], name: str
) -> None:
    """Not only when the first item is taken."""
    with pytest.raises(AchieveItConfigError, match=name):
        hook().get_plan_items(**arguments)
    with pytest.raises(AchieveItConfigError, match="plan_id"):
        hook().get_plan_table("../p1")
    assert not sandbox.requests
