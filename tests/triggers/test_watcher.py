"""The trigger in an asset watcher: one event for each new version, and no failure ends it."""

from __future__ import annotations

import itertools
import logging
from typing import Any

import pytest

from airflow_provider_achieveit.api.errors import AchieveItRateLimitError, AchieveItUnauthorizedError
from airflow_provider_achieveit.sandbox import DEMO_KEY
from airflow_provider_achieveit.triggers._watch import MAX_BACKOFF, backoff
from tests.sensors.conftest import PLAN, Stage
from tests.triggers.conftest import Watcher, eventually

pytestmark = pytest.mark.anyio


def _newest(stage: Stage) -> str:
    return max(item["lastUpdated"] for item in stage.plan.items())[:26] + "Z"


async def test_silent_while_the_plan_is_unchanged(stage: Stage) -> None:
    """The first sight is recorded without a word, and so is each further one."""
    async with Watcher(stage) as watcher:
        await watcher.looks(10)
        assert watcher.events == []
        assert not watcher.ended


async def test_one_event_for_each_new_version(stage: Stage) -> None:
    """An edit is told once, with the versions before and after it; then there is silence again."""
    async with Watcher(stage) as watcher:
        await watcher.looks(2)
        before = _newest(stage)
        edited = stage.plan.edit(3, name="Grow revenue")
        event = await watcher.has_sent(1)
        assert event["plan_id"] == PLAN
        assert event["previous"]["total_count"] == 40
        assert event["previous"]["last_updated"] == before
        assert event["current"] == {
            "total_count": 40,
            "last_updated": edited["lastUpdated"][:26] + "Z",
            "item_id": edited["id"],
        }
        assert event["reason"].endswith('"Grow revenue"')
        stage.plan.delete(5)
        second = await watcher.has_sent(2)
        assert second["previous"] == event["current"]
        assert second["reason"] == "1 item fewer"
        await watcher.looks(5)
        assert len(watcher.events) == 2


async def test_several_edits_between_two_looks_are_one_event(stage: Stage) -> None:
    """What counts is the version that is seen, not how it came about."""

    def edit_thrice(number: int) -> None:
        if number == 3:
            for index in range(3):
                stage.plan.edit(index, name=f"Edit {index}")

    stage.sandbox.before_request = edit_thrice
    async with Watcher(stage) as watcher:
        event = await watcher.has_sent(1)
        assert event["reason"].endswith('"Edit 2"')
        await watcher.looks(5)
        assert len(watcher.events) == 1


async def test_with_a_destination_the_first_sight_is_compared_with_what_landed(stage: Stage) -> None:
    """Nothing landed or something else landed is an event, once; the same is none."""
    async with Watcher(stage, destination=stage.destination) as watcher:
        event = await watcher.has_sent(1)
        assert event["reason"] == "nothing has landed yet"
        assert event["previous"] is None
        await watcher.looks(5)
        assert len(watcher.events) == 1, "it has been told; exporting it is up to others"
    manifest = stage.export()
    async with Watcher(stage, destination=stage.destination) as watcher:
        await watcher.looks(5)
        assert watcher.events == []
    stage.plan.edit(3)
    async with Watcher(stage, destination=stage.destination) as watcher:
        event = await watcher.has_sent(1)
        assert event["previous"] == manifest["version"]


async def test_with_since_the_first_sight_is_compared_with_that_time(stage: Stage) -> None:
    """An update after that time is an event, once; otherwise the next new version is."""
    async with Watcher(stage, since="2025-01-01") as watcher:
        await watcher.has_sent(1)
        await watcher.looks(5)
        assert len(watcher.events) == 1
    async with Watcher(stage, since="2026-01-01") as watcher:
        await watcher.looks(5)
        assert watcher.events == []
        stage.plan.edit(3)
        await watcher.has_sent(1)


async def test_detect_content_sees_edits_that_move_no_time(stage: Stage) -> None:
    """With the version alone nothing would be seen."""
    stage.export()
    async with (
        Watcher(stage, destination=stage.destination, detect="content") as by_content,
        Watcher(stage, destination=stage.destination) as by_version,
    ):
        await by_content.looks(4)
        stage.plan.edit(3, touch=False, name="Silently")
        event = await by_content.has_sent(1)
        assert event["reason"] == "content differs"
        await by_version.looks(8)
        assert by_version.events == []
        assert len(by_content.events) == 1


FAILURES: dict[str, dict[str, Any]] = {
    "401": {"status": 401},
    "403": {"status": 403},
    "404": {"status": 404},
    "429": {"status": 429},
    "429 with Retry-After": {"status": 429, "retry_after": 0},
    "500": {"status": 500},
    "an answer that does not come": {"hang": 30},
    "a reset connection": {"reset": True},
    "a redirect": {"redirect": "/"},
    "a web page": {"html": True},
    "half a body": {"truncate": 20},
    "another shape": {"body": '{"items": {}}'},
}


@pytest.mark.parametrize("fault", FAILURES.values(), ids=FAILURES.keys())
async def test_no_failure_of_the_server_ends_it(stage: Stage, fault: dict[str, Any]) -> None:
    """It waits the failure out, and then tells of a change that was made meanwhile."""
    stage.connect(max_retry_seconds=0, read_timeout=0.2)
    async with Watcher(stage) as watcher:
        await watcher.looks(1)
        stage.sandbox.script({"fault": fault})
        await watcher.looks(2)
        assert not watcher.ended
        assert watcher.events == []
        stage.plan.edit(3, name="Meanwhile")
        stage.sandbox.script()
        event = await watcher.has_sent(1)
        assert event["reason"].endswith('"Meanwhile"')


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "connection 'achieveit_default' can't be used"),
        ('{"conn_type": "achieveit"}', "API key is empty"),
        ('{"conn_type": "achieveit", "password": "k", "host": "http://example.com"}', "unencrypted"),
        ('{"conn_type": "achieveit", "password": "k", "extra": {"page_size": 1}}', "page_size 1 is not within"),
    ],
)
async def test_a_connection_that_cannot_be_used_is_waited_for(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, text: str | None, problem: str
) -> None:
    """No connection or a wrong one costs no request; once it is right, the watcher goes on by itself."""
    name = "AIRFLOW_CONN_ACHIEVEIT_DEFAULT"
    if text is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, text)
    async with Watcher(stage) as watcher:
        await eventually(lambda: problem in caplog.text, problem)
        assert stage.requests == 0
        stage.connect()
        await watcher.looks(1)
        stage.plan.edit(3)
        await watcher.has_sent(1)


async def test_a_replaced_key_is_picked_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refusal the connection is read again: a new key in it needs no restart."""
    async with Watcher(stage) as watcher:
        await watcher.looks(1)
        stage.sandbox.key = "another-key"
        stage.plan.edit(3, name="Under the new key")
        await watcher.looks(2)
        assert {request.status for request in stage.sandbox.requests[-2:-1]} == {401}
        import os

        old = os.environ["AIRFLOW_CONN_ACHIEVEIT_DEFAULT"]
        monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", old.replace(DEMO_KEY, "another-key"))
        event = await watcher.has_sent(1)
        assert event["reason"].endswith('"Under the new key"')


async def test_a_store_that_refuses_is_waited_out(stage: Stage) -> None:
    """A destination that can't be read is a failure like any other."""
    stage.export()
    stage.latest.unlink()
    stage.latest.mkdir()
    async with Watcher(stage, destination=stage.destination) as watcher:
        await watcher.looks(2)
        assert watcher.events == []
        stage.latest.rmdir()
        event = await watcher.has_sent(1)
        assert event["reason"] == "nothing has landed yet"


async def test_looks_become_rarer_while_the_key_is_refused(stage: Stage) -> None:
    """Each pause is twice as long as the one before, counted at the server."""
    stage.sandbox.key = "another-key"
    async with Watcher(stage) as watcher:
        await watcher.looks(4)
    arrived = [request.arrived for request in stage.sandbox.requests]
    pauses = [later - earlier for earlier, later in itertools.pairwise(arrived)]
    assert len(pauses) >= 4
    for number, pause in enumerate(pauses):
        assert pause >= 0.1 * 2 ** (number + 1) * 0.95


async def test_the_pace_is_the_usual_one_again_after_a_failure(stage: Stage) -> None:
    """One good look forgets the failures before it."""
    stage.sandbox.script(*({"at": number, "fault": {"status": 401}} for number in (1, 2, 3, 5, 6, 7)))
    async with Watcher(stage) as watcher:
        await watcher.looks(9)
    arrived = [request.arrived for request in stage.sandbox.requests]
    assert arrived[3] - arrived[2] >= 0.8 * 0.95
    assert arrived[5] - arrived[4] >= 0.2 * 0.95
    assert arrived[7] - arrived[6] >= 0.8 * 0.95


@pytest.mark.parametrize(("poll_interval", "most"), [(1, 20), (60, 10), (3600, 2)])
def test_a_revoked_key_costs_a_handful_of_requests_an_hour_in_the_end(poll_interval: float, most: int) -> None:
    """The back-off grows to its stated maximum, or to the poll interval if that is longer."""
    error = AchieveItUnauthorizedError("no", status=401)
    pauses = [backoff(poll_interval, error, failures) for failures in range(1, 100)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == max(MAX_BACKOFF, poll_interval)
    assert all(pause >= poll_interval for pause in pauses)
    elapsed, requests = 0.0, 1
    for pause in pauses:
        elapsed += pause
        requests += elapsed <= 3600
    assert requests <= most, "in the first hour; then it is"
    assert 3600 / pauses[-1] <= 4


def test_the_back_off_respects_what_the_server_asks_up_to_the_maximum() -> None:
    """`Retry-After` lengthens a pause; a server's slip can't silence a watcher for ever."""

    def pause(retry_after: float) -> float:
        return backoff(60, AchieveItRateLimitError("no", status=429, retry_after=retry_after), 1)

    assert pause(0) == 120
    assert pause(300) == 300
    assert pause(1_795_000_000) == MAX_BACKOFF
    assert pause(float("inf")) == MAX_BACKOFF


@pytest.mark.slow  # it waits out several back-offs
@pytest.mark.parametrize("fault", [{"status": 401}, {"reset": True}, {"status": 429, "retry_after_date": 0.5}])
async def test_one_log_line_for_each_change_of_state(
    stage: Stage, caplog: pytest.LogCaptureFixture, fault: dict[str, Any]
) -> None:
    """However often it fails, the log says once that it does, and once that it no longer does."""
    caplog.set_level(logging.INFO, "airflow_provider_achieveit.triggers")

    def lines() -> list[tuple[str, str]]:
        mine = [record for record in caplog.records if ".triggers." in record.name]
        return [(record.levelname, record.getMessage()) for record in mine]

    async with Watcher(stage) as watcher:
        await watcher.looks(3)
        assert lines() == []
        stage.sandbox.script({"fault": fault})
        await watcher.looks(4)
        ((level, message),) = lines()
        assert level == "WARNING"
        assert message.startswith("Plan p: AchieveIt")
        assert message.endswith("Looking again in 0 s, then later and later, up to 900 s.")
        stage.sandbox.script({"fault": {"status": 404}})
        await eventually(lambda: len(lines()) == 2, "another state, another line")
        stage.sandbox.script()
        await eventually(lambda: len(lines()) == 3, "the good news")
        await watcher.looks(3)
        assert lines()[2:] == [("INFO", "Plan p: AchieveIt answers again")]


async def test_a_key_that_is_refused_anew_is_told_anew(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """In between it was taken, and the plan had a trouble of its own; that all is well again is told once."""
    caplog.set_level(logging.INFO, "airflow_provider_achieveit.triggers")
    stage.sandbox.script(*({"at": at, "fault": {"status": status}} for at, status in ((1, 401), (2, 404), (3, 401))))
    async with Watcher(stage) as watcher:
        await watcher.looks(4)
    lines = [record.getMessage() for record in caplog.records if ".triggers." in record.name]
    assert len(lines) == 4
    for line, part in zip(lines, ["answered 401", "answered 404", "answered 401", "answers again"], strict=True):
        assert part in line


async def test_the_key_is_in_no_log_line(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Not even when the server echoes it."""
    caplog.set_level(logging.DEBUG)
    stage.sandbox.script({"fault": {"status": 400, "body": f"bad key {DEMO_KEY}"}})
    async with Watcher(stage) as watcher:
        await watcher.looks(2)
    assert "400" in caplog.text
    assert DEMO_KEY not in caplog.text
