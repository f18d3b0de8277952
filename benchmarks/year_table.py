"""The table of a year in each table format, for `docs/table-formats.md`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from year import ENGINES, FORMATS


def year_table(results: dict[str, Any]) -> str:
    """What a year takes in each table format, and what questions take."""
    runs = results["runs"]
    found = {(run["what"], run.get("format"), run.get("engine")): run for run in runs}
    days = found["portfolio", None, None]["days"]
    lines = [
        f"{results['plans']} plans of {results['items']} items, {results['days']} days.",
        "",
        "| a year of `plan_items` | plain files | Delta Lake | Iceberg |",
        "|---|---|---|---|",
        _row("data files", (f"{found['build', each, None]['files']:,}" for each in FORMATS)),
        _row("MB on disk", (f"{found['build', each, None]['bytes'] / 1e6:,.0f}" for each in FORMATS)),
        _row("CPU s of the last day's export", (f"{days[each][-1]:.1f}" for each in FORMATS)),
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
    return f"{run['wall']:.1f} s, {run['cpu']:.1f} s CPU, {run['peak_mb']:,.0f} MB"
