"""`test_connection`: what the "Test" button says, and that it makes no more than one read-only request."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from tests.support.faulty_sandbox import Sandbox

Hook = Callable[..., AchieveItHook]


def verdict(hook: AchieveItHook, sandbox: Sandbox, requests: int = 1) -> tuple[bool, str]:
    """Press the button, and check what it cost and that it does not show the key."""
    passed, message = hook.test_connection()
    impatient = time.monotonic() + 30
    while len(sandbox.requests) < requests and time.monotonic() < impatient:
        time.sleep(0.01)  # a busy server notes a request after its client has given up
    assert len(sandbox.requests) == requests
    assert all(request.method == "GET" for request in sandbox.requests)
    assert sandbox.key not in message
    return passed, message


def test_it_passes_with_a_plan_that_the_user_can_view(hook: Hook, sandbox: Sandbox) -> None:
    """With `test_plan_id`, key, host and access are verified."""
    passed, message = verdict(hook(test_plan_id="p1"), sandbox)
    assert passed
    assert message == "The key's user sees 25 items of plan p1."


def test_it_passes_with_an_empty_plan(hook: Hook, sandbox: Sandbox) -> None:
    """No items are no failure."""
    assert verdict(hook(test_plan_id="empty"), sandbox) == (True, "The key's user sees 0 items of plan empty.")


def test_it_says_honestly_how_little_it_verified_without_a_plan(hook: Hook, sandbox: Sandbox) -> None:
    """403 is what AchieveIt answers for a plan of others; whether the key is good cannot be told."""
    sandbox.script({"fault": {"status": 403}})
    passed, message = verdict(hook(), sandbox)
    assert passed
    assert f"{sandbox.url} answers 403 for a plan that does not exist, as AchieveIt does" in message
    assert "Whether the key is valid can't be told without a plan" in message
    assert "set the extra test_plan_id" in message


def test_it_fails_where_any_web_server_would_have_answered_the_same(hook: Hook, sandbox: Sandbox) -> None:
    """404 proves neither the host nor the key, and the message says what would."""
    passed, message = verdict(hook(), sandbox)
    assert not passed
    assert f"{sandbox.url} answers 404, as any web server does that is not AchieveIt" in message
    assert "set the extra test_plan_id" in message


def test_it_fails_with_a_wrong_key(hook: Hook, sandbox: Sandbox) -> None:
    """401 is a clear answer, with and without a plan."""
    for extras in ({}, {"test_plan_id": "p1"}):
        sandbox.reset_requests()
        passed, message = verdict(hook(password="wrong", **extras), sandbox)
        assert not passed
        assert "401" in message
        assert "Put a valid API key into the password" in message


def test_it_fails_with_a_plan_that_the_user_cannot_view(hook: Hook, sandbox: Sandbox) -> None:
    """403 for the plan that was named means that key or access is wrong."""
    sandbox.plan("p1").forbidden = True
    passed, message = verdict(hook(test_plan_id="p1"), sandbox)
    assert not passed
    assert "its user cannot view this plan" in message


def test_it_fails_with_a_plan_that_does_not_exist(hook: Hook, sandbox: Sandbox) -> None:
    """404 for the plan that was named."""
    passed, message = verdict(hook(test_plan_id="gone"), sandbox)
    assert not passed
    assert "Plan gone: AchieveIt answered 404" in message


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 429, "retry_after": 1}, "AchieveIt answered 429"),
        ({"status": 500}, "AchieveIt answered 500"),
        ({"reset": True}, "Check the connection's host"),
        ({"html": True}, "is not JSON"),
        ({"body": "[]"}, "is not a page of plan items"),
        ({"redirect": "https://example.com/login"}, "set the host to the API's own address"),
        ({"hang": 60}, "raise read_timeout"),
    ],
    ids=str,
)
def test_it_fails_without_a_second_try(hook: Hook, sandbox: Sandbox, fault: dict[str, Any], words: str) -> None:
    """Someone waits in front of a form: one request, and then what to do."""
    sandbox.script({"fault": fault})
    passed, message = verdict(hook(test_plan_id="p1", read_timeout=2, max_retry_seconds=300), sandbox)
    assert not passed
    assert words in message


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": None}, "The API key is empty"),
        ({"host": "http://api.achieveit.com"}, "would get the key unencrypted"),
        ({"host": "no host"}, "is malformed"),
        ({"page_size": 1501}, "is not within 2 to 1500"),
        ({"host": "https://api.achieveit.com/exports/plans"}, "give what stands before /exports"),
        ({"test_plan_id": "../p1"}, "test_plan_id '../p1' is not 1 to 64 letters"),
        ({"test_plan_id": 17, "host": "https://127.0.0.1:1"}, "Plan 17: "),
    ],
    ids=str,
)
def test_it_fails_without_a_request_when_a_field_cannot_work(
    hook: Hook, sandbox: Sandbox, fields: dict[str, Any], words: str
) -> None:
    """The message is that of the hook itself."""
    passed, message = verdict(hook(**fields), sandbox, requests=0)
    assert not passed
    assert words in message


def test_it_fails_without_a_connection(sandbox: Sandbox) -> None:
    """It never raises: Airflow shows the message."""
    passed, message = verdict(AchieveItHook("no_such_connection"), sandbox, requests=0)
    assert not passed
    assert "The Airflow connection 'no_such_connection' can't be used" in message
