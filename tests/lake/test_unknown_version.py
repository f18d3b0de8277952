"""Guarantee 1 where `lastUpdated` cannot be read: the version is unknown, and unknown is not unchanged."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.lake.errors import AchieveItInconsistentError
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plan
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from tests.lake.support import read

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.lake.support import Connect
    from tests.support.faulty_sandbox import Plan, Sandbox

ODD = "11/20/2026 10:00 AM"


def make_unreadable(plan: Plan, value: Any = ODD) -> None:
    """Give all items a `lastUpdated` that is not an ISO time."""
    for position in range(len(plan)):
        plan.patch(position, lastUpdated=value)


def export(client: AchieveItClient, lake: Path, **options: Any) -> dict[str, Any] | None:
    """Export the plan where nothing fails because of drift."""
    sink = ParquetSink(Store(LocalFileSystem(), str(lake)))
    return export_plan(client, sink, "p", snapshot="s", options=ExportOptions(on_drift="rescue", **options))


def test_an_unknown_version_equals_none_not_even_itself() -> None:
    """Nothing can be told unchanged by it; an empty plan's version is known."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    known, unknown, empty = PlanVersion(3, moment), PlanVersion(3, None, "a", unreadable="'x'"), PlanVersion(0, None)
    assert known == PlanVersion(3, moment, "another item")
    assert hash(known) == hash(PlanVersion(3, moment, "another item"))
    assert known not in (PlanVersion(2, moment), PlanVersion(3, moment.replace(year=2027)), unknown, empty, "3")
    assert unknown != PlanVersion(3, None)
    assert not unknown == unknown  # noqa: SIM201  # what is tested
    assert empty == PlanVersion(0, None)
    assert [version.is_known for version in (known, unknown, empty)] == [True, False, True]


def test_a_version_that_was_written_down_as_unknown_stays_unknown() -> None:
    """Also one in a manifest of the first version of this package, which had the same keys."""
    written = json.loads(json.dumps(PlanVersion(3, None, "a", unreadable="'x'").to_json()))
    assert written == {"total_count": 3, "last_updated": None, "item_id": "a"}
    assert not PlanVersion.from_json(written).is_known
    assert PlanVersion.from_json({"total_count": 0, "last_updated": None, "item_id": None}) == PlanVersion(0, None)


@pytest.mark.parametrize(
    ("value", "shown"), [(ODD, repr(ODD)), (7, "7"), ("x\n\x1b[31m" + "y" * 500, r"'x\n\x1b[31m"), (True, "True")]
)
def test_the_text_that_is_no_time_is_quoted(sandbox: Sandbox, client: AchieveItClient, value: Any, shown: str) -> None:
    """Shortened and escaped, since it may be anything."""
    plan = sandbox.put_plan("p", 1)
    make_unreadable(plan, value)
    version = client.get_plan_version("p")
    assert not version.is_known
    assert shown in version.why_unknown
    assert len(version.why_unknown) < 200
    assert version.why_unknown.isprintable()


@pytest.mark.parametrize("odd_items", [1, 3])
def test_a_page_without_readable_times_is_published_with_an_unknown_version(
    sandbox: Sandbox, client: AchieveItClient, tmp_path: Path, odd_items: int, caplog: pytest.LogCaptureFixture
) -> None:
    """One answer is one state, so it is proven; one unreadable time could be the newest. One warning quotes it."""
    plan = sandbox.put_plan("p", 3)
    for position in range(odd_items):
        plan.patch(position, lastUpdated=ODD)
    manifest = export(client, tmp_path)
    assert manifest is not None
    assert manifest["consistent"] is True
    assert manifest["version"] == {"total_count": 3, "last_updated": None, "item_id": manifest["version"]["item_id"]}
    warnings = [record.getMessage() for record in caplog.records if ODD in record.getMessage()]
    assert len(warnings) == 1


@pytest.mark.parametrize("value", [ODD, None])
@pytest.mark.parametrize("items", [3, 10])
def test_nobody_says_that_such_a_plan_is_unchanged(
    sandbox: Sandbox, client: AchieveItClient, tmp_path: Path, items: int, value: Any
) -> None:
    """With `if_unchanged="skip"` the plan is read, and its content compared: with unreadable times and without any."""
    plan = sandbox.put_plan("p", items)
    make_unreadable(plan, value)
    first = export(client, tmp_path, if_unchanged="skip")
    plan.edit(0, touch=False, name="Edited")
    second = export(client, tmp_path, if_unchanged="skip")
    assert first is not None
    assert second is not None
    assert first["content_hash"] != second["content_hash"]
    assert export(client, tmp_path, if_unchanged="skip") is None
    (tmp_path / second["files"][0]["path"].removeprefix("file://")).unlink()
    assert export(client, tmp_path, if_unchanged="skip") is not None


@pytest.mark.parametrize("value", [ODD, None])
def test_several_pages_are_proven_by_two_reads_with_the_same_content(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path, value: Any
) -> None:
    """Without times, edits show in nothing but the content."""
    make_unreadable(plan, value)
    taken, table = read(client, tmp_path)
    assert (taken.consistent, taken.attempts, taken.version.is_known) == (True, 2, False)
    assert table["id"].to_pylist() == [item["id"] for item in plan.items()]


def test_times_that_are_null_and_come_first_are_no_obstacle(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path
) -> None:
    """One item without a time, which the API takes for the newest: the version is unknown, the plan lands."""
    plan.edit(4, lastUpdated="2027-01-01T00:00:00Z", id="newest")
    plan.replace("newest", b'{"id":"newest","lastUpdated":null}')
    assert not client.get_plan_version("p").is_known
    taken, _ = read(client, tmp_path)
    assert (taken.consistent, taken.attempts, taken.items.rows) == (True, 2, 10)


def test_an_unreadable_time_in_the_midst_of_others_makes_the_version_unknown(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path
) -> None:
    """The newest time can be read, but the API sorted by values of which one cannot."""
    plan.patch(3, lastUpdated="1/1/2020")
    plan.patch(8, lastUpdated="2/2/2020")
    assert client.get_plan_version("p").is_known
    taken, _ = read(client, tmp_path)
    assert (taken.consistent, taken.attempts, taken.version.is_known) == (True, 2, False)
    assert taken.version.unreadable == "'1/1/2020'"


def test_edits_between_the_two_reads_are_seen(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Reads 1 and 2 differ, 2 and 3 are the same; where all three differ, nothing is proven."""
    caplog.set_level(logging.INFO)
    make_unreadable(plan)
    edits = {8: "once"}
    sandbox.before_request = lambda number: number in edits and plan.edit(0, touch=False, name=edits[number])
    taken, table = read(client, tmp_path)
    assert (taken.consistent, taken.attempts, table["name"][0].as_py()) == (True, 3, "once")
    edits.update({8: "twice", 14: "thrice"})
    sandbox.reset_requests()
    with pytest.raises(AchieveItInconsistentError, match=r"its version is unknown \(lastUpdated '11/20/2026 10:00 AM'"):
        read(client, tmp_path)
    edits.update({8: "four times", 14: "five times"})
    sandbox.reset_requests()
    taken, table = read(client, tmp_path, accept=True)
    assert (taken.consistent, taken.attempts, table["name"][0].as_py()) == (False, 3, "five times")


def test_a_version_that_becomes_unknown_has_changed(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path
) -> None:
    """The pages were read before an edit whose time cannot be read: what was read is not what is there."""
    sandbox.before_request = lambda number: number == 6 and plan.edit(0, name="Edited", lastUpdated="3/3/2027")
    taken, table = read(client, tmp_path)
    assert (taken.consistent, taken.attempts, taken.version.is_known) == (True, 3, False)
    assert table["name"][0].as_py() == "Edited"


def test_a_plan_that_changes_every_time_is_never_proven_by_two_reads(
    sandbox: Sandbox, connect: Connect, tmp_path: Path
) -> None:
    """Two reads in a row have to agree, not any two."""
    plan = sandbox.put_plan("p", 10)
    make_unreadable(plan)
    names = {2: "a", 8: "b", 14: "a"}
    sandbox.before_request = lambda number: number in names and plan.edit(0, touch=False, name=names[number])
    with pytest.raises(AchieveItInconsistentError):
        read(connect(page_size=4, max_concurrency=1), tmp_path)
