"""A year of 200 plans in each table format, asked by four engines: `make bench ARGS=year` runs this alone.

Every build and every question is a process of its own. The results are in `docs/benchmarks/year.json`, and the tables in
`docs/table-formats.md`. Spark is asked where Java 17 is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import measure
from environments import BUILD, HERE, python_of
from server import serve
from year_table import ENGINES, FORMATS, LABELS, NOT_ASKED

QUESTIONS = ("count", "day", "plan")
PLANS, ITEMS = 200, 30
EXPORTED_DAYS = 3
#: Items of the plan whose export is measured for its memory.
LONG = 150_000
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
        self._environment = measure.bare_environment()

    def run(self) -> Iterator[dict[str, Any]]:
        shutil.rmtree(self._root, ignore_errors=True)
        self._root.mkdir(parents=True)
        plans = [f"bench-{number:03}" for number in range(PLANS)]
        with serve(dict.fromkeys(plans, ITEMS)) as server:
            yield {"what": "portfolio", **self._program("table_day.py", server.url, self._root, EXPORTED_DAYS)}
        with serve({"long": LONG}) as server:
            for table_format in FORMATS:
                for label in LABELS:
                    exported = self._program("table_memory.py", server.url, self._root / "long", table_format, label)
                    yield {"what": "memory", "format": table_format, "label": label, **exported}
        for table_format in FORMATS:
            root = self._root / table_format
            built = self._program("year_lake.py", "build", table_format, self._root / "day", root, self._days)
            yield {"what": "build", "format": table_format, **built}
            for question in QUESTIONS:
                for engine in ENGINES:
                    if (table_format, engine) in NOT_ASKED or (engine == "spark" and not shutil.which("java")):
                        continue
                    asked = self._program("year_lake.py", "ask", table_format, engine, question, root)
                    yield {"what": question, "format": table_format, "engine": engine, **asked}

    def _program(self, script: str, *arguments: object) -> dict[str, Any]:
        """Run a program; return what it took, and what it prints in its last line, after which Spark may complain."""
        log = self._root / "last.log"
        command = ["timeout", str(PATIENCE * 6 if arguments[0] != "ask" else PATIENCE), self._python, HERE / script]
        try:
            cost = measure.run([*command, *map(str, arguments)], self._environment, log)
        except RuntimeError as error:
            if " ended with 124" in str(error):
                return {"gave_up": PATIENCE}
            raise
        said = [line for line in log.read_text().splitlines() if line.startswith("{")]
        return {**asdict(cost), **json.loads(said[-1])}


def run(days: int) -> dict[str, Any]:
    """Build so many days and ask, once: that takes long enough."""
    runs = []
    for done in Year(python_of("tables"), days).run():
        runs.append(done)
        print(json.dumps(done), flush=True)
    return {"plans": PLANS, "items": ITEMS, "days": days, "rounds": 1, "runs": runs}
