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
from datetime import UTC, datetime

import against_peers
import changes
import portfolio
import year
from environments import BUILD, HERE, PROJECT, python_of

PARTS = {"peers": against_peers.run, "portfolio": portfolio.run, "changes": changes.run, "year": year.run}


def main() -> None:
    """Run the parts that are asked for, and write results, tables and plots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: small plans, one round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds (default: %(default)s)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    rounds = 1 if options.quick else options.rounds
    folder = BUILD / "quick" if options.quick else PROJECT / "docs"
    (folder / "benchmarks").mkdir(parents=True, exist_ok=True)
    for part in options.parts or PARTS:
        results = {
            "date": f"{datetime.now(UTC):%Y-%m-%d}",
            "command": f'make bench ARGS="{part} --rounds {rounds}"',
            "rounds": rounds,
            "machine": {"cpus": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"},
            **PARTS[part](rounds, options.quick),
        }
        (folder / "benchmarks" / f"{part}.json").write_text(json.dumps(results, indent=1) + "\n")
    subprocess.run([python_of("plots"), HERE / "report.py", folder], check=True)
    print(f"Written: {folder / 'benchmarks.md'}")


if __name__ == "__main__":
    sys.exit(main())
