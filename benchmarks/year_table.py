"""The table of a year in each table format, for `docs/table-formats.md`."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

#: What `year.py` builds and asks.
FORMATS = ("parquet", "delta", "iceberg")
ENGINES = ("duckdb", "polars", "pyarrow")


def year_table(results: dict[str, Any]) -> str:
    """What a year takes in each table format, and what questions take."""
    runs = results["runs"]
    found = {(run["what"], run.get("format"), run.get("engine")): run for run in runs}
    days = found["portfolio", None, None]["days"]
    day = {each: statistics.median(days[each][1:]) for each in FORMATS}
    lines = [
        f"{results['plans']} plans of {results['items']} items on {results['days']} days.",
        "A question is a process of its own: its CPU seconds, imports included, and its peak memory. The machine was shared,",
        "so the time on the clock stands in `docs/benchmarks/year.json` only. DuckDB reads Delta Lake and Iceberg through their",
        "own libraries.\n",
        "| `plan_items` | plain files | Delta Lake | Iceberg |",
        "|---|---|---|---|",
        _row("data files", (f"{found['build', each, None]['files']:,}" for each in FORMATS)),
        _row("MB on disk", (f"{found['build', each, None]['bytes'] / 1e6:,.0f}" for each in FORMATS)),
        _row("CPU s of a day's export, all tables", (f"{day[each]:.1f}" for each in FORMATS)),
        _row("as a multiple of plain files", (f"{day[each] / day['parquet']:.2f}" for each in FORMATS)),
    ]
    for question, name in (("count", "count the rows"), ("day", "one day, by status"), ("plan", "one plan, by day")):
        for engine in ENGINES:
            lines.append(_row(f"{name}: {engine}", (_asked(found[question, each, engine]) for each in FORMATS)))
    return "\n".join(lines) + "\n"


def _row(name: str, cells: Iterator[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _asked(run: dict[str, Any]) -> str:
    if "gave_up" in run:
        return f"over {run['gave_up']} s"
    return f"{run['cpu']:.1f} s, {run['peak_mb']:,.0f} MB"
