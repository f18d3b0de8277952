"""The key in no text that people or programs get to see, whatever a server does with it."""

from __future__ import annotations

import base64
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.api.plan import Window
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook
from airflow_provider_achieveit.lake.read.decode import decode_page
from airflow_provider_achieveit.lake.read.snapshot import read_snapshot
from tests.api.raw_server import RawServer, answering, response
from tests.conftest import API_KEY
from tests.security.conftest import everything
from tests.support.faulty_sandbox import Sandbox

Connect = Callable[..., AchieveItClient]

HEADER = f"Authorization: API-KEY {API_KEY}"
ECHOES: dict[str, dict[str, Any]] = {
    **{
        f"a body with {status}": {"status": status, "body": json.dumps({"message": "bad request", "you sent": HEADER})}
        for status in (400, 401, 403, 404, 418, 429, 500, 503)
    },
    "a redirect": {"redirect": f"https://example.com/?{HEADER}"},
    "a web page": {"body": f"<html>{HEADER}</html>", "content_type": "text/html"},
    "half a page": {"body": f'{{"items": [{{"id": "{HEADER}'},
    "a cut off page": {"body": f'{{"items": ["{HEADER}"]}}', "truncate": 40},
    "a JSON text": {"body": json.dumps(HEADER)},
    "a JSON key": {"body": json.dumps({HEADER: HEADER})},
    "the items": {"body": json.dumps({"items": HEADER, "totalCount": 1})},
    "an item": {"body": json.dumps({"items": [HEADER], "totalCount": 1})},
    "totalCount": {"body": json.dumps({"items": [], "totalCount": HEADER})},
    "Retry-After": {"status": 429, "retry_after": HEADER},
    "the content type": {"status": 500, "content_type": HEADER},
}


def test_neither_client_nor_hook_shows_it(client: AchieveItClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """str, repr and format of what a person prints first."""
    connection = {"conn_type": "achieveit", "password": API_KEY, "host": "api.achieveit.com"}
    monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))
    hook = AchieveItHook()
    for thing in (client, client.settings, hook, hook.get_conn(), hook.get_conn().settings):
        assert API_KEY not in f"{thing} {thing!r} {thing!s}"
    assert API_KEY not in str(vars(client))


@pytest.mark.parametrize("fault", ECHOES.values(), ids=ECHOES)
def test_an_echo_is_not_repeated(
    connect: Connect, sandbox: Sandbox, log: Callable[[], str], fault: dict[str, Any]
) -> None:
    """A server that sends the key back in status, headers or body finds it in no error and no log line."""
    sandbox.script({"fault": fault})
    patient, client = connect(max_retry_seconds=0.6), connect(max_retry_seconds=0)
    for read in (
        lambda: list(patient.get_plan_items("p1")),
        lambda: client.get_plan_version("p1"),
        lambda: client.plan("p1").page(Window(0, 10), decode_page),
    ):
        with pytest.raises(AchieveItError) as caught:
            read()
        assert API_KEY not in everything(caught.value)
        assert API_KEY.encode() not in pickle.dumps(caught.value)
    assert sandbox.requests[0].key_ok
    assert "urllib3" in log(), "the log is listened to"
    assert API_KEY not in log()


@pytest.mark.parametrize(
    "fault", [{"reset": True}, {"close": True}, {"hang": 9}, {"truncate": 50}, {"trickle_headers": 0.1}], ids=str
)
def test_a_broken_connection_shows_nothing(
    connect: Connect, sandbox: Sandbox, log: Callable[[], str], fault: dict[str, Any]
) -> None:
    """Nor do the errors and log lines of what breaks on the wire."""
    sandbox.script({"fault": fault})
    with pytest.raises(AchieveItError) as caught:
        connect(max_retry_seconds=0.6, read_timeout=0.3).get_plan_version("p1")
    assert API_KEY not in everything(caught.value)
    assert API_KEY not in log()


@pytest.mark.parametrize(
    "answer",
    [
        f"{HEADER}\r\n\r\n",
        f"HTTP/1.1 {API_KEY} OK\r\n\r\n",
        f"HTTP/9.9 200 {API_KEY}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: {API_KEY}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{API_KEY}\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 20\r\n\r\n{API_KEY}",
        f"HTTP/1.1 302 Found\r\nLocation: http://[{API_KEY}\r\nContent-Length: 0\r\n\r\n",
        f"HTTP/1.1 500 {API_KEY}\r\nContent-Length: 0\r\n\r\n",
        # Header lines that are none: urllib3 would log them.
        f"HTTP/1.1 500 Oops\r\n {HEADER}\r\nContent-Length: 0\r\n\r\n",
        f"HTTP/1.1 500 Oops\r\n{API_KEY}\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_no_http_is_not_quoted(connect: Connect, log: Callable[[], str], answer: str) -> None:
    """Libraries quote what they could not parse; the key is taken out of that."""
    with RawServer(answering(answer.encode())) as server, pytest.raises(AchieveItError) as caught:
        connect(base_url=server.url, max_retry_seconds=0).get_plan_version("p1")
    assert API_KEY not in everything(caught.value)
    assert API_KEY not in log()


@pytest.mark.parametrize("echo", [HEADER, [HEADER], {"a": HEADER}], ids=["text", "list", "object"])
def test_a_last_updated_that_echoes_is_shown_without_the_key(
    connect: Connect, sandbox: Sandbox, tmp_path: Path, echo: object
) -> None:
    """The reason why a version is unknown, which is logged, comes from the version or from the items."""
    sandbox.script({"fault": {"body": json.dumps({"items": [{"id": "1", "lastUpdated": echo}], "totalCount": 1})}})
    plan = connect().plan("p1")
    for version in (plan.version(), read_snapshot(plan, tmp_path).version):
        assert not version.is_known
        assert "Authorization: API-KEY ***" in version.why_unknown
        assert API_KEY not in version.why_unknown


def test_a_working_plan_is_read_without_a_trace(connect: Connect, sandbox: Sandbox, log: Callable[[], str]) -> None:
    """Also when nothing goes wrong, at the lowest log level of everything."""
    assert len(list(connect(page_size=10).get_plan_items("p1"))) == 25
    assert "urllib3" in log()
    assert API_KEY not in log()
    assert base64.b64encode(API_KEY.encode()).decode() not in log()
    assert "API-KEY" not in log()


def test_headers_that_nobody_can_parse_are_not_logged(connect: Connect, log: Callable[[], str]) -> None:
    """urllib3 would warn about such headers, and quote what it could not parse."""
    answer = response(b'{"items": [], "totalCount": 0}', "no header at all", f"API-KEY {API_KEY}", HEADER)
    with RawServer(answering(answer)) as server:
        assert connect(base_url=server.url).get_plan_version("p1").total_count == 0
    assert "urllib3" in log()
    assert API_KEY not in log()
