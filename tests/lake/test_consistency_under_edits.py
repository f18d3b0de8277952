"""Guarantee 1 under random edits: the real client reads a plan over HTTP while it is edited between any two requests.

`ACHIEVEIT_SCHEDULES=50000 pytest tests/lake/test_consistency_under_edits.py` runs more schedules than the default.
They are the same ones in each run.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from airflow_provider_achieveit.lake.errors import AchieveItInconsistentError, AchieveItPagingError
from airflow_provider_achieveit.lake.read.snapshot import read_snapshot
from tests.lake.schedules import Edit, follow, held

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.lake.support import Connect
    from tests.support.faulty_sandbox import Sandbox

SCHEDULES = int(os.environ.get("ACHIEVEIT_SCHEDULES", "120"))

edits = st.builds(
    Edit,
    before=st.one_of(st.integers(1, 12), st.integers(1, 60)),
    operation=st.sampled_from(["edit", "insert", "delete", "move", "move"]),
    where=st.integers(0, 50),
    to=st.integers(0, 50),
)
schedules = st.lists(edits, max_size=8)
sizes = st.one_of(st.integers(0, 12), st.integers(0, 40))
#: An edit before each request, and before one of the first attempt alone.
unrest = [Edit(number, "edit", 0) for number in range(1, 40)]
moment = [Edit(4, "edit", 0)]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("concurrency", [1, 4], ids=["sequential", "concurrent"])
def test_what_is_published_as_consistent_was_a_state_of_the_plan(
    sandbox: Sandbox, connect: Connect, concurrency: int
) -> None:
    """A snapshot that is marked consistent equals, item for item apart from positions, a state the plan really had."""
    clients = {size: connect(page_size=size, max_concurrency=concurrency) for size in range(2, 8)}
    seen: Counter[str] = Counter()

    @settings(
        max_examples=SCHEDULES // 2,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, Phase.shrink],
    )
    @example(items=10, page_size=4, schedule=unrest)
    @example(items=10, page_size=4, schedule=moment)
    @example(items=10, page_size=4, schedule=[])
    @given(items=sizes, page_size=st.integers(2, 7), schedule=schedules)
    def read_while_it_is_edited(items: int, page_size: int, schedule: list[Edit]) -> None:
        seen[_outcome(sandbox, clients[page_size], items, schedule)] += 1

    read_while_it_is_edited()
    # The schedules would prove little if none of them, or all of them, disturbed the export.
    assert min(seen["proven at once"], seen["proven later"]) >= max(1, SCHEDULES // 20), seen
    assert seen["refused"], seen


def _outcome(sandbox: Sandbox, client: AchieveItClient, items: int, schedule: list[Edit]) -> str:
    plan = sandbox.put_plan("p", items)
    history = plan.keep_history()
    sandbox.reset_requests()
    sandbox.before_request = lambda number: follow(schedule, plan, number)
    with tempfile.TemporaryDirectory() as directory:
        try:
            taken = read_snapshot(client.plan("p"), Path(directory))
        except (AchieveItInconsistentError, AchieveItPagingError):
            return "refused"
        finally:
            sandbox.before_request = None
        assert taken.consistent
        assert held(history, pq.read_table(taken.items.path), taken.version)
        return "proven at once" if taken.attempts == 1 else "proven later"
