"""`make demo`: export the sandbox's plans with a real Airflow into ./lake, and show what landed."""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import duckdb
import pyarrow.dataset as ds

from airflow_provider_achieveit import __version__
from dev.demo_lake import LAKES, DemoLake
from dev.local_airflow import LocalAirflow
from dev.stage import ROOT, sandbox_and_airflow

DAG_ID = "achieveit_export"
HOME = ROOT / ".airflow" / "demo"
SHOWN_COLUMNS = ["sequence_id", "level", "name", "status_name", "due", "current_value", "target"]
SHOWN_ROWS = 6
QUERY = """\
select plan_name, status_name as status, count(*) as items, count(*) filter (is_past_due) as overdue
from {items}
semi join read_json('{folder}/_manifests/*/latest.json', hive_partitioning=false,
                    columns={{plan_id: 'varchar', snapshot: 'varchar'}}) using (plan_id, snapshot)
group by all order by overdue desc, items desc limit 5;"""
Row = tuple[str, ...]


def main() -> int:
    """Run the demo; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--table-format", choices=LAKES, default="parquet", help="(default: %(default)s)")
    lake = LAKES[parser.parse_args().table_format]()
    print(f"airflow-provider-achieveit {__version__}: plans from the AchieveIt API to {lake.title}\n")
    try:
        manifests = run_export(lake)
    except KeyboardInterrupt:
        print("\nInterrupted; everything that was started is stopped.")
        return 130
    except (RuntimeError, TimeoutError) as error:
        print(f"\n{error}\nAll logs are in {HOME.relative_to(ROOT)}")
        return 1
    if not manifests:
        return 1
    show_lake(lake, manifests)
    return 0


def run_export(lake: DemoLake) -> list[dict[str, Any]]:
    """Run the example DAG in a real Airflow against the sandbox.

    Returns:
        The manifests that its task returned; none if the run failed, which has then been reported.
    """
    with ExitStack() as stack:
        with step("Starting the sandbox API and Airflow (database migrated, then its four programs)"):
            sandbox, airflow = stack.enter_context(sandbox_and_airflow(HOME, environment=lake.environment()))
        stack.callback(print, "- Stopping them", flush=True)
        print(f"  sandbox {sandbox.url}, Airflow {airflow.api('GET', 'version')['version']} {airflow.url}")
        with step(f"Running the DAG {DAG_ID} for {len(sandbox.plans)} plans, in one task"):
            airflow.unpause(DAG_ID)
            # It is a daily DAG: the scheduler starts today's run at once.
            (run,) = airflow.wait_until(lambda: airflow.runs(DAG_ID), "the day's run")
            run_id = str(run["dag_run_id"])
            state = airflow.wait_for_run(DAG_ID, run_id)
        if state != "success":
            report_failure(airflow, run_id)
            return []
        manifests: list[dict[str, Any]] = airflow.xcom(DAG_ID, run_id, "export")
        return manifests


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is being done, and then how long it took."""
    print(f"- {what} ", end="", flush=True)
    began = time.monotonic()
    yield
    print(f"({time.monotonic() - began:.0f} s)", flush=True)


def report_failure(airflow: LocalAirflow, run_id: str) -> None:
    """Print the log of each task that failed."""
    for instance in airflow.task_instances(DAG_ID, run_id):
        if instance["state"] == "failed":
            print(f"\nThe task {instance['task_id']} (map index {instance['map_index']}) failed:")
            print(airflow.task_log(instance))
    print(f"\nThe run failed. All logs are in {HOME.relative_to(ROOT)}")


def show_lake(lake: DemoLake, manifests: list[dict[str, Any]]) -> None:
    """Print what an export left, and some rows of the largest plan, all as they lie in the lake."""
    print(f"\nWhat landed in ./{lake.folder.relative_to(ROOT)}\n")
    rows: list[Row] = [("object", "rows", "bytes", "plan version (items, newest update)")]
    for manifest in manifests:
        version = manifest["version"]
        updated = (version["last_updated"] or "-").replace("T", " ")[:19]
        landed = f"{version['total_count']:,}, {updated}"
        partition = f"plan={manifest['plan_id']}/snapshot={manifest['snapshot']}"
        for file in manifest["files"]:
            name = file["key"] if lake.has_files else f"{file['key']}: {partition}"
            count = lake.table(file["table"]).count_rows(filter=of(manifest))
            rows.append((name, f"{count:,}", f"{file['bytes']:,}", landed))
        marker = lake.folder / "_manifests" / f"{partition}.json"
        assert json.loads(marker.read_bytes()) == manifest, f"{marker} is not what the task returned"  # noqa: S101
        rows.append((str(marker.relative_to(lake.folder)), "", f"{marker.stat().st_size:,}", ""))
    print_table(rows, right={1, 2})

    largest = max(manifests, key=lambda manifest: int(manifest["rows"]))
    print(f'\nSome rows of "{largest["plan_name"]}", read back from {lake.title}\n')
    items = lake.table("plan_items")
    found = items.to_table(filter=of(largest)).sort_by("row_number").select(SHOWN_COLUMNS).slice(0, SHOWN_ROWS)
    print_table([tuple(SHOWN_COLUMNS), *(tuple(map(text, row.values())) for row in found.to_pylist())])
    print(f"\nIt has {len(items.schema)} columns. See the same in Airflow's UI: make airflow")
    show_query(lake)


def of(manifest: dict[str, Any]) -> ds.Expression:
    """Return the filter for the rows of a snapshot."""
    return (ds.field("plan") == manifest["plan_id"]) & (ds.field("snapshot") == manifest["snapshot"])


def show_query(lake: DemoLake) -> None:
    """Print a query of all plans, as it can be typed into DuckDB, and its answer."""
    folder = lake.folder.relative_to(ROOT)
    query = QUERY.format(items=lake.in_duckdb.format(folder=folder), folder=folder)
    shown = "\n".join([*lake.opened_by, query])
    print(f"\nA query of what has landed last, in DuckDB (more of them: docs/queries.md)\n\n{shown}\n")
    with duckdb.connect() as connection:
        connection.register("plan_items", lake.table("plan_items"))
        cursor = connection.execute(query.replace(f"'{folder}/", f"'{lake.folder}/"))
        head = tuple(column[0] for column in cursor.description or ())
        print_table([head, *(tuple(map(text, row)) for row in cursor.fetchall())], right={2, 3})


def text(value: Any) -> str:
    """Return a cell's text, short enough for a table."""
    if value is None:
        return "-"
    if hasattr(value, "date"):
        return str(value.date())
    if hasattr(value, "normalize"):
        return f"{value.normalize():f}"
    return str(value) if len(str(value)) <= 32 else f"{str(value)[:31]}…"


def print_table(rows: list[Row], right: set[int] = frozenset()) -> None:  # type: ignore[assignment]
    """Print rows, the first being the head, in aligned columns; those of `right` aligned to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows = [rows[0], tuple("-" * width for width in widths), *rows[1:]]
    for row in rows:
        cells = (
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        print(("  " + "  ".join(cells)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
