"""A year of 200 plans in each table format, asked by three engines: `make bench ARGS=--year` runs this alone.

Every build and every question is a process of its own. The results are in `docs/benchmarks/year.json`, and the tables in
`docs/table-formats.md`.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import measure
from environments import BUILD, HERE, PROJECT, python_of
from server import serve

FORMATS = ("parquet", "delta", "iceberg")
ENGINES = ("duckdb", "polars", "pyarrow")
QUESTIONS = ("count", "day", "plan")
PLANS, ITEMS = 200, 30
PORTFOLIO_DAYS = 3
#: Seconds after which a question is given up.
PATIENCE = 600


class Year:
    """All that is measured of a year.

    Args:
        python: The interpreter of the environment.
        days: Number of days.
    """

    def __init__(self, python: Path, days: int) -> None:
        self._python = python
        self._days = days
        self._root = BUILD / "year"
        self._environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}

    def run(self) -> Iterator[dict[str, Any]]:
        shutil.rmtree(self._root, ignore_errors=True)
        self._root.mkdir(parents=True)
        plans = [f"bench-{number:03}" for number in range(PLANS)]
        with serve(dict.fromkeys(plans, ITEMS)) as server:
            yield {"what": "portfolio", **self._program("portfolio.py", server.url, self._root, PORTFOLIO_DAYS)}
        for table_format in FORMATS:
            root = self._root / table_format
            built = self._program("year_lake.py", "build", table_format, self._root / "day", root, self._days)
            yield {"what": "build", "format": table_format, **built}
            for question in QUESTIONS:
                for engine in ENGINES:
                    asked = self._program("year_lake.py", "ask", table_format, engine, question, root)
                    yield {"what": question, "format": table_format, "engine": engine, **asked}

    def _program(self, script: str, *arguments: object) -> dict[str, Any]:
        """Run a program; return what it took, and what it prints in its last line."""
        log = self._root / "last.log"
        command = ["timeout", str(PATIENCE * 6 if arguments[0] != "ask" else PATIENCE), self._python, HERE / script]
        try:
            cost = measure.run([*command, *map(str, arguments)], self._environment, log)
        except RuntimeError as error:
            if " ended with 124" in str(error):
                return {"gave_up": PATIENCE}
            raise
        return {**asdict(cost), **json.loads(log.read_text().splitlines()[-1])}


def main(days: int, *, quick: bool) -> None:
    """Measure, and write results and tables."""
    runs = []
    for run in Year(python_of("tables"), days).run():
        runs.append(run)
        print(json.dumps(run), flush=True)
    results = {"date": f"{datetime.now(UTC):%Y-%m-%d}", "plans": PLANS, "items": ITEMS, "days": days, "runs": runs}
    folder = BUILD / "quick" if quick else PROJECT / "docs"
    (folder / "benchmarks").mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks" / "year.json").write_text(json.dumps(results, indent=1) + "\n")
    page = PROJECT / "docs" / "table-formats.md"
    before, begin, rest = page.read_text().partition("<!-- year: written by make bench ARGS=--year -->\n")
    _, end, after = rest.partition("<!-- end of year -->")
    (folder / page.name).write_text(f"{before}{begin}{tables(results)}{end}{after}")
    print(f"Written: {folder / page.name}")


def tables(results: dict[str, Any]) -> str:
    """The tables of the page."""
    runs = results["runs"]
    found = {(run["what"], run.get("format"), run.get("engine")): run for run in runs}
    days = found["portfolio", None, None]["days"]
    day = {each: statistics.median(days[each][1:]) for each in FORMATS}
    lines = [
        f"\nMeasured on {results['date']}: {results['plans']} plans of {results['items']} items on {results['days']} days.",
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
