"""Many plans in one task: each all or nothing by itself, failures in one report, tries that go on."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.errors import (
    AchieveItClosedError,
    AchieveItForbiddenError,
    AchieveItNotFoundError,
    AchieveItServerError,
    AchieveItUnauthorizedError,
)
from airflow_provider_achieveit.api.plan_version import format_timestamp
from airflow_provider_achieveit.lake.errors import AchieveItManifestError
from airflow_provider_achieveit.lake.layout import latest_key
from airflow_provider_achieveit.lake.manifest import Run
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import Report, export_plan, export_plans
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from airflow_provider_achieveit.lake.tries import Tries

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.support.faulty_sandbox import Sandbox

    Connect = Callable[..., AchieveItClient]

PLANS = [f"plan-{number}" for number in range(12)]
LONG = "plan-7"
RUN: Run = {"dag_id": "nightly", "run_id": "scheduled__1", "task_id": "export", "map_index": -1, "try_number": 1}


@pytest.fixture
def sink(tmp_path: Path) -> ParquetSink:
    """A local destination."""
    return ParquetSink(Store(LocalFileSystem(), str(tmp_path / "lake")))


@pytest.fixture
def portfolio(sandbox: Sandbox) -> Sandbox:
    """A dozen plans, one of them with eight pages of four."""
    for plan_id in PLANS:
        sandbox.put_plan(plan_id, 25 if plan_id == LONG else 3)
    return sandbox


def export(client: AchieveItClient, sink: ParquetSink, plans: list[str] = PLANS, **arguments: Any) -> Report:
    """Export plans."""
    return export_plans(client, sink, plans, **arguments)


def test_all_plans_land_under_one_label_in_the_order_given(
    portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink
) -> None:
    """The manifests tell of the requests of their own plan, although all share a client."""
    report = export(client, sink, snapshot="%Y")
    assert list(report.manifests) == PLANS
    assert {manifest["snapshot"] for manifest in report.manifests.values()} == {f"{datetime.now(UTC):%Y}"}
    assert [manifest["rows"] for manifest in report.manifests.values()] == [3] * 7 + [25] + [3] * 4
    names = [portfolio.plan(plan_id).items()[0]["planName"] for plan_id in PLANS]
    assert [manifest["plan_name"] for manifest in report.manifests.values()] == names
    # Of the long plan its first page, eight pages from the first one on, and the version before and after.
    assert [manifest["requests"] for manifest in report.manifests.values()] == [1] * 7 + [11] + [1] * 4
    assert len(portfolio.requests) == 11 + 11
    assert [sink.latest(plan_id) for plan_id in PLANS] == list(report.manifests.values())
    assert (report.left_out, report.failures) == ({}, {})


def test_one_plan_is_a_portfolio_of_one(portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink) -> None:
    """Its manifest tells of the task, and its failure is an exception."""
    manifest = export_plan(client, sink, "plan-1", snapshot="s", run=RUN)
    assert manifest is not None
    assert manifest == {**manifest, **RUN, "snapshot": "s"}
    assert sink.latest("plan-1") == manifest
    with pytest.raises(AchieveItNotFoundError, match="nobodys"):
        export_plan(client, sink, "nobodys")


def test_a_plan_that_fails_stops_no_other(portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink) -> None:
    """What landed stays landed, and the report has each failure."""
    portfolio.plan("plan-3").forbidden = True
    report = export(client, sink, ["nobodys", *PLANS])
    assert {plan_id: type(error) for plan_id, error in report.failures.items()} == {
        "nobodys": AchieveItNotFoundError,
        "plan-3": AchieveItForbiddenError,
    }
    assert list(report.manifests) == [plan_id for plan_id in PLANS if plan_id != "plan-3"]
    assert sink.latest("plan-3") is None


def test_a_refused_key_ends_the_task_at_once(portfolio: Sandbox, connect: Connect, sink: ParquetSink) -> None:
    """No plan can be read with it, so the others are not asked for."""
    portfolio.key = "another"
    with pytest.raises(AchieveItUnauthorizedError):
        export(connect(max_concurrency=1), sink)
    assert len(portfolio.requests) <= 2  # one more may have been on its way


def test_servers_that_do_not_answer_end_the_task(portfolio: Sandbox, connect: Connect, sink: ParquetSink) -> None:
    """Each plan would wait for its whole time budget; a few in a row are enough."""
    portfolio.script({"fault": {"status": 503}})
    portfolio.latency = 0.05
    with pytest.raises(AchieveItServerError):
        export(connect(max_concurrency=2, max_retry_seconds=0), sink)
    assert len({request.plan for request in portfolio.requests}) < len(PLANS)


@pytest.mark.parametrize("landed_before", [False, True], ids=["landed", "unchanged"])
def test_servers_that_answer_now_and_then_end_nothing(
    portfolio: Sandbox, connect: Connect, sink: ParquetSink, landed_before: bool
) -> None:
    """A plan that can be read in between shows that there is a server; the others are reported as failures."""
    client = connect(max_concurrency=1, max_retry_seconds=0)
    plans = [plan_id for plan_id in PLANS if plan_id != LONG]
    if landed_before:
        export(client, sink, plans)
        portfolio.reset_requests()
    portfolio.latency = 0.05
    portfolio.script(*({"at": number, "fault": {"status": 503}} for number in range(1, len(plans), 2)))
    report = export(client, sink, plans, options=ExportOptions(if_unchanged="skip"))
    assert len(report.failures) == 5
    assert len(report.left_out if landed_before else report.manifests) == 6


def test_unchanged_plans_cost_one_tiny_request_each(portfolio: Sandbox, connect: Connect, sink: ParquetSink) -> None:
    """Nothing else is read, and nothing is written; the report has them in the order given."""
    client = connect()
    export(client, sink)
    portfolio.reset_requests()
    portfolio.script({"plan": PLANS[0], "fault": {"hang": 0.3}})  # the others are done before it
    report = export(client, sink, options=ExportOptions(if_unchanged="skip"))
    assert list(report.left_out) == PLANS
    assert len(portfolio.requests) == len(PLANS)
    portfolio.plan("plan-2").edit(0, name="New")
    report = export(client, sink, options=ExportOptions(if_unchanged="skip"))
    assert list(report.manifests) == ["plan-2"]


def test_a_plan_is_not_skipped_without_the_tables_that_are_asked_for(
    portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink
) -> None:
    """Other options make another snapshot of the same version, and leave nothing of the earlier one behind."""
    nested = ExportOptions(if_unchanged="skip", changes=False)
    normalized = ExportOptions(if_unchanged="skip", changes=False, tables="normalized")
    export(client, sink, ["plan-1"], snapshot="s", options=nested)
    (manifest,) = export(client, sink, ["plan-1"], snapshot="s", options=normalized).manifests.values()
    assert len(manifest["files"]) == 7
    assert export(client, sink, ["plan-1"], snapshot="s", options=normalized).left_out
    export(client, sink, ["plan-1"], snapshot="s", options=ExportOptions(changes=False))
    assert [key for key, _ in sink.store.find("") if "/plan=" in key and not key.startswith("_")] == [
        "plan_items/plan=plan-1/snapshot=s/plan_items.parquet"
    ]


def test_an_unreadable_manifest_fails_its_plan_where_it_is_needed(
    portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink, tmp_path: Path
) -> None:
    """A guard that cannot be evaluated refuses; without it the export replaces what is there."""
    path = tmp_path / "lake" / latest_key("plan-1")
    path.parent.mkdir(parents=True)
    path.write_text("[]")
    report = export(client, sink, options=ExportOptions(max_shrink=0.5))
    assert {plan_id: type(error) for plan_id, error in report.failures.items()} == {"plan-1": AchieveItManifestError}
    assert "plan-1" in export(client, sink).manifests


def test_threads_do_not_multiply_with_the_plans(portfolio: Sandbox, connect: Connect, sink: ParquetSink) -> None:
    """All plans share the threads of one client and those of one task."""
    most = 0

    def count(_: object) -> None:
        nonlocal most
        most = max(most, sum(thread.name.startswith("achieveit") for thread in threading.enumerate()))

    portfolio.before_request = count
    export(connect(page_size=10, max_concurrency=3), sink)
    assert 0 < most <= 3 + 3 + 2


def test_a_single_plan_has_no_thread_of_its_own(portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink) -> None:
    """So an interrupt of the task ends the work at once, and needs not wait for a thread."""
    threads: list[str] = []
    portfolio.before_request = lambda _: threads.extend(thread.name for thread in threading.enumerate())
    export(client, sink, [LONG])
    assert threads
    assert not [name for name in threads if name.startswith("achieveit-plan")]


def test_a_closed_client_ends_the_task_and_tears_nothing(
    portfolio: Sandbox, connect: Connect, sink: ParquetSink
) -> None:
    """Whatever has landed by then is whole."""
    client = connect(max_concurrency=2)
    before = export(client, sink, snapshot="a").manifests
    portfolio.reset_requests()
    portfolio.before_request = lambda number: client.close() if number == 7 else None
    with pytest.raises(AchieveItClosedError):
        export(client, sink, snapshot="b")
    for plan_id in PLANS:
        latest = sink.latest(plan_id)
        assert latest is not None
        assert sink.is_whole(latest)
        assert latest == before[plan_id] or latest["snapshot"] == "b"


class Interrupted(BaseException):
    """What execution_timeout raises in the main thread, wherever it is."""


@pytest.mark.parametrize("plans", [PLANS, [LONG]], ids=["many", "one"])
def test_an_interrupt_does_not_wait_for_the_plans_under_way(
    portfolio: Sandbox, connect: Connect, sink: ParquetSink, plans: list[str]
) -> None:
    """Their threads would ask a server that does not answer again and again."""
    portfolio.script({"fault": {"hang": 200}})

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    started = time.monotonic()
    try:
        with pytest.raises(Interrupted):
            export(connect(read_timeout=100, max_retry_seconds=200), sink, plans)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert time.monotonic() - started < 60


def tries_of(sink: ParquetSink, **run: Any) -> Tries:
    """Return the tries of a task."""
    return Tries(sink, {**RUN, **run})  # type: ignore[typeddict-item]  # a TypedDict again


def notes(sink: ParquetSink) -> list[str]:
    """Return the keys of the notes about tries under way."""
    return [key for key, _ in sink.store.find("_runs")]


def test_a_later_try_exports_only_the_rest(portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink) -> None:
    """It goes on under the first try's label, and its report has all plans that the tries have landed."""
    portfolio.plan("plan-3").forbidden = True
    first = export(client, sink, snapshot="first", run=RUN, tries=tries_of(sink))
    assert list(first.failures) == ["plan-3"]
    (note,) = notes(sink)
    portfolio.plan("plan-3").forbidden = False
    portfolio.reset_requests()
    tries = tries_of(sink)
    second = export(client, sink, snapshot="second", run={**RUN, "try_number": 2}, tries=tries)
    assert list(second.manifests) == PLANS
    assert {manifest["snapshot"] for manifest in second.manifests.values()} == {"first"}
    assert [plan_id for plan_id, manifest in second.manifests.items() if manifest["try_number"] == 2] == ["plan-3"]
    assert len(portfolio.requests) == len(PLANS), "a version for each plan that has landed, a page for the other"
    assert notes(sink) == [note]
    tries.done()
    assert notes(sink) == []


def test_a_plan_that_was_edited_between_two_tries_is_exported_again(
    portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink
) -> None:
    """Its version has moved."""
    export(client, sink, snapshot="first", run=RUN, tries=tries_of(sink))
    portfolio.plan("plan-5").edit(0, name="New")
    second = export(client, sink, snapshot="second", run={**RUN, "try_number": 2}, tries=tries_of(sink))
    assert [plan_id for plan_id, manifest in second.manifests.items() if manifest["try_number"] == 2] == ["plan-5"]


@pytest.mark.parametrize("other", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 1}])
def test_another_task_goes_its_own_way(
    portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink, other: dict[str, Any]
) -> None:
    """A note is about one task of one run."""
    export(client, sink, ["plan-1"], snapshot="first", run=RUN, tries=tries_of(sink))
    report = export(client, sink, ["plan-1"], snapshot="second", tries=tries_of(sink, **other))
    assert report.label == "second"


@pytest.mark.parametrize("other", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 1}])
def test_what_another_task_landed_under_the_label_is_not_taken_for_our_own(
    portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink, other: dict[str, Any]
) -> None:
    """A later try exports that plan again: its manifest tells of another task."""
    plans = ["plan-1", "plan-2"]
    export(client, sink, plans, snapshot="first", run=RUN, tries=tries_of(sink))
    export(client, sink, ["plan-1"], snapshot="first", run={**RUN, **other})  # type: ignore[typeddict-item]
    report = export(client, sink, plans, snapshot="second", run={**RUN, "try_number": 2}, tries=tries_of(sink))
    assert [(manifest["snapshot"], manifest["try_number"]) for manifest in report.manifests.values()] == [
        ("first", 2),
        ("first", 1),
    ]
    assert all(manifest[key] == RUN[key] for manifest in report.manifests.values() for key in other)  # type: ignore[literal-required]


@pytest.mark.parametrize(("minutes", "label"), [(24 * 60 - 1, "first"), (24 * 60 + 1, "second")])
def test_a_note_is_good_for_a_day(
    portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink, tmp_path: Path, minutes: int, label: str
) -> None:
    """From the start of the first try."""
    export(client, sink, ["plan-1"], snapshot="first", run=RUN, tries=tries_of(sink))
    (key,) = notes(sink)
    path = tmp_path / "lake" / key
    started = datetime.now(UTC) - timedelta(minutes=minutes)
    path.write_text(json.dumps({**json.loads(path.read_text()), "started_at": format_timestamp(started)}))
    assert export(client, sink, ["plan-1"], snapshot="second", run=RUN, tries=tries_of(sink)).label == label


def test_a_task_that_has_succeeded_and_is_cleared_exports_anew(
    portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink
) -> None:
    """Its note is gone, so it is nobody's later try: what it landed before is replaced, also under the same label."""
    tries = tries_of(sink)
    export(client, sink, ["plan-1"], snapshot="s", run=RUN, tries=tries)
    tries.done()
    report = export(client, sink, ["plan-1"], snapshot="s", run={**RUN, "try_number": 2}, tries=tries_of(sink))
    assert report.manifests["plan-1"]["try_number"] == 2


NO_NOTES = [
    "old", "", "[]", "{", "{}", "7", "[" * 100_000, '{"label": "x"}', '{"label": "x", "started_at": 7}',
    '{"label": 7, "started_at": "2030-01-01"}', '{"label": "../x", "started_at": "2030-01-01"}',
]  # fmt: skip


@pytest.mark.parametrize("note", NO_NOTES, ids=lambda note: note[:40])
def test_an_old_or_broken_note_is_replaced(
    portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink, tmp_path: Path, note: str
) -> None:
    """After 24 hours, a task that is run again exports today's values under a label of its own."""
    export(client, sink, ["plan-1"], snapshot="first", run=RUN, tries=tries_of(sink))
    (key,) = notes(sink)
    if note == "old":
        yesterday = datetime.now(UTC) - timedelta(hours=25)
        note = json.dumps({"label": "first", "started_at": format_timestamp(yesterday), "plans": []})
    (tmp_path / "lake" / key).write_text(note)
    assert export(client, sink, ["plan-1"], snapshot="second", run=RUN, tries=tries_of(sink)).label == "second"
    assert json.loads((tmp_path / "lake" / key).read_text())["label"] == "second"


def test_a_task_in_which_nothing_lands_leaves_no_note(
    portfolio: Sandbox, client: AchieveItClient, sink: ParquetSink
) -> None:
    """Two hundred unchanged plans cost no write."""
    export(client, sink)
    export(client, sink, options=ExportOptions(if_unchanged="skip"), run=RUN, tries=tries_of(sink))
    assert notes(sink) == []
