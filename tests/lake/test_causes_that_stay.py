"""Guarantee 1 where the plan stands still but the API is odd: an error that says so, or a way around."""

from __future__ import annotations

import random
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.api.errors import AchieveItShapeError
from airflow_provider_achieveit.lake.errors import AchieveItPagingError
from tests.lake.odd_api import Answer, OddApi, Query, odd_api
from tests.lake.support import read

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from airflow_provider_achieveit.lake.read.snapshot import Snapshot
    from tests.lake.support import Connect

    #: Reads the plan from an API that gives such answers.
    ReadFrom = Callable[..., tuple[Snapshot, pa.Table, OddApi]]

ITEMS = [
    {
        "id": f"item-{number}",
        "sequenceId": f"{number:04}",
        "created": f"2026-01-{number + 1:02}T10:00:00Z",
        "lastUpdated": f"2026-02-{number % 9 + 1:02}T10:00:00Z",
    }
    for number in range(10)
]


@pytest.fixture
def read_from(connect: Connect, tmp_path: Path) -> Iterator[ReadFrom]:
    """Reads with four items per page, one after the other."""
    with ExitStack() as stack:

        def read_from(answer: Answer, *, accept: bool = False, **settings: Any) -> tuple[Snapshot, pa.Table, OddApi]:
            api = stack.enter_context(odd_api(answer))
            client = connect(base_url=api.url, **{"page_size": 4, "max_concurrency": 1, **settings})
            return *read(client, tmp_path, accept=accept), api

        yield read_from


def skip_ignored(query: Query) -> tuple[list[dict[str, Any]], int]:
    """The first items again and again."""
    return Query(0, query.take, query.sort_key, query.descending).of(ITEMS), len(ITEMS)


def hidden_counted(query: Query) -> tuple[list[dict[str, Any]], int]:
    """`totalCount` counts two items that the user may not see."""
    return query.of(ITEMS), len(ITEMS) + 2


def own_size(query: Query) -> tuple[list[dict[str, Any]], int]:
    """`totalCount` is the number of items on the page itself."""
    items = query.of(ITEMS)
    return items, len(items)


def page_size_counted(query: Query) -> tuple[list[dict[str, Any]], int]:
    """`totalCount` is the size of a page, wherever that begins."""
    return query.of(ITEMS), 4


def sorted_as_text(query: Query) -> tuple[list[dict[str, Any]], int]:
    """Sorting by `lastUpdated` ignores what one item says."""
    if query.sort_key == "lastUpdated":
        return query.of(ITEMS[:3]), len(ITEMS)
    return query.of(ITEMS), len(ITEMS)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (skip_ignored, "page 2 does not begin with the item that page 1 ends with"),
        (hidden_counted, "page 4 has 1 items instead of 3 of 12"),
        (own_size, "items follow although totalCount is 4"),
        (page_size_counted, "items follow although totalCount is 4"),
        (sorted_as_text, "the newest lastUpdated of an item is 2026-02-09 10:00:00[+]00:00, the plan's is 2026-02-03 "),
    ],
)
def test_a_cause_that_stays_is_not_called_an_edit(read_from: ReadFrom, answer: Answer, reason: str) -> None:
    """The plan version was the same before and after each attempt: the error says so, and what does not fit."""
    with pytest.raises(AchieveItPagingError, match=f"3 attempts.*it stood still, but its pages.*{reason}") as caught:
        read_from(answer)
    assert caught.value.plan_id == "p"
    assert "page_size" in str(caught.value)


@pytest.mark.parametrize(("answer", "rows"), [(skip_ignored, 4), (hidden_counted, 10), (own_size, 4)])
def test_what_does_not_fit_is_published_where_that_is_accepted(read_from: ReadFrom, answer: Answer, rows: int) -> None:
    """Unproven, with what came; reading ends where nothing new comes."""
    snapshot, table, _ = read_from(answer, accept=True)
    assert (snapshot.consistent, snapshot.attempts) == (False, 3)
    assert table.num_rows == rows


def ties(seed: int) -> Answer:
    """All items share a `sequenceId`, and come in another order at each request that sorts by it."""
    shuffled = random.Random(seed)
    items = [{**item, "sequenceId": "1"} for item in ITEMS]

    def answer(query: Query) -> tuple[list[dict[str, Any]], int]:
        shuffled.shuffle(items)
        return query.of(items), len(items)

    return answer


def test_items_that_share_a_sequence_id_are_proven_in_another_order(read_from: ReadFrom) -> None:
    """An API that orders ties anew at each request: the last attempt asks for the order of `created`."""
    snapshot, table, api = read_from(ties(seed=1))
    assert (snapshot.consistent, snapshot.attempts) == (True, 3)
    assert table["id"].to_pylist() == [item["id"] for item in ITEMS]
    pages = [query.sort_key for query in api.queries if query.take == 4 and query.sort_key != "lastUpdated"]
    assert pages[-3:] == ["created"] * 3
    assert set(pages[:-3]) == {"sequenceId"}


def test_items_that_share_a_sequence_id_fit_on_one_page(read_from: ReadFrom) -> None:
    """One page needs no order."""
    snapshot, _, api = read_from(ties(seed=1), page_size=1500)
    assert (snapshot.consistent, snapshot.attempts, len(api.queries)) == (True, 1, 1)


@pytest.mark.parametrize(
    ("items", "ignored", "error"),
    [
        (10, Query(0, 4, "sequenceId", descending=False), "it has 10 items, and 4 were asked for"),
        (10, Query(3, 4, "sequenceId", descending=False), "it has 7 items, and 4 were asked for"),
        (10, Query(0, 1, "lastUpdated", descending=True), "it has 10 items, and 1 were asked for"),
        (6, Query(4, 1, "sequenceId", descending=False), "it has 2 items, and 1 were asked for"),
    ],
    ids=["first page", "another page", "version", "look behind a full page"],
)
@pytest.mark.parametrize("odd", [{}, {"target": 7}], ids=["clean", "with odd values"])
def test_more_items_than_were_asked_for_are_refused(
    read_from: ReadFrom, items: int, ignored: Query, error: str, odd: dict[str, Any]
) -> None:
    """Nothing would bound what an API gives that ignores `take`: it is not believed, whichever request that is."""
    plan = [{**item, **odd} for item in ITEMS[:items]]

    def answer(query: Query) -> tuple[list[dict[str, Any]], int]:
        total = 4 if items == 6 and query != ignored else items
        return (replace(query, take=100) if query == ignored else query).of(plan), total

    with pytest.raises(AchieveItShapeError, match=error):
        read_from(answer)


@pytest.mark.parametrize("total", [2**41, 2**63 - 1])
@pytest.mark.parametrize("accept", [False, True], ids=["fail", "accept"])
def test_a_claimed_number_of_items_plans_nothing(read_from: ReadFrom, total: int, accept: bool) -> None:
    """However many items a server claims, requests end with the first page that brings none, also with `accept`."""

    def answer(query: Query) -> tuple[list[dict[str, Any]], int]:
        return query.of(ITEMS), total

    if accept:
        snapshot, table, api = read_from(answer, accept=True, max_concurrency=4)
        assert (snapshot.consistent, table.num_rows) == (False, 10)
        assert len(api.queries) < 60
    else:
        with pytest.raises(AchieveItPagingError, match="page 4 has 1 items instead of 4"):
            read_from(answer)


def test_a_plan_that_grows_beyond_a_full_page_is_read_again(
    read_from: ReadFrom, caplog: pytest.LogCaptureFixture
) -> None:
    """The look behind a full page sees an item that was added meanwhile; the next attempt reads two pages."""
    plan = ITEMS[:4]

    def answer(query: Query) -> tuple[list[dict[str, Any]], int]:
        if query.skip == 4:
            plan[4:] = ITEMS[4:5]
        return query.of(plan), len(plan)

    snapshot, table, _ = read_from(answer)
    assert (snapshot.consistent, snapshot.attempts, table.num_rows) == (True, 2, 5)
    assert "it changed while it was read (totalCount moved from 4 to 5)" in caplog.text
