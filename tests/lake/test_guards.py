"""`on_drift="auto"`: a value that does not fit is kept and named, a column of which no value fits fails the export."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.lake.errors import AchieveItDriftError, AchieveItGuardError
from airflow_provider_achieveit.lake.guards import check_guards
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plan
from airflow_provider_achieveit.lake.read.snapshot import Snapshot
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from airflow_provider_achieveit.lake.table_file import TableFile
from tests.lake.items import item

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.support.faulty_sandbox import Sandbox

#: For each field: a value that fits it, and one that does not.
VALUES: dict[str, tuple[Any, Any]] = {
    "target": ("12", "12 %"),
    "start": ("2026-01-01", "01/02/2026"),
    "status": (3, "three"),
    "isOrphan": (True, "yes"),
    "name": ("A goal", 7),
    "members": ([], "Jo"),
    "members[]": ([{"id": "a"}], ["Jo"]),
    "tags[].name": ([{"name": "x"}], [{"name": 7}]),
    "advancedMetricGoals[].metricBucketValue": ([{"metricBucketValue": 1}], [{"metricBucketValue": "1"}]),
    "checklists[].items[].doneOn": ([{"items": [{"doneOn": "2026-01-01"}]}], [{"items": [{"doneOn": "1/2/26"}]}]),
}


def export(client: AchieveItClient, lake: Path, on_drift: str = "auto") -> dict[str, Any]:
    """Export the plan."""
    sink = ParquetSink(Store(LocalFileSystem(), str(lake)))
    options = ExportOptions(on_drift=on_drift)  # type: ignore[arg-type]  # one of the three
    manifest = export_plan(client, sink, "p", snapshot="s", options=options)
    assert manifest is not None
    return manifest


@pytest.fixture
def put(sandbox: Sandbox) -> Any:
    """Makes `p` a plan of items that have one field beside the least."""

    def put(path: str, values: list[Any]) -> None:
        field = path.partition("[")[0]
        plan = sandbox.put_plan("p", len(values))
        for position, value in enumerate(values):
            item_id = f"item-{position}"
            plan.edit(position, id=item_id)
            plan.replace(item_id, json.dumps(item(id=item_id, **{field: value})).encode())

    return put


@pytest.mark.parametrize("path", VALUES)
def test_ten_values_of_which_none_fits_fail(put: Any, client: AchieveItClient, tmp_path: Path, path: str) -> None:
    """Also of a field within lists; nulls are no values; the error names the field and the way out."""
    put(path, [VALUES[path][1]] * 10 + [None] * 3)
    with pytest.raises(AchieveItDriftError, match="no value of these columns fits: ") as caught:
        export(client, tmp_path)
    assert f"{path} (10)" in str(caught.value)
    assert 'on_drift="rescue"' in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", VALUES)
def test_one_value_that_fits_or_fewer_than_ten_that_do_not_are_kept(
    put: Any, client: AchieveItClient, tmp_path: Path, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They are in `_rescued_data`, counted, and named in one warning."""
    good, bad = VALUES[path]
    put(path, [bad] * 9)
    assert export(client, tmp_path)["rescued_values"] == 9
    put(path, [bad] * 20 + [good])
    manifest = export(client, tmp_path)
    assert manifest["rescued_values"] == 20
    assert f"{path} (20)" in caplog.text
    table = pq.read_table(tmp_path / manifest["files"][0]["path"].removeprefix("file://"))
    assert table["_rescued_data"].null_count == 1


def test_fields_that_the_schema_does_not_know_never_fail_by_default(
    put: Any, client: AchieveItClient, tmp_path: Path
) -> None:
    """A new field of the API is not a column whose values got lost."""
    put("brandNew", [1] * 50)
    assert export(client, tmp_path)["rescued_values"] == 50
    put("tags", [[{"colour": "red"}]] * 50)
    assert export(client, tmp_path)["rescued_values"] == 50


def test_rescue_never_fails_and_fail_always_does(put: Any, client: AchieveItClient, tmp_path: Path) -> None:
    """Whoever knows what their API sends can say so."""
    put("start", ["soon"] * 50)
    assert export(client, tmp_path, on_drift="rescue")["rescued_values"] == 50
    put("start", ["soon", "2026-01-01"])
    with pytest.raises(AchieveItDriftError, match=r"values do not fit the schema: start \(1\)"):
        export(client, tmp_path, on_drift="fail")


@pytest.mark.parametrize("on_drift", ["auto", "fail", "rescue"])
def test_a_plan_in_which_every_value_fits_lands_without_a_word(
    put: Any, client: AchieveItClient, tmp_path: Path, on_drift: str, caplog: pytest.LogCaptureFixture
) -> None:
    """However strict the guard is."""
    put("start", ["2026-01-01"] * 3)
    assert export(client, tmp_path, on_drift)["rescued_values"] == 0
    assert caplog.text == ""


def test_a_message_names_the_most_frequent_of_many_paths(
    put: Any, client: AchieveItClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Twenty of them and how many more there are: made-up keys can be many, and long."""
    objects = [{"name": "x", **{f"key{number:02}": 1 for number in range(21 - row)}} for row in range(2)]
    put("tags", [[value] for value in objects])
    export(client, tmp_path)
    assert ": tags[].key00 (2), " in caplog.text
    assert caplog.text.rstrip().endswith(", tags[].key19 (2) and 1 more")
    caplog.clear()
    put("tags", [[{f"key{number:02}": 1 for number in range(19)} | {"x" * 200: 1}]])
    export(client, tmp_path)
    assert f"tags[].{'x' * 93} (1)" in caplog.text
    assert "more" not in caplog.text


def snapshot_of(directory: Path, rows: pa.Table, rescued: dict[str, int], group: int = 100) -> Snapshot:
    """A snapshot of a file of these rows, in row groups of a few."""
    path = directory / "plan_items.parquet"
    pq.write_table(rows, path, row_group_size=group)
    now = datetime.now(UTC)
    return Snapshot(
        TableFile("plan_items", path, rows.num_rows), PlanVersion(rows.num_rows, now), "A plan", rescued, now
    )


@pytest.mark.parametrize("place", [0, 13, 29])
def test_a_value_that_fits_counts_wherever_it_is(tmp_path: Path, place: int) -> None:
    """The whole file is looked at, row group by row group."""
    texts = ["2026-01-01T00:00:00" if row == place else None for row in range(30)]
    rows = pa.table({"id": [str(row) for row in range(30)], "start": pa.array(texts).cast(pa.timestamp("us"))})
    check_guards(snapshot_of(tmp_path, rows, {"start": 29}, group=5), None, ExportOptions(), "p")
    nothing = rows.set_column(1, "start", pa.nulls(30, pa.timestamp("us")))
    with pytest.raises(AchieveItDriftError, match=r"start \(29\)"):
        check_guards(snapshot_of(tmp_path, nothing, {"start": 29}, group=5), None, ExportOptions(), "p")


@pytest.mark.parametrize(("max_shrink", "fewest"), [(0.29, 71), (0.3, 70), (0.57, 43), (0.0, 100), (1.0, 0)])
def test_max_shrink_is_exact_whatever_binary_fractions_make_of_it(
    tmp_path: Path, max_shrink: float, fewest: int
) -> None:
    """0.29 of 100 is 29, although 100 * 0.29 is less than that to a computer."""
    latest: Any = {"rows": 100, "snapshot": "before"}
    for rows in range(fewest, max(fewest - 2, -1), -1):
        snapshot = snapshot_of(tmp_path, pa.table({"id": [str(row) for row in range(rows)]}), {})
        if rows == fewest:
            check_guards(snapshot, latest, ExportOptions(max_shrink=max_shrink), "p")
        else:
            with pytest.raises(AchieveItGuardError, match=f"{100 - rows} of the 100 rows of snapshot before are gone"):
                check_guards(snapshot, latest, ExportOptions(max_shrink=max_shrink), "p")
