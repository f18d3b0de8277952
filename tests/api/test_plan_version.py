import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_achieveit.api.plan_version import PlanVersion, format_timestamp, parse_timestamp

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
moments = st.datetimes(timezones=st.just(UTC))


def test_versions_are_the_same_when_count_and_newest_update_are() -> None:
    """Which of several newest items the API puts first is nobody's business."""
    version = PlanVersion(5, NOON, "a", "A")
    assert version == PlanVersion(5, NOON, "b")
    assert hash(version) == hash(PlanVersion(5, NOON))
    assert version != PlanVersion(6, NOON, "a")
    assert version != PlanVersion(5, NOON.replace(microsecond=1), "a")
    assert version != PlanVersion(5, None, "a")


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23T12:00:00Z",
        "2026-11-23T12:00:00",
        "2026-11-23T12:00:00.0000000Z",
        "2026-11-23T12:00:00.000+00:00",
        "2026-11-23 14:00:00+02:00",
        "2026-11-23T06:30:00-05:30",
        "2026-11-23T12:00",
        "20261123T120000Z",
    ],
)
def test_iso_8601_is_read_in_its_spellings(text: str) -> None:
    """With or without fraction and offset; no offset means UTC."""
    assert parse_timestamp(text) == NOON
    assert parse_timestamp(text).tzinfo is UTC


def test_a_date_means_its_midnight() -> None:
    """Dates have no time of their own."""
    assert parse_timestamp("2026-11-23") == datetime(2026, 11, 23, tzinfo=UTC)


def test_digits_beyond_microseconds_are_cut() -> None:
    """.NET writes seven."""
    assert parse_timestamp("2026-11-23T12:00:00.1234569Z") == NOON.replace(microsecond=123456)


@pytest.mark.parametrize(
    "text",
    ["", " ", "noon", "2026", "23.11.2026", "2026-13-01", "2026-11-23T25:00", "2026-11-23+05:00", "1763899200",
     "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00"],
)  # fmt: skip
def test_other_text_is_a_value_error(text: str) -> None:
    """Also what lies outside the years 1 to 9999 once it is in UTC."""
    with pytest.raises(ValueError, match=r"ISO 8601|isoformat|must be in|years 1 to 9999"):
        parse_timestamp(text)


@given(moments)
def test_a_written_time_is_read_back(moment: datetime) -> None:
    """Manifests and events write times with microseconds and Z."""
    text = format_timestamp(moment)
    assert text.endswith("Z")
    assert len(text) == len("2026-11-23T10:02:03.123456Z")
    assert parse_timestamp(text) == moment


@given(st.builds(PlanVersion, st.integers(0, 10**9), st.none() | moments, st.none() | st.text()))
def test_a_version_survives_json(version: PlanVersion) -> None:
    """Manifest, event and state store hold it as JSON; an unknown one is equal to nothing."""
    twin = PlanVersion.from_json(json.loads(json.dumps(version.to_json())))
    assert twin.to_json() == version.to_json()
    assert (twin == version) == version.is_known == twin.is_known


@pytest.mark.parametrize(
    "value",
    [
        None, 5, [], {}, "5",
        {"total_count": "5", "last_updated": None},
        {"total_count": -1, "last_updated": None},
        {"total_count": True, "last_updated": None},
        {"total_count": 5},
        {"total_count": 5, "last_updated": "noon"},
        {"total_count": 5, "last_updated": 5},
        {"total_count": 5, "last_updated": None, "item_id": 5},
    ],
    ids=str,
)  # fmt: skip
def test_other_json_is_no_version(value: Any) -> None:
    """What someone else wrote is refused by one kind of error, which shows it."""
    with pytest.raises(ValueError, match="is not a plan version"):
        PlanVersion.from_json(value)
