"""People edit plans while they are read."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.faulty_sandbox import Plan

POSITION = ("rowNumber", "sequenceId")


def _without_position(items):
    return [{field: value for field, value in item.items() if field not in POSITION} for item in items]


def test_an_edit_changes_one_item_and_is_newer_than_all():
    """By default a name changes, everywhere it shows, and `lastUpdated` becomes the newest of the plan."""
    plan = Plan("p", 20)
    before = plan.items()
    edited = plan.edit(5)
    after = plan.items()
    assert after[5] == edited
    assert after[:5] + after[6:] == before[:5] + before[6:]
    changed = {field for field in edited if edited[field] != before[5][field]}
    assert changed == {"name", "indentedName", "lastUpdated"}
    assert edited["indentedName"].strip() == edited["name"]
    assert edited["lastUpdated"] > max(item["lastUpdated"] for item in before)


def test_times_of_edits_only_grow():
    """Also for who cuts them to microseconds, and whichever thread edits."""
    plan = Plan("p", 50)
    with ThreadPoolExecutor(4) as pool:
        times = list(pool.map(lambda _: plan.edit()["lastUpdated"], range(400)))
    assert len({time[:26] for time in times}) == 400
    assert max(item["lastUpdated"] for item in plan.items()) == max(times)


def test_an_edit_can_say_what_and_when():
    """Fields are set as given; `touch=False` leaves the time alone, and an item can be named by its id."""
    plan = Plan("p", 20)
    old = plan.items()[3]
    edited = plan.edit(old["id"], touch=False, target="12.5")
    assert edited == old | {"target": "12.5"}
    assert plan.edit(3, lastUpdated="2020-01-01T00:00:00Z")["lastUpdated"] == "2020-01-01T00:00:00Z"


def test_insert_adds_one_new_item():
    """The rest stays, apart from where it stands; an item that comes back brings its old time along."""
    plan = Plan("p", 20)
    before = plan.items()
    new = plan.insert(4, name="New")
    after = plan.items()
    assert new["name"] == "New"
    assert after[4] == new
    assert new["lastUpdated"] == new["created"] > max(item["lastUpdated"] for item in before)
    assert _without_position(after[:4] + after[5:]) == _without_position(before)
    assert [item["rowNumber"] for item in after] == list(range(1, 22))
    assert plan.insert(touch=False)["lastUpdated"] < new["lastUpdated"]
    assert len({item["id"] for item in plan.items()}) == len(plan) == 22


def test_delete_removes_one_item():
    """It is gone and the others move up; an empty plan has nothing to delete."""
    plan = Plan("p", 2)
    first, second = plan.items()
    assert plan.delete(0) == first
    assert _without_position(plan.items()) == _without_position([second])
    assert plan.items()[0]["rowNumber"] == 1
    plan.delete()
    assert plan.items() == []
    with pytest.raises(LookupError, match="no items"):
        plan.delete()


def test_move_changes_nothing_but_positions():
    """No item's `lastUpdated` moves, which is what makes moves hard to see."""
    plan = Plan("p", 20)
    before = plan.items()
    moved = plan.move(2, 9)
    after = plan.items()
    assert moved["id"] == before[2]["id"] == after[9]["id"]
    assert _without_position(sorted(after, key=str)) == _without_position(sorted(after, key=str))
    assert _without_position([*before[:2], *before[3:10], before[2], *before[10:]]) == _without_position(after)
    assert before != after


def test_patch_puts_anything_into_an_item(sandbox, get):
    """Unknown fields, other types, missing fields, NaN, lone surrogates: the API then serves them."""
    plan = sandbox.plan("p")
    old = plan.items()[0]
    plan.patch(0, remove=["name"], target=1.5, odd={"deep": [None, {}]}, tags="none", description="\ud800")
    item = get(take=1).json()["items"][0]
    assert "name" not in item
    assert (item["target"], item["odd"], item["tags"]) == (1.5, {"deep": [None, {}]}, "none")
    assert item["description"] == "\ud800"
    assert item["lastUpdated"] == old["lastUpdated"]
    assert [*item][:4] == ["id", "sourceId", "rowNumber", "sequenceId"]
    plan.patch(1, target=float("nan"))
    assert b'"target":NaN' in get(skip=1, take=1).content


@pytest.mark.parametrize("missing", ["id", "sourceId", "rowNumber", "sequenceId", "planId", "lastUpdated"])
def test_patch_takes_any_field_away(sandbox, get, missing):
    """Exactly that field is missing, and the item still sorts, moves and can be edited."""
    plan = sandbox.plan("p")
    old = plan.items()[3]
    plan.patch(3, remove=[missing])
    assert get(skip=3, take=1).json()["items"] == [{field: old[field] for field in old if field != missing}]
    assert "name" in get(sortKey="lastUpdated", take=1).json()["items"][0]
    plan.edit(3, name="still here")
    plan.move(3, 0)
    assert get(take=1).json()["items"][0]["name"] == "still here"


def test_patch_can_fix_the_position(sandbox, get):
    """An item whose position was patched keeps it, and the other half of its position, wherever it moves."""
    plan = sandbox.plan("p")
    old = plan.items()[3]
    plan.patch(3, rowNumber="three")
    plan.move(3, 0)
    item = get(take=1).json()["items"][0]
    assert (item["rowNumber"], item["sequenceId"]) == ("three", old["sequenceId"])


def test_replace_serves_these_very_bytes(sandbox, get):
    """Duplicate keys, invalid UTF-8, no JSON at all, anywhere in a page."""
    raw = b'{"id":"a","id":"b","name":"\xff"}'
    sandbox.plan("p").replace(39, raw)
    assert get(skip=38).content.endswith(b"," + raw + b'],"totalCount":40}')
    sandbox.plan("p").replace(0, raw)
    assert get(take=1).content == b'{"items":[' + raw + b'],"totalCount":40}'


def test_random_edits_are_repeatable():
    """What is edited when nothing is named follows from the seed as well."""

    def edited():
        plan = Plan("p", 30, seed=3)
        return [plan.edit()["id"], plan.insert()["id"], plan.delete()["id"], plan.move()["id"]]

    assert edited() == edited()


def test_unknown_items_are_refused():
    """An index beyond the end or an id that nobody has changes nothing."""
    plan = Plan("p", 3)
    for item in (3, -4, "nobody"):
        for operation in (plan.edit, plan.delete, plan.move, plan.patch):
            with pytest.raises(LookupError):
                operation(item)
    assert plan.items() == Plan("p", 3).items()


def test_a_state_never_changes():
    """What was read of a plan stays as it was, and the history holds every state that there was."""
    plan = Plan("p", 5)
    first = plan.state()
    items = first.items()
    history = plan.keep_history()
    plan.edit()
    plan.insert()
    plan.move(0, 3)
    plan.delete()
    assert first.items() == items
    assert [len(state) for state in history] == [5, 5, 6, 6, 5]
    assert history[0].items() == items
    assert history[-1].items() == plan.items()


def test_readers_see_whole_states(sandbox, get):
    """While another thread edits, every page is a page of one state."""
    plan = sandbox.plan("p")
    history = plan.keep_history()
    stop = threading.Event()

    def edit() -> None:
        while not stop.wait(0.001):
            plan.insert()
            plan.delete()
            plan.move()

    editor = threading.Thread(target=edit)
    editor.start()
    try:
        bodies = [get().json()["items"] for _ in range(15)]
    finally:
        stop.set()
        editor.join()
    states = {json.dumps(state.items()[:100]) for state in history}
    assert all(json.dumps(items) in states for items in bodies)


def test_hook_runs_before_each_answer(sandbox, get):
    """The hook is told the number of the request, and what it edits is in the answer."""
    numbers = []

    def edit(number: int) -> None:
        numbers.append(number)
        sandbox.plan("p").edit(0, name=f"before {number}")

    sandbox.before_request = edit
    assert [get(take=1).json()["items"][0]["name"] for _ in range(3)] == ["before 1", "before 2", "before 3"]
    assert numbers == [1, 2, 3]
