"""Measure: `make bench` for everything, `make bench ARGS="portfolio --rounds 2"` for a part; minutes each.

Results go to `docs/benchmarks/`, one file a part, and from there into `docs/benchmarks.md` and the README. With `--quick`
it is a smoke run into `build/bench/quick`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import against_peers
import changes
import portfolio
import year
from environments import BUILD, HERE, PROJECT, python_of

from airflow_provider_achieveit import __version__

PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "peers": lambda options: against_peers.run(options.rounds, options.quick),
    "portfolio": lambda options: portfolio.run(options.rounds, options.quick),
    "changes": lambda options: changes.run(options.rounds, options.quick),
    "year": lambda options: year.run(options.days),
}

#: The option by which a part becomes longer or shorter, where it is not the number of rounds.
_SIZE = {"year": "days"}


def main() -> None:
    """Run the parts that are asked for, and write results, tables and plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: small plans, one round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--days", type=int, default=365, help="days of the part `year` (default: %(default)s)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.quick:
        options.rounds, options.days = 1, 5
    folder = BUILD / "quick" if options.quick else PROJECT / "docs"
    (folder / "benchmarks").mkdir(parents=True, exist_ok=True)
    for part in options.parts or PARTS:
        results = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "provider_version": __version__,
            "command": f'make bench ARGS="{part} --{_SIZE.get(part, "rounds")} {getattr(options, _SIZE.get(part, "rounds"))}"',
            "rounds": options.rounds,
            "machine": {"cpus": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"},
            **PARTS[part](options),
        }
        (folder / "benchmarks" / f"{part}.json").write_text(json.dumps(results, indent=1) + "\n")
    subprocess.run([python_of("plots"), HERE / "report.py", folder], check=True)
    print(f"Written: {folder / 'benchmarks.md'}")


if __name__ == "__main__":
    sys.exit(main())
