"""What generated plans look like."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from typing import Any
from uuid import UUID

import pytest

from airflow_provider_achieveit.sandbox import DEMO_PLANS, Plan

GUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z")
DAY = re.compile(r"\d{4}-\d\d-\d\dT00:00:00Z")
FREQUENCIES = {"NotRequired", "Daily", "Weekly", "Biweekly", "Monthly", "Quarterly"}

# The fields in the order of the vendor's page, with their JSON types: str, int, bool, float, a pattern that a string
# follows, a set of strings, or a list of objects; in a tuple with None, where it may be null.
PERSON = {"id": GUID, "name": str, "type": {"User", "Team"}}
ITEM: dict[str, Any] = {
    "id": GUID,
    "sourceId": GUID,
    "rowNumber": int,
    "sequenceId": re.compile(r"\d+(\.\d+)*"),
    "planId": str,
    "planName": str,
    "sourcePlanId": (GUID, None),
    "sourcePlanName": (str, None),
    "alignsTo": (str, None),
    "alignsToId": (GUID, None),
    "dependentOn": (str, None),
    "dependentOnId": (GUID, None),
    "levelId": GUID,
    "level": {"Goal", "Objective", "Strategy", "Action"},
    "name": str,
    "indentedName": str,
    "description": str,
    "status": int,
    "statusName": str,
    "start": (DAY, None),
    "due": (DAY, None),
    "created": TIMESTAMP,
    "hasMetric": bool,
    "hasAdvancedMetric": bool,
    "units": (int, None),
    "detail": (int, None),
    "baseline": re.compile(r"-?\d+(\.\d+)?"),
    "target": re.compile(r"-?\d+(\.\d+)?"),
    "currentValue": re.compile(r"-?\d+(\.\d+)?"),
    "advancedMetricGoals": [
        {"goalId": GUID, "goalName": str, "goalColor": str, "metricBucketValue": float, "sortOrder": int}
    ],
    "lastUpdated": TIMESTAMP,
    "assignedToId": (GUID, None),
    "assignedToFullName": (str, None),
    "assignedById": (GUID, None),
    "assignedByFullName": (str, None),
    "members": [PERSON],
    "admins": [PERSON],
    "updateFrequency": FREQUENCIES,
    "updateFrequencyDescription": FREQUENCIES,
    "isPastDue": bool,
    "lateUpdates": int,
    "pendingUpdates": int,
    "updates": int,
    "lastCommentId": (GUID, None),
    "lastComment": (str, None),
    "lastUpdateCommentId": (GUID, None),
    "lastUpdateComment": (str, None),
    "files": int,
    "checklists": [
        {
            "id": GUID,
            "name": str,
            "sortIndex": int,
            "items": [{"id": GUID, "name": str, "sortIndex": int, "doneOn": (TIMESTAMP, None)}],
        }
    ],
    "tags": [{"id": GUID, "organizationId": GUID, "name": str}],
    "isOrphan": bool,
}


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, tuple):
        return value is None or _fits(value, kind[0])
    if isinstance(kind, dict):
        return list(value) == list(kind) and all(_fits(value[field], kind[field]) for field in kind)
    if isinstance(kind, list):
        return isinstance(value, list) and all(_fits(element, kind[0]) for element in value)
    if isinstance(kind, re.Pattern):
        return isinstance(value, str) and kind.fullmatch(value) is not None
    if isinstance(kind, set):
        return value in kind
    return type(value) is kind


@pytest.fixture(scope="module")
def items() -> list[dict[str, Any]]:
    """A plan that is large enough to hold some of everything."""
    return Plan("p", 2_000).items()


@pytest.mark.parametrize("field", ITEM)
def test_every_field_has_its_type(items, field):
    """Each field has the documented JSON type in every item, and nullable and nested ones are not all alike."""
    assert all(_fits(item[field], ITEM[field]) for item in items)
    if isinstance(ITEM[field], tuple):
        assert {item[field] is None for item in items} == {True, False}
    if isinstance(ITEM[field], list):
        assert {bool(item[field]) for item in items} == {True, False}


def test_fields_come_in_the_api_s_order(get):
    """Exactly the documented fields, in the documented order, beside nothing but the count."""
    body = get().json()
    assert list(body) == ["items", "totalCount"]
    assert all(list(item) == list(ITEM) for item in body["items"])


def test_items_are_as_large_as_real_ones(get, sandbox):
    """2 to 3 kB each as JSON, nearly all of them."""
    sandbox.put_plan("p", 1000)
    sizes = [
        len(json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode()) for item in sandbox.plan("p").items()
    ]
    assert 2_000 < sum(sizes) / len(sizes) < 3_000
    assert sum(2_000 <= size <= 3_000 for size in sizes) > 0.9 * len(sizes)
    assert len(get(take=1000).content) == sum(sizes) + 999 + len('{"items":[],"totalCount":1000}')


def test_a_plan_is_a_tree(items):
    """Goals have objectives, those strategies, those actions; outline numbers have as many parts as levels are deep."""
    levels = ["Goal", "Objective", "Strategy", "Action"]
    counts = Counter(item["level"] for item in items)
    assert sorted(counts, key=counts.__getitem__) == levels
    known = set()
    for item in items:
        assert item["sequenceId"].count(".") == levels.index(item["level"])
        parent, _, _ = item["sequenceId"].rpartition(".")
        assert not parent or parent in known
        known.add(item["sequenceId"])
    assert len(known) == len(items)


def test_text_is_as_awkward_as_real_text(items):
    """Names hold letters beyond Latin-1 and beyond the basic plane, descriptions hold HTML, quotes and line ends."""
    names = "".join(item["name"] for item in items)
    assert re.search("[\u3000-\u9fff]", names)
    assert re.search("[\U00010000-\U0010ffff]", names)
    assert all(re.search(r'<p>.*<a href=".*\n<ul><li>', item["description"]) for item in items)


def test_ids_are_unique(items):
    """No two items share an id."""
    assert len({item["id"] for item in items}) == len(items)


def test_the_same_seed_gives_the_same_plan():
    """Everything follows from seed and plan id, in every process, and a longer plan begins like a shorter one."""
    items = Plan("p", 50, seed=7).items()
    code = (
        "import json; from airflow_provider_achieveit.sandbox import Plan\n"
        "print(json.dumps(Plan('p', 50, seed=7).items()))"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert json.loads(elsewhere.stdout) == items
    assert Plan("p", 80, seed=7).items()[:50] == items


def test_another_seed_or_plan_gives_other_items():
    """Plans share no ids, unless they share seed and plan id."""
    plans = [Plan("p", 50, seed=7), Plan("p", 50, seed=8), Plan("q", 50, seed=7)]
    assert len({item["id"] for plan in plans for item in plan.items()}) == 150


def test_demo_plans_are_small_empty_and_larger_than_a_page():
    """Three plans whose ids could be real ones."""
    assert all(str(UUID(plan_id)) == plan_id for plan_id in DEMO_PLANS)
    assert sorted(DEMO_PLANS.values()) == [0, 40, 3200]


def test_needs_nothing_but_the_standard_library():
    """A running sandbox has imported no Airflow, no requests, no pyarrow and no other web server."""
    code = (
        "import sys\nbefore = set(sys.modules)\nfrom airflow_provider_achieveit.sandbox import Sandbox\n"
        "with Sandbox({'p': 1}): print({name.partition('.')[0] for name in set(sys.modules) - before}"
        " - sys.stdlib_module_names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "{'airflow_provider_achieveit'}\n"
