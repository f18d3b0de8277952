"""Guarantees 3 and 4 together: odd items send their page through the slow path, which leaves no trace on the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.lake.read.snapshot import read_snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lake.support import Connect
    from tests.support.faulty_sandbox import Plan, Sandbox


@pytest.fixture
def odd_plan(sandbox: Sandbox) -> Plan:
    """60 items, some of which have values that fit in another notation, do not fit, are null, or are missing."""
    plan = sandbox.put_plan("p", 60)
    plan.patch(3, target=1.5, status=None, mood="good")
    plan.patch(11, members=None, tags=[], checklists=[None, {"items": None}, {"items": []}])
    plan.patch(12, remove=["admins", "name", "due"])
    plan.patch(17, start="2024-02-29", due="2024-02-29T10:00:00+05:30", created="0001-01-01T00:00:00")
    plan.patch(25, advancedMetricGoals=[{"metricBucketValue": 3, "sortOrder": "first"}], baseline="1e3")
    plan.patch(40, currentValue="99999999999999999999999999999.999999999", target="n/a")
    plan.replace(52, b'{"id":"52","name":"\xff","status":1.0,"status":2}')
    return plan


def test_odd_items_give_the_same_bytes_whichever_clean_items_share_their_pages(
    odd_plan: Plan, connect: Connect, tmp_path: Path
) -> None:
    """Pages of 2 to 1500 items, one after the other and four at a time."""
    files = {}
    for page_size, max_concurrency in [(2, 4), (3, 1), (7, 4), (10, 1), (31, 4), (60, 1), (1500, 4)]:
        client = connect(page_size=page_size, max_concurrency=max_concurrency)
        taken = read_snapshot(client.plan("p"), tmp_path)
        files[page_size] = taken.items.path.read_bytes()
        # An item that two pages share is rescued once.
        assert taken.rescued == {
            "mood": 1,
            "advancedMetricGoals[].sortOrder": 1,
            "target": 1,
            "name": 1,
            "status": 1,
        }
    assert len(set(files.values())) == 1


def test_clean_items_are_what_they_are_without_their_odd_neighbours(
    sandbox: Sandbox, connect: Connect, tmp_path: Path
) -> None:
    """One odd item on a page of 60: the other 59 are as if it were not there."""
    plan = sandbox.put_plan("p", 60)
    clean = pq.read_table(read_snapshot(connect().plan("p"), tmp_path).items.path)
    plan.patch(30, mood="good")
    odd = pq.read_table(read_snapshot(connect().plan("p"), tmp_path).items.path)
    assert odd.drop_columns("_rescued_data").equals(clean.drop_columns("_rescued_data"))
    assert odd["_rescued_data"].to_pylist() == [*[None] * 30, '{"mood": "good"}', *[None] * 29]
