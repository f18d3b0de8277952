"""What counts as a change of a plan, and in which words it is told; for sensor, watcher and whoever else compares."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.lake.change import Baseline, PlanState, change_between
from airflow_provider_achieveit.lake.errors import AchieveItUnknownVersionError

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def state(total: int, newest: datetime | None, content: str | None = None, name: str | None = "Grow") -> PlanState:
    """A state of a plan whose newest item has this name."""
    return PlanState(PlanVersion(total, newest, "item-1", name), content)


UNKNOWN = (3, None)
SAME: list[tuple[PlanState, PlanState]] = [
    (state(3, NOON), state(3, NOON)),
    (state(3, NOON), state(3, NOON, name="Another of that time")),
    (state(3, NOON, "a"), state(3, NOON, "a")),
    (state(3, NOON, "a"), state(3, NOON)),  # its content was not read
    (state(0, None), state(0, None)),
    (state(*UNKNOWN, "a"), state(*UNKNOWN, "a")),
    (state(*UNKNOWN, "a"), state(3, NOON, "a")),
    (state(3, NOON, "a"), state(*UNKNOWN, "a")),
]
UPDATED = 'updated 2026-11-23T13:00Z: "Grow"'
CHANGED: list[tuple[PlanState, PlanState, str]] = [
    (state(3, NOON), state(3, LATER), UPDATED),
    (state(3, LATER), state(3, NOON), "the newest update is gone"),
    (state(3, NOON), state(4, NOON), "1 item more"),
    (state(3, NOON), state(5, LATER), f"2 items more, {UPDATED}"),
    (state(3, NOON), state(2, NOON), "1 item fewer"),
    (state(3, LATER), state(1, NOON), "2 items fewer, the newest update is gone"),
    (state(3, NOON), state(0, None), "3 items fewer, no item has an update time any more"),
    (state(0, None), state(2, LATER), f"2 items more, {UPDATED}"),
    (state(3, NOON, "a"), state(3, LATER, "a"), UPDATED),
    (state(3, NOON, "a"), state(3, NOON, "b"), "content differs"),
    # Rather one change too many than one that nobody hears of.
    (state(3, NOON), state(3, NOON, "b"), "content differs"),
    (state(*UNKNOWN, "a"), state(*UNKNOWN, "b"), "content differs"),
    (state(*UNKNOWN, "a"), state(*UNKNOWN), "content differs"),
    (state(*UNKNOWN), state(*UNKNOWN), "content differs"),
    (state(*UNKNOWN, "a"), state(3, NOON), "content differs"),
    (state(3, NOON), state(*UNKNOWN), "content differs"),
]


@pytest.mark.parametrize(("before", "now"), SAME)
def test_no_change(before: PlanState, now: PlanState) -> None:
    """The same version, or the same content where the version says nothing."""
    assert change_between(before, now, "p") is None


@pytest.mark.parametrize(("before", "now", "reason"), CHANGED, ids=[reason for _, _, reason in CHANGED])
def test_a_change_has_both_versions_and_a_reason(before: PlanState, now: PlanState, reason: str) -> None:
    """Another version, or another content; what is unknown is never unchanged."""
    change = change_between(before, now, "p")
    assert change is not None
    assert change.to_json() == {
        "plan_id": "p", "previous": before.version.to_json(), "current": now.version.to_json(), "reason": reason,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x" * 100, "x" * 100),
        ("x" * 101, "x" * 100 + "…"),
        ("a\nb\x1b[31m", r"a\nb\x1b[31m"),
        ("Übermut \N{GRINNING FACE}", "Übermut \N{GRINNING FACE}"),
        (None, "item-1"),
        ("", "item-1"),
    ],
)
def test_an_item_is_named_on_one_short_line(name: str | None, shown: str) -> None:
    """People who edit plans can put anything into a name."""
    change = change_between(state(1, NOON), state(1, LATER, name=name), "p")
    assert change is not None
    assert change.reason == f'updated 2026-11-23T13:00Z: "{shown}"'


@pytest.mark.parametrize(
    ("now", "changed"),
    [(state(3, LATER), True), (state(3, NOON), False), (state(3, NOON - timedelta(1)), False), (state(0, None), False)],
)
def test_since_a_time_only_later_updates_count(now: PlanState, changed: bool) -> None:
    """Deletions leave no time behind."""
    change = Baseline(since=NOON).compare("p", now)
    assert (change is not None) is changed
    if change is not None:
        assert (change.previous, change.reason) == (None, UPDATED)


def test_since_a_time_an_unknown_version_is_an_error() -> None:
    """There is nothing to compare with."""
    with pytest.raises(AchieveItUnknownVersionError, match="lastUpdated is missing") as caught:
        Baseline(since=NOON).compare("p", state(*UNKNOWN, "a"))
    assert caught.value.plan_id == "p"


@pytest.mark.parametrize("known", [state(3, NOON, "a"), state(3, NOON), state(0, None), state(*UNKNOWN, "a")])
def test_a_watermark_is_read_back(known: PlanState) -> None:
    """As JSON; the name of the item is not kept."""
    assert (back := PlanState.from_json(json.loads(json.dumps(known.to_json())))).to_json() == known.to_json()
    assert back.version.is_known is known.version.is_known


@pytest.mark.parametrize(
    "value",
    [
        None, 7, "x", [], {}, {"total_count": 1}, {**state(3, NOON).to_json(), "content_hash": 7},
        {**state(3, NOON).to_json(), "total_count": -1}, {**state(3, NOON).to_json(), "total_count": True},
        {**state(3, NOON).to_json(), "last_updated": "soon"}, {**state(3, NOON).to_json(), "item_id": 7},
    ],
)  # fmt: skip
def test_what_is_no_watermark_is_refused(value: Any) -> None:
    """Whoever else writes to a state store."""
    with pytest.raises(ValueError, match="is not a"):
        PlanState.from_json(value)
