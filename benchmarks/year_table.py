"""The table of a year in each table format, for `docs/table-formats.md`."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

#: What `year.py` builds and asks.
FORMATS = ("parquet", "delta", "iceberg")
#: Of the plan whose export is measured for its memory; the second has a snapshot before.
LABELS = ("first", "second")
ENGINES = ("duckdb", "polars", "pyarrow", "spark")
#: Delta Lake's own library for Spark is in Maven's repository only, and a benchmark here installs from the package index.
NOT_ASKED = {("delta", "spark")}


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
        "own libraries. Spark is version 3.5 with one thread, its start included; Delta Lake's library for it was not there.\n",
        "| `plan_items` | plain files | Delta Lake | Iceberg |",
        "|---|---|---|---|",
        _row("data files", (f"{found['build', each, None]['files']:,}" for each in FORMATS)),
        _row("MB on disk", (f"{found['build', each, None]['bytes'] / 1e6:,.0f}" for each in FORMATS)),
        _row("CPU s of a day's export, all tables", (f"{day[each]:.1f}" for each in FORMATS)),
        _row("as a multiple of plain files", (f"{day[each] / day['parquet']:.2f}" for each in FORMATS)),
    ]
    for label, name in zip(LABELS, ("a plan of 150,000 items", "with a snapshot before"), strict=True):
        peaks = {run["format"]: run["peak_mb"] for run in runs if run["what"] == "memory" and run["label"] == label}
        lines.append(_row(f"peak MB of an export, {name}", (f"{peaks[each]:,.0f}" for each in FORMATS)))
        lines.append(
            _row("as a multiple of plain files", (f"{peaks[each] / peaks['parquet']:.2f}" for each in FORMATS))
        )
    for question, name in (("count", "count the rows"), ("day", "one day, by status"), ("plan", "one plan, by day")):
        for engine in ENGINES:
            lines.append(_row(f"{name}: {engine}", (_asked(found.get((question, each, engine))) for each in FORMATS)))
    return "\n".join(lines) + "\n"


def _row(name: str, cells: Iterator[str]) -> str:
    return f"| {name} | {' | '.join(cells)} |"


def _asked(run: dict[str, Any] | None) -> str:
    if run is None:
        return "not asked"
    if "gave_up" in run:
        return f"over {run['gave_up']} s"
    return f"{run['cpu']:.1f} s, {run['peak_mb']:,.0f} MB"
