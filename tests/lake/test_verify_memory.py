"""Verification of a lake with many snapshots."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plans
from tests.lake.stores import LocalStores
from tests.support.memory import PEAK

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.support.faulty_sandbox import Sandbox


pytestmark = pytest.mark.slow


def test_memory_does_not_grow_with_the_number_of_snapshots(
    tmp_path: Path, client: AchieveItClient, sandbox: Sandbox
) -> None:
    """2,000 of them take as much as 20, but for their keys."""
    lake = LocalStores(tmp_path / "lake")
    sandbox.put_plan("p", 20)
    export_plans(client, lake.sink(), ["p"], snapshot="0000", options=ExportOptions(changes=False))
    template, items = lake.objects()[layout.manifest_key("p", "0000")], layout.table_key("plan_items", "p", "0000")
    manifest = json.loads(template)
    program = """
import sys
from airflow_provider_achieveit.lake import ParquetSink, Store
from airflow_provider_achieveit.lake.verify import verify
from fsspec.implementations.local import LocalFileSystem
print(len(list(verify(ParquetSink(Store(LocalFileSystem(), sys.argv[1]))))))
print(peak())
"""
    peaks = []
    for first, last in ((1, 20), (20, 2_000)):
        for number in range(first, last):
            label, before = f"{number:04}", f"{number - 1:04}"
            previous = {"snapshot": before, "content_hash": manifest["content_hash"], "rows": manifest["rows"]}
            body = json.loads(template.replace(b"0000", label.encode()))
            lake.put(layout.manifest_key("p", label), json.dumps({**body, "previous": previous}).encode())
            copy = lake.root / layout.table_key("plan_items", "p", label)
            copy.parent.mkdir(parents=True)
            os.link(lake.root / items, copy)
        done = subprocess.run([sys.executable, "-c", PEAK + program, lake.root], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        findings, peak = map(int, done.stdout.split())
        assert findings == 0
        peaks.append(peak)
    assert peaks[1] < peaks[0] + 60, peaks
