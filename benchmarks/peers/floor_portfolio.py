"""The floor, plan after plan in one process.

Usage: floor_portfolio.py URL OUT PLAN...
"""

import sys
from pathlib import Path

import floor


def main(url: str, out: str, *plans: str) -> None:
    for plan in plans:
        folder = Path(out) / plan
        folder.mkdir()
        floor.main(url, plan, str(folder))


if __name__ == "__main__":
    main(*sys.argv[1:])
