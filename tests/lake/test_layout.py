"""The keys of the contract, in plain strings: everything else, tests too, takes them from `layout`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake import layout

MOMENT = datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=5)))


def test_keys_are_those_that_other_peoples_queries_depend_on() -> None:
    """A change here is a change of the contract."""
    assert layout.table_prefix("plan_items", "p") == "plan_items/plan=p"
    assert layout.table_key("plan_items", "p", "l") == "plan_items/plan=p/snapshot=l/plan_items.parquet"
    assert layout.manifest_key("p", "l") == "_manifests/plan=p/snapshot=l.json"
    assert layout.latest_key("p") == "_manifests/plan=p/latest.json"
    assert layout.FORMAT_KEY == "_manifests/format.json"

    run = "_runs/568367735301294299b6c35cf84f3d507cc1d5c121b30b28cf8b27e5f3cb786c.json"
    assert layout.run_key("d", "r", "t", -1) == run
    assert layout.run_key("d", "r", "t", -1) != layout.run_key("d", "r", "t", 0)
    assert layout.run_key("a", "b", "c", -1) != layout.run_key("ab", "", "c", -1)


@pytest.mark.parametrize(
    ("text", "label"),
    [
        (None, "2026-11-22"),
        ("manual", "manual"),
        ("%Y-%m-%dT%H%M%SZ", "2026-11-22T200203Z"),
        ("a.b_c+d@e-f", "a.b_c+d@e-f"),
        ("x" * 128, "x" * 128),
    ],
)
def test_a_label_is_text_or_a_pattern_for_the_time_in_utc(text: str | None, label: str) -> None:
    """None is the UTC date."""
    assert layout.make_label(text, MOMENT) == label


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", ".hidden", "a..b", "a/b", "a\\b", "a b", "a\n", "é", "x" * 129, "12:30",
        "%H:%M", "%", "%Y/%m", "\ud800%Y", b"x", 7,
    ],
)  # fmt: skip
def test_a_label_that_is_unsafe_in_a_path_or_unreadable_for_an_engine_is_refused(text: str) -> None:
    """The message shows it, and what it may be."""
    with pytest.raises(AchieveItConfigError, match="snapshot"):
        layout.make_label(text, MOMENT.astimezone(UTC))


def test_labels_of_version_0_1_0_can_be_read() -> None:
    """It took run ids, which hold colons."""
    assert layout.is_readable_label("manual__2026-11-23T10:02:03+00:00")
