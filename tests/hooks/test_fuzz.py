"""Wrong types and values for every field of the connection."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import is_given, shown
from airflow_provider_achieveit.get_provider_info import conn_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
    from airflow_provider_achieveit.sandbox import Sandbox

NO_TEXT = st.one_of(
    st.booleans(), st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=2), st.none(), max_size=2)
)
WORDS = st.text("abc xyz\n\x1b", min_size=1).filter(is_given)
NUMBERS = st.one_of(
    NO_TEXT, WORDS, st.integers(max_value=-1), st.integers(86_401), st.sampled_from([10**400, "nan", "1e9"])
)
WRONG: dict[str, st.SearchStrategy[Any]] = {
    "page_size": NUMBERS | st.floats(2.1, 2.9),
    "max_concurrency": NUMBERS | st.just(33),
    "connect_timeout": NUMBERS,
    "read_timeout": NUMBERS,
    "max_retry_seconds": NUMBERS,
    "requests_per_second": NUMBERS,
    "verify": st.one_of(st.lists(st.integers(), max_size=2), WORDS, st.integers()),
    "proxy": st.one_of(
        NO_TEXT, WORDS, st.integers(), st.sampled_from(["http://", "http://[", "http://a:b@c:99999", "a:b@c"])
    ),
}
HOSTS = st.one_of(
    st.sampled_from(
        [
            "https:/x",
            "https:x",
            "https://",
            "ftp://x",
            "http://x",
            "https://u:hidden@x",
            "x?key=hidden",
            "x#hidden",
            "\\",
        ]
    ),
    st.text(" \n\t\x1b/\\:%", min_size=1).filter(str.strip),
)


def test_every_extra_is_among_them() -> None:
    """A new setting needs wrong values as well."""
    assert {*WRONG, "test_plan_id", "plan_url"} == set(conn_fields())


QUICK = settings(
    max_examples=40, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@QUICK
@given(plan_id=st.one_of(NO_TEXT, st.sampled_from(["../x", "a b", "x" * 65, 1.5])))
def test_a_wrong_test_plan_is_named_by_the_test_button(
    hook_of: Callable[[str], AchieveItHook], sandbox: Sandbox, plan_id: Any
) -> None:
    """Nothing else looks at it."""
    connection = {"conn_type": "achieveit", "password": "k", "host": sandbox.url, "extra": {"test_plan_id": plan_id}}
    passed, message = hook_of(json.dumps(connection)).test_connection()
    assert not passed
    assert message.startswith(
        f"test_plan_id {shown(plan_id if not isinstance(plan_id, float) else str(plan_id))} is not"
    )
    assert sandbox.requests == []


@QUICK
@given(
    plan_url=st.one_of(
        NO_TEXT,
        st.sampled_from(
            [
                "https://x/",
                "javascript:alert('{plan_id}')",
                "x/{plan_id}",
                "https://u:hidden@x/{plan_id}",
                "https://a b/{plan_id}",
            ]
        ),
    )
)
def test_a_wrong_address_of_plans_is_named_by_the_test_button(
    hook_of: Callable[[str], AchieveItHook], sandbox: Sandbox, plan_url: Any
) -> None:
    """It stops no export: only a link is missing then."""
    hook = hook_of(
        json.dumps({"conn_type": "achieveit", "password": "k", "host": sandbox.url, "extra": {"plan_url": plan_url}})
    )
    passed, message = hook.test_connection()
    assert not passed
    assert message.startswith("plan_url ")
    assert "hidden" not in message
    assert sandbox.requests == []
    assert hook.get_conn()


def refusal(hook: AchieveItHook, sandbox: Sandbox) -> str:
    """Use the hook, and return what it says; the Test button says the same."""
    with pytest.raises(AchieveItConfigError) as caught:
        hook.get_conn()
    message = str(caught.value)
    assert hook.test_connection() == (False, message)
    assert message.isprintable()
    assert len(message) < 1000
    assert sandbox.requests == []
    return message


@pytest.mark.parametrize("name", WRONG)
@QUICK
@given(data=st.data())
def test_a_wrong_extra_is_named(
    hook_of: Callable[[str], AchieveItHook], sandbox: Sandbox, name: str, data: st.DataObject
) -> None:
    """With its value, unless that can be a secret."""
    value = data.draw(WRONG[name])
    connection = {"conn_type": "achieveit", "password": "k", "host": sandbox.url, "extra": {name: value}}
    message = refusal(hook_of(json.dumps(connection)), sandbox)
    assert name in message
    assert name == "proxy" or shown(value if name != "verify" else str(value)) in message


@QUICK
@given(host=HOSTS)
def test_a_wrong_host_is_named(hook_of: Callable[[str], AchieveItHook], sandbox: Sandbox, host: str) -> None:
    """But for what can be a secret."""
    message = refusal(hook_of(json.dumps({"conn_type": "achieveit", "password": "k", "host": host})), sandbox)
    assert message.startswith("The host")
    assert "hidden" not in message


@QUICK
@given(
    key=st.one_of(
        st.text(min_size=9).filter(lambda text: not text.isascii()),
        st.sampled_from(["'hidden'", "api-key hidden", "***"]),
    )
)
def test_a_wrong_key_is_not_shown(hook_of: Callable[[str], AchieveItHook], sandbox: Sandbox, key: str) -> None:
    """The message says what is wrong with it."""
    message = refusal(hook_of(json.dumps({"conn_type": "achieveit", "password": key})), sandbox)
    assert message.startswith("The API key ")
    assert key not in message or key == "***"
    assert "hidden" not in message
