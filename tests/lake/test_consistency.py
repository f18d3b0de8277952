"""Guarantee 1 by examples: what a snapshot costs, every way in which a plan can be seen to move, and the limits."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest

from airflow_provider_achieveit.api.plan_version import PlanVersion, parse_timestamp
from airflow_provider_achieveit.api.retry import DEFAULT_PAUSES, Pauses
from airflow_provider_achieveit.lake.errors import AchieveItInconsistentError, AchieveItPagingError
from tests.lake.schedules import held, table_of
from tests.lake.support import read

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.lake.support import Connect
    from tests.support.faulty_sandbox import Plan, Sandbox


def asked(sandbox: Sandbox) -> list[str]:
    """What was asked for: `version`, or a window as `skip+take`."""
    queries = [parse_qs(request.query) for request in sandbox.requests]
    return [
        "version" if query["sortKey"] == ["lastUpdated"] else f"{query['skip'][0]}+{query['take'][0]}"
        for query in queries
    ]


def before_requests(sandbox: Sandbox, edits: dict[int, Callable[[], Any]]) -> None:
    """Let people edit the plan just before the requests of these numbers are answered."""
    sandbox.before_request = lambda number: edits.get(number, lambda: None)()


def newest(plan: Plan) -> str:
    """The newest `lastUpdated` of a plan."""
    latest: str = max(item["lastUpdated"] for item in plan.items())
    return latest


@pytest.mark.parametrize(
    ("items", "requests"),
    [
        (0, ["0+4"]),
        (1, ["0+4"]),
        (3, ["0+4"]),
        (4, ["0+4", "4+1"]),
        (5, ["0+4", "version", "0+4", "3+4", "version"]),
        (10, ["0+4", "version", "0+4", "3+4", "6+4", "version"]),
        (11, ["0+4", "version", "0+4", "3+4", "6+4", "9+4", "version"]),
    ],
)
def test_a_plan_of_one_page_costs_one_request_and_one_of_n_pages_n_and_three(
    sandbox: Sandbox, client: AchieveItClient, tmp_path: Path, items: int, requests: list[str]
) -> None:
    """One answer is one state; several are read between two looks at the version, and overlap by an item.

    After a page that is exactly full, one small request asks whether anything follows.
    """
    plan = sandbox.put_plan("p", items)
    taken, table = read(client, tmp_path)
    assert asked(sandbox) == requests
    assert table.equals(table_of(plan.state()).replace_schema_metadata(table.schema.metadata))
    assert (taken.items.rows, taken.consistent, taken.attempts) == (items, True, 1)


def test_as_many_items_as_the_api_gives_by_default_are_looked_at_once_more(
    sandbox: Sandbox, connect: Connect, tmp_path: Path
) -> None:
    """An API that ignored `take` would give 100 items of a longer plan."""
    sandbox.put_plan("p", 100)
    taken, _ = read(connect(), tmp_path)
    assert asked(sandbox) == ["0+1500", "100+1"]
    assert (taken.items.rows, taken.consistent) == (100, True)


@pytest.mark.parametrize("items", [0, 3, 10])
def test_the_version_is_the_number_of_items_and_the_newest_update(
    sandbox: Sandbox, client: AchieveItClient, tmp_path: Path, items: int
) -> None:
    """However many pages a plan has, and with the id of an item of that time for people."""
    plan = sandbox.put_plan("p", items)
    taken, _ = read(client, tmp_path)
    assert taken.version == client.get_plan_version("p")
    if items:
        last = max(plan.items(), key=lambda item: item["lastUpdated"])
        assert taken.version == PlanVersion(items, parse_timestamp(last["lastUpdated"]))
        assert taken.version.item_id == last["id"]
    else:
        assert taken.version.to_json() == {"total_count": 0, "last_updated": None, "item_id": None}


CHANGED, MISFIT = AchieveItInconsistentError, AchieveItPagingError
# Requests of a first attempt: 1 the look ahead, 2 the version, 3 to 5 the pages, 6 the version again.
MOVES: dict[str, tuple[dict[int, Callable[[Plan], Any]], type[Exception], str]] = {
    "edited": ({4: lambda plan: plan.edit(0)}, CHANGED, "the plan version moved from"),
    "edited before the last look": ({6: lambda plan: plan.edit(0)}, CHANGED, "the plan version moved from"),
    "inserted": ({4: lambda plan: plan.insert(9)}, CHANGED, "totalCount moved from 10 to 11"),
    "deleted": ({5: lambda plan: plan.delete(0)}, CHANGED, "totalCount moved from 10 to 9"),
    "deleted after the last page": ({6: lambda plan: plan.delete(0)}, CHANGED, "the plan version moved from"),
    "moved down": ({4: lambda plan: plan.move(0, 9)}, MISFIT, "page 2 does not begin with the item that page 1 ends"),
    "moved up": ({5: lambda plan: plan.move(9, 0)}, MISFIT, "page 3 does not begin with the item that page 2 ends"),
    "moved away and another one here": (
        {4: lambda plan: (plan.move(1, 8), plan.move(5, 1))},
        MISFIT,
        "1 ids came more than once, such as '",
    ),
    "deleted and another one restored": (
        {4: lambda plan: (plan.delete(0), plan.insert(9, touch=False))},
        CHANGED,
        "page 2 does not begin with the item that page 1 ends",
    ),
    "edited and taken back": (
        {3: lambda plan: plan.edit(8), 6: lambda plan: plan.edit(8, lastUpdated="2020-01-01T00:00:00Z")},
        MISFIT,
        "the newest lastUpdated of an item is",
    ),
}


#: The clients of a test make one attempt to read a plan.
ONE_ATTEMPT = pytest.mark.parametrize("pauses", [Pauses(between_reads=())], ids=["one attempt"])


@ONE_ATTEMPT
@pytest.mark.parametrize("move", MOVES)
def test_a_plan_that_moves_while_it_is_read_is_seen_to_move(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path, move: str
) -> None:
    """In one of the ways in which that can show, and the error names it."""
    edits, error, seen = MOVES[move]
    before_requests(sandbox, {number: lambda edit=edit: edit(plan) for number, edit in edits.items()})
    with pytest.raises(error, match=seen):
        read(client, tmp_path)


def test_a_page_that_is_suddenly_short_is_an_inconsistency(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path
) -> None:
    """The server's maximum fell between two pages: the attempt is given up, and the next one goes by the new size."""
    before_requests(sandbox, {4: lambda: setattr(sandbox, "max_take", 3)})
    taken, table = read(client, tmp_path)
    requests = asked(sandbox)[3:]
    # The page after the short one may have been asked for already: one is decoded while the next is on its way.
    assert requests[0] == "3+4"
    assert requests[requests.index("version") :] == [
        "version",
        "0+4",
        "version",
        "0+3",
        "2+3",
        "4+3",
        "6+3",
        "8+3",
        "version",
    ]
    assert (taken.attempts, taken.consistent) == (2, True)
    assert table["id"].to_pylist() == [item["id"] for item in plan.items()]


@pytest.mark.parametrize(("max_take", "pages"), [(5, ["0+5", "4+5", "8+5"]), (2, [f"{skip}+2" for skip in range(9)])])
def test_a_lower_maximum_of_the_server_sets_the_page_size(
    sandbox: Sandbox, plan: Plan, connect: Connect, tmp_path: Path, max_take: int, pages: list[str]
) -> None:
    """A first page that is shorter than asked for, with more to come, is no inconsistency; two items are enough."""
    sandbox.max_take = max_take
    taken, table = read(connect(page_size=1500, max_concurrency=1), tmp_path)
    assert asked(sandbox) == ["0+1500", "version", *pages, "version"]
    assert taken.attempts == 1
    assert table["id"].to_pylist() == [item["id"] for item in plan.items()]


def test_pages_of_one_item_can_prove_nothing(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path
) -> None:
    """Consecutive pages share an item, so each must have two."""
    sandbox.max_take = 1
    with pytest.raises(AchieveItPagingError, match="1 items came although totalCount is 10"):
        read(client, tmp_path)
    assert asked(sandbox) == ["0+4"]


def test_one_answer_with_more_items_than_it_counts_is_an_inconsistency(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path
) -> None:
    """An API that contradicts itself within one answer is not believed."""
    sandbox.script({"fault": {"body": '{"items":[{"id":"a"},{"id":"b"}],"totalCount":1}'}})
    with pytest.raises(AchieveItPagingError, match="2 items came although totalCount is 1"):
        read(client, tmp_path)
    assert len(sandbox.requests) == 3


def test_ids_that_come_twice_are_an_inconsistency_on_one_page_too(
    sandbox: Sandbox, client: AchieveItClient, tmp_path: Path
) -> None:
    """Distinct ids are counted in the file, however many pages it came from."""
    plan = sandbox.put_plan("p", 3)
    plan.patch(2, id=plan.items()[0]["id"])
    with pytest.raises(AchieveItPagingError, match="1 ids came more than once"):
        read(client, tmp_path)


@pytest.mark.parametrize(
    "odd", [b'"big":' + b"7" * 5000, b'"text":"\xff"', b'"nan":NaN', b'"id":"x","twice":1,"twice":2']
)
def test_an_odd_value_in_the_newest_item_does_not_keep_a_plan_from_being_read(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path, odd: bytes
) -> None:
    """The version is read from that item, whatever else stands in it."""
    raw = b'{"id":"newest","lastUpdated":"2027-01-01T00:00:00Z",' + odd.replace(b'"id":"x",', b"") + b"}"
    plan.edit(4, id="newest", lastUpdated="2027-01-01T00:00:00Z")
    plan.replace("newest", raw)
    taken, table = read(client, tmp_path)
    assert taken.consistent
    assert taken.version.item_id == "newest"
    assert len(table["_rescued_data"].drop_null()) == 1


def test_an_edit_is_outwaited(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The plan is read again, six requests later it is proven, and the log says why it took two attempts."""
    before_requests(sandbox, {4: lambda: plan.edit(0, name="Edited")})
    taken, table = read(client, tmp_path)
    assert asked(sandbox)[6:] == ["0+4", "version", "0+4", "3+4", "6+4", "version"]
    assert (taken.attempts, taken.consistent) == (2, True)
    assert table["name"][0].as_py() == "Edited"
    [warning] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert "Plan p: it changed while it was read (the plan version moved from" in warning


def test_a_plan_that_shrinks_to_one_page_is_read_as_one(
    sandbox: Sandbox, client: AchieveItClient, tmp_path: Path
) -> None:
    """The second attempt expects several pages, and finds that one answer is all there is."""
    plan = sandbox.put_plan("p", 5)
    before_requests(sandbox, {3: lambda: plan.delete(0)})
    taken, table = read(client, tmp_path)
    assert (taken.items.rows, taken.attempts, taken.consistent) == (4, 2, True)
    assert taken.version == client.get_plan_version("p")
    assert table["id"].to_pylist() == [item["id"] for item in plan.items()]


@pytest.mark.parametrize("max_take", [4, 2])
@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_plan_that_shrinks_before_its_version_is_asked_for_is_read_at_once(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path, left: int, max_take: int
) -> None:
    """The first page only told the size; what counts is what happens between the two looks at the version."""
    sandbox.max_take = max_take
    before_requests(sandbox, {2: lambda: [plan.delete(0) for _ in range(10 - left)]})
    taken, table = read(client, tmp_path)
    assert (taken.consistent, taken.attempts) == (True, 1)
    assert table["id"].to_pylist() == [item["id"] for item in plan.items()]
    assert len(plan.items()) == left
    assert asked(sandbox)[1:] == ["version", f"0+{max_take}", "version"]


@pytest.mark.parametrize("pauses", [Pauses(between_reads=(0.2, 0.4))], ids=["short pauses"])
def test_there_are_three_attempts_with_pauses_between_them(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path
) -> None:
    """About one and three seconds as a rule, which this test shortens; then a retriable error names what moved."""
    assert DEFAULT_PAUSES.between_reads == (1.0, 3.0)
    sandbox.before_request = lambda _: plan.edit()
    with pytest.raises(AchieveItInconsistentError, match=r"none of 3 attempts.*version moved from") as caught:
        read(client, tmp_path)
    assert caught.value.retry_task
    assert caught.value.plan_id == "p"
    assert len(sandbox.requests) == 6 + 6 + 6
    times = [(request.arrived, request.finished or 0) for request in sandbox.requests]
    assert times[6][0] - times[5][1] >= 0.2
    assert times[12][0] - times[11][1] >= 0.4


def test_what_could_not_be_proven_is_kept_where_that_is_accepted(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is what the last attempt read, marked, with a warning that says what moved."""
    sandbox.before_request = lambda _: plan.edit(9)
    taken, table = read(client, tmp_path, accept=True)
    assert (taken.consistent, taken.attempts, taken.items.rows) == (False, 3, 10)
    assert len(sandbox.requests) == 6 + 6 + 6
    assert table["name"][9].as_py().endswith("(edit 17)")
    assert "it changed while it was read (the plan version moved from 10 items" in caplog.text
    assert 'on_inconsistent="accept" keeps it' in caplog.text


@ONE_ATTEMPT
@pytest.mark.parametrize("operation", ["insert", "delete", "move"])
def test_accepted_snapshots_survive_every_kind_of_move(
    sandbox: Sandbox, client: AchieveItClient, tmp_path: Path, operation: str
) -> None:
    """Pages that do not fit together are put together as well as they can be."""
    plan = sandbox.put_plan("p", 20)
    sandbox.before_request = lambda _: getattr(plan, operation)(0)
    taken, table = read(client, tmp_path, accept=True)
    assert not taken.consistent
    seen = "it stood still, but" if operation == "move" else "it changed while it was read"
    assert str(taken.problem).startswith(seen)
    assert taken.items.rows == table.num_rows > 0


def test_accepting_does_not_lower_the_standard_for_a_plan_that_stands_still(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path
) -> None:
    """An attempt that proves the snapshot ends the matter, also the last one."""
    before_requests(sandbox, {4: lambda: plan.edit(0), 10: lambda: plan.edit(0)})
    taken, _ = read(client, tmp_path, accept=True)
    assert (taken.consistent, taken.attempts) == (True, 3)


def test_pages_are_fetched_concurrently_and_stay_in_order(sandbox: Sandbox, connect: Connect, tmp_path: Path) -> None:
    """Never more requests in flight than allowed, and the rows are in the order of the plan."""
    plan = sandbox.put_plan("p", 60)
    sandbox.latency = 0.03
    taken, table = read(connect(page_size=3, max_concurrency=4), tmp_path)
    assert sandbox.traffic().max_in_flight == 4
    assert taken.consistent
    assert table["id"].to_pylist() == [item["id"] for item in plan.items()]


def test_no_request_of_an_attempt_is_under_way_when_the_next_one_begins(
    sandbox: Sandbox, connect: Connect, tmp_path: Path
) -> None:
    """The second attempt looks at the version when all pages of the first are answered or dropped."""
    plan = sandbox.put_plan("p", 60)
    sandbox.latency = 0.05
    before_requests(sandbox, {4: lambda: plan.delete(0)})
    taken, _ = read(connect(page_size=3, max_concurrency=4), tmp_path)
    assert taken.attempts == 2
    looks = [number for number, what in enumerate(asked(sandbox)) if what == "version"]
    second = sandbox.requests[looks[1]]
    assert all(request.finished and request.finished <= second.arrived for request in sandbox.requests[: looks[1]])


def unseen(sandbox: Sandbox, plan: Plan, client: AchieveItClient, directory: Path) -> bool:
    """Read a plan while it is edited; whether something was taken for proven that the plan never held."""
    history = plan.keep_history()
    taken, table = read(client, directory)
    assert (taken.consistent, taken.attempts) == (True, 1)
    return not held(history, table, taken.version)


def test_limit_restored_items_that_take_the_place_of_others_are_not_seen(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path
) -> None:
    """Not seen: one item goes and an old one comes back, twice, in places that shift no page."""
    for position in (1, 8):
        plan.edit(position, lastUpdated="2020-01-01T00:00:00Z")

    def replace(position: int) -> None:
        plan.delete(position)
        plan.insert(position, touch=False, lastUpdated="2020-01-01T00:00:00Z")

    before_requests(sandbox, {4: lambda: replace(1), 5: lambda: replace(8)})
    assert unseen(sandbox, plan, client, tmp_path)


def test_limit_edits_that_do_not_move_last_updated_are_not_seen(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path
) -> None:
    """Not seen: nothing documents which edits move `lastUpdated`; two that do not, one behind and one ahead."""
    before_requests(
        sandbox,
        {4: lambda: plan.edit(0, touch=False, name="x"), 5: lambda: plan.edit(9, touch=False, name="y")},
    )
    assert unseen(sandbox, plan, client, tmp_path)


def test_limit_edits_within_the_resolution_of_the_clock_are_not_seen(
    sandbox: Sandbox, plan: Plan, client: AchieveItClient, tmp_path: Path
) -> None:
    """Not seen: edits that carry the very time that was the newest before, here to the microsecond."""
    last = newest(plan)
    before_requests(
        sandbox,
        {
            4: lambda: plan.edit(0, name="x", lastUpdated=last),
            5: lambda: plan.edit(9, name="y", lastUpdated=last[:26] + "9Z"),
        },
    )
    assert unseen(sandbox, plan, client, tmp_path)
