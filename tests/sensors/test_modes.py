"""One table of cases: poke, reschedule and deferrable sensors end alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

from airflow_provider_achieveit.api.errors import (
    AchieveItMalformedError,
    AchieveItNotFoundError,
    AchieveItRateLimitError,
    AchieveItServerError,
    AchieveItShapeError,
)
from airflow_provider_achieveit.exceptions import AchieveItForbiddenError, AchieveItUnauthorizedError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from tests.sensors.conftest import MODES, PLAN, Stage, drive


@dataclass(frozen=True)
class Case:
    """One situation.

    Attributes:
        name: What it is.
        ends: The reason that is returned (`…` stands for anything), or the class of the exception.
        prepare: Brings the situation about, after the plan has landed if `landed`.
        arguments: What the sensor is given beside its baseline.
        since: The baseline instead of a destination.
        extra: Extras of the connection.
        requests: How many requests it takes, where that is certain.
    """

    name: str
    ends: str | type[BaseException]
    prepare: Callable[[Stage], Any] = lambda stage: None
    landed: bool = True
    arguments: dict[str, Any] = field(default_factory=dict)
    since: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    requests: int | None = None


def _tear(stage: Stage) -> None:
    stage.latest.write_bytes(stage.latest.read_bytes()[:100])


def _distrust(stage: Stage) -> None:
    stage.latest.write_text(json.dumps({**json.loads(stage.latest.read_text()), "consistent": False}))


def _block(stage: Stage) -> None:
    stage.latest.unlink()
    stage.latest.mkdir()


def _insert(count: int) -> Callable[[Stage], None]:
    def insert(stage: Stage) -> None:
        for _ in range(count):
            stage.plan.insert(touch=False)

    return insert


def _delete_newest(stage: Stage) -> None:
    newest = max(stage.plan.items(), key=lambda item: item["lastUpdated"])
    stage.plan.delete(newest["id"])


def _delete_another(stage: Stage) -> None:
    oldest = min(stage.plan.items(), key=lambda item: item["lastUpdated"])
    stage.plan.delete(oldest["id"])


def _edit_at(number: int) -> Callable[[Stage], None]:
    return lambda stage: stage.sandbox.script(
        {"at": number, "fault": {"edit": {"item": 3, "fields": {"name": "Late"}}}}
    )


NO_RETRIES = {"max_retry_seconds": 0}
CONTENT = {"detect": "content"}
SOFT = {"soft_fail": True}

CASES = [
    # With a destination
    Case("nothing has landed", "nothing has landed yet", landed=False, requests=1),
    Case("the plan is what has landed", AirflowSensorTimeout),
    Case(
        "an item was edited", 'updated …: "Grow revenue"', lambda s: s.plan.edit(3, name="Grow revenue"), requests=1
    ),
    Case("one without a name", 'updated …: "its-id"', lambda s: s.plan.edit(3, name=None, id="its-id"), requests=1),
    Case("items came in silently", "3 items more", _insert(3), requests=1),
    Case("an item is gone", "1 item fewer", _delete_another, requests=1),
    Case("the newest item is gone", "1 item fewer, the newest update is gone", _delete_newest, requests=1),
    Case("both", '1 item more, updated …: "New"', lambda s: s.plan.insert(name="New"), requests=1),
    Case("a torn manifest", "the latest manifest is unreadable: …", _tear, requests=1),
    Case("a manifest of something else", "the latest manifest is unreadable: …", lambda s: s.latest.write_text("[1]")),
    Case("a snapshot that was not proven", "what has landed is not proven to be consistent", _distrust, requests=1),
    Case("a store that refuses", AchieveItStoreError, _block),
    Case("a change while it waits", 'updated …: "Late"', _edit_at(3)),
    # Content
    Case("same content", AirflowSensorTimeout, arguments=CONTENT),
    Case("content that landed never", "nothing has landed yet", landed=False, arguments=CONTENT),
    Case(
        "edited content", 'updated …: "New"', lambda s: s.plan.edit(3, name="New"), arguments=CONTENT, requests=1
    ),
    Case("a silent edit and its content", "content differs", lambda s: s.plan.edit(3, touch=False), arguments=CONTENT),
    Case("a silent edit and the version", AirflowSensorTimeout, lambda s: s.plan.edit(3, touch=False, name="x")),
    # Since a time; the sandbox's plans were updated last in 2025
    Case("updated after since", "updated …", since="2025-01-01T00:00:00Z", requests=1),
    Case("not updated after since", AirflowSensorTimeout, since="2026-01-01"),
    Case("updated while it waits", 'updated …: "Late"', _edit_at(3), since="2026-01-01T00:00:00+00:00"),
    Case("the first run: None", "updated …", since="None", requests=1),
    Case("the first run: nothing", "updated …", since="", requests=1),
    Case("an empty plan", AirflowSensorTimeout, lambda s: s.sandbox.put_plan(PLAN, 0), since=""),
    # Timeout and soft_fail
    Case("time is up, softly", AirflowSkipException, arguments={**SOFT, "timeout": 0.3}),
    # A refused key: at once, whatever the budget
    Case("401", AchieveItUnauthorizedError, lambda s: s.fail_from(1, status=401), requests=1),
    Case("403", AchieveItForbiddenError, lambda s: setattr(s.plan, "forbidden", True), requests=1),
    Case("401, softly", AirflowSkipException, lambda s: s.fail_from(1, status=401), arguments=SOFT, requests=1),
    Case("401 while it waits", AchieveItUnauthorizedError, lambda s: s.fail_from(3, status=401), requests=3),
    Case("401 while it waits, softly", AirflowSkipException, lambda s: s.fail_from(3, status=401), arguments=SOFT),
    # What passes is waited out within the client's budget; what does not is left to the task's retries
    Case(
        "503 that passes",
        'updated …: "Late"',
        lambda s: s.sandbox.script(
            {"at": 2, "fault": {"status": 503}}, {"at": 4, "fault": {"edit": {"item": 3, "fields": {"name": "Late"}}}}
        ),
        requests=4,
    ),
    Case("503 that stays", AchieveItServerError, lambda s: s.fail_from(1, status=503), extra=NO_RETRIES, requests=1),
    Case("503 in between", AchieveItServerError, lambda s: s.fail_from(2, status=503), extra=NO_RETRIES, requests=2),
    Case(
        "503 while it waits, softly",
        AchieveItServerError,
        lambda s: s.fail_from(2, status=503),
        arguments=SOFT,
        extra=NO_RETRIES,
    ),
    Case(
        "503 while it waits, never failing",
        AirflowSkipException,
        lambda s: s.fail_from(2, status=503),
        arguments={"never_fail": True},
        extra=NO_RETRIES,
    ),
    Case(
        "503 at once, never failing",
        AirflowSkipException,
        lambda s: s.fail_from(1, status=503),
        arguments={"never_fail": True},
        extra=NO_RETRIES,
    ),
    Case("429 for long", AchieveItRateLimitError, lambda s: s.fail_from(2, status=429, retry_after=3600), requests=2),
    Case("a web page", AchieveItMalformedError, lambda s: s.fail_from(2, html=True), extra=NO_RETRIES, requests=2),
    Case("another shape", AchieveItShapeError, lambda s: s.fail_from(2, body='{"items": 1}'), requests=2),
    # Plan gone
    Case("the plan is gone", AchieveItNotFoundError, lambda s: s.sandbox.remove_plan(PLAN), requests=1),
    Case("the plan goes while it waits", AchieveItNotFoundError, lambda s: s.fail_from(2, status=404), requests=2),
]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_every_mode_ends_alike(stage: Stage, case: Case, mode: str) -> None:
    """Same situation, same end: what is returned, or what is raised, and after how many requests."""
    stage.connect(**case.extra)
    if case.landed and case.since is None:
        stage.export()
    case.prepare(stage)
    stage.sandbox.reset_requests()
    baseline = {"destination": stage.destination} if case.since is None else {"since": case.since}
    timeout = 0.3 if case.ends is AirflowSensorTimeout else 60
    sensor = stage.sensor(mode, **baseline, **{"timeout": timeout, **case.arguments})
    if isinstance(case.ends, str):
        returned = drive(sensor)
        assert set(returned) == {"plan_id", "previous", "current", "reason"}
        assert returned["plan_id"] == PLAN
        assert returned["current"]["total_count"] == len(stage.plan)
        start, _, end = case.ends.partition("…")
        assert returned["reason"].startswith(start)
        assert returned["reason"].endswith(end)
        assert "…" in case.ends or returned["reason"] == case.ends
    else:
        with pytest.raises(case.ends) as raised:
            drive(sensor)
        assert raised.type is case.ends, "exactly this class: Airflow decides by it"
    if case.requests is not None:
        assert stage.requests == case.requests


@pytest.mark.parametrize("mode", MODES)
def test_returns_the_versions_before_and_now_and_when_it_was(stage: Stage, mode: str) -> None:
    """`previous` is the landed version, `current` the plan's, and the reason names minute and item."""
    manifest = stage.export()
    stage.sandbox.script({"at": 2, "fault": {"edit": {"item": 3, "fields": {"name": "Grow revenue"}}}})
    returned = drive(stage.sensor(mode, destination=stage.destination))
    edited = stage.plan.items()[3]
    assert returned["previous"] == manifest["version"]
    assert returned["current"] == {
        "total_count": 40,
        "last_updated": edited["lastUpdated"][:26] + "Z",
        "item_id": edited["id"],
    }
    assert returned["reason"] == f'updated {edited["lastUpdated"][:16]}Z: "Grow revenue"'


@pytest.mark.parametrize("mode", MODES)
def test_a_rate_limit_error_carries_the_delay_in_every_mode(stage: Stage, mode: str) -> None:
    """What the server asked for reaches the retry policy, also by way of the trigger's event."""
    stage.export()
    stage.fail_from(2, status=429, retry_after=3600)
    with pytest.raises(AchieveItRateLimitError) as raised:
        drive(stage.sensor(mode, destination=stage.destination))
    assert raised.value.retry_after == 3600
    assert raised.value.status == 429
    assert raised.value.plan_id == PLAN
    assert type(raised.value) is AchieveItRateLimitError


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_key_says_what_to_do(stage: Stage, mode: str) -> None:
    """The failed task's message names the plan and the way out, in every mode the same."""
    stage.export()
    stage.fail_from(2, status=403)
    with pytest.raises(AirflowFailException, match=r"Plan p: .*403.*ask an admin of the plan"):
        drive(stage.sensor(mode, destination=stage.destination))


@pytest.mark.parametrize("mode", MODES)
def test_a_change_whose_export_failed_is_seen_again(stage: Stage, mode: str) -> None:
    """With a destination the lake itself is the baseline: nothing that was only seen counts as landed."""
    stage.export()
    stage.plan.edit(3, name="Once")
    first = drive(stage.sensor(mode, destination=stage.destination))
    stage.fail_from(1, status=401)
    with pytest.raises(AirflowFailException):
        stage.export()
    stage.sandbox.script()
    assert drive(stage.sensor(mode, destination=stage.destination)) == first
    stage.export()
    with pytest.raises(AirflowSensorTimeout):
        drive(stage.sensor(mode, destination=stage.destination, timeout=0.3))


@pytest.mark.parametrize("mode", MODES)
def test_a_look_costs_one_request(stage: Stage, mode: str) -> None:
    """However large the plan is, each look is one request for one item."""
    stage.sandbox.put_plan(PLAN, 3200)
    stage.export()
    with pytest.raises(AirflowSensorTimeout):
        drive(stage.sensor(mode, destination=stage.destination, timeout=1))
    looks = stage.sandbox.requests
    assert 2 <= len(looks) <= 25
    assert {look.query for look in looks} == {"skip=0&take=1&sortKey=lastUpdated&sortDirection=desc"}
