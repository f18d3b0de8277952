"""The memory of an export into a table format."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lake.formats.conftest import FORMATS
from tests.support.memory import PEAK

if TYPE_CHECKING:
    from tests.lake.formats.lakes import Lake
    from tests.support.faulty_sandbox import Sandbox

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
#: Exports the plan `long` under two labels, and says how many MB of memory that took at most.
PROGRAM = """
import sys
from pathlib import Path
from airflow_provider_achieveit.api import AchieveItClient, ClientSettings
from airflow_provider_achieveit.lake import export_plans
from tests.lake.formats.conftest import FORMATS
kind, root, url, key = sys.argv[1:]
with AchieveItClient(key, ClientSettings(base_url=url)) as client:
    for label in ("one", "two"):
        assert export_plans(client, FORMATS[kind](Path(root)).sink(), ["long"], snapshot=label).manifests
print(peak())
"""


def test_memory_does_not_grow_with_a_plan(lake: Lake, sandbox: Sandbox) -> None:
    """Seven times the items, of which a snapshot before is read back, take little more."""
    kind = next(kind for kind, made in FORMATS.items() if type(lake) is made)
    runs = itertools.count()

    def peak(items: int) -> int:
        sandbox.put_plan("long", items)
        done = subprocess.run(
            [sys.executable, "-c", PEAK + PROGRAM, kind, lake.root / f"{next(runs)}", sandbox.url, sandbox.key],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout)

    small = peak(20_000)
    # On a busy machine threads overlap more, and one run takes 30 MB more than the next; growth would be in each.
    larger = []
    while not larger or (min(larger) >= small + 40 and len(larger) < 3):
        larger.append(peak(150_000))
    assert min(larger) < small + 40, (small, larger)
