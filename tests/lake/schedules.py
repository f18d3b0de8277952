"""Edits that happen between the requests of an export, and what the plan held meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.lake.read.decode import decode_page
from airflow_provider_achieveit.sandbox.state import State, render
from tests.support.faulty_sandbox import Plan

#: Where an item stands changes with every insertion above it, without an edit.
POSITION = ["row_number", "sequence_id"]


@dataclass(frozen=True)
class Edit:
    """One edit: before which request, what, and where (indices wrap around)."""

    before: int
    operation: str
    where: int
    to: int = 0

    def apply(self, plan: Plan) -> None:
        size = len(plan)
        if self.operation == "insert":
            plan.insert(self.where % (size + 1))
        elif size and self.operation == "move":
            plan.move(self.where % size, self.to % size)
        elif size:
            getattr(plan, self.operation)(self.where % size)


def follow(schedule: Sequence[Edit], plan: Plan, number: int) -> None:
    """Do the edits that stand before the n-th request."""
    for edit in schedule:
        if edit.before == number:
            edit.apply(plan)


def without_position(rows: pa.Table) -> pa.Table:
    """Items by id, without where they stood."""
    return rows.drop_columns(POSITION).sort_by("id").combine_chunks()


def table_of(state: State) -> pa.Table:
    """What a state of a plan looks like in the lake."""
    body = render({"items": state.items(), "totalCount": len(state)})
    return pa.Table.from_batches([decode_page(body).rows])


def held(history: Sequence[State], rows: pa.Table, version: PlanVersion) -> bool:
    """Whether the plan had, in one of the states, these items and this version."""
    wanted = without_position(rows)
    for state in history:
        if len(state) == version.total_count == rows.num_rows:
            table = table_of(state)
            newest = max(table["last_updated"].to_pylist(), default=None)
            if newest == version.last_updated and without_position(table).equals(wanted):
                return True
    return False
