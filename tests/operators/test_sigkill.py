"""SIGKILL at random moments: whatever a reader finds is whole, and the next export repairs and sweeps."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.lake.layout import FORMAT_KEY, PLAN_ITEMS_TABLE, latest_key, manifest_key, table_key

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    from tests.lake.stores import Stores
    from tests.support.faulty_sandbox import Sandbox

    Export = Callable[..., AchieveItExportOperator]

pytestmark = pytest.mark.slow

KILLS = 30
DATA = table_key(PLAN_ITEMS_TABLE, "p1", "now")
CHANGES = table_key("plan_item_changes", "p1", "now")
MANIFEST = manifest_key("p1", "now")
LATEST = latest_key("p1")


def digest(body: bytes) -> str:
    """Return the SHA-256 of a body, in hex."""
    return hashlib.sha256(body).hexdigest()


class Worker:
    """A process whose children export the plan until they are killed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def kill_after(self, seconds: float) -> None:
        """Let a child export until it is killed."""
        assert self._answer(str(seconds)) == ["killed"]

    def export_once(self) -> float:
        """Let a child export once, and return the seconds that it lived."""
        _, _, status, _, seconds = self._answer("")
        assert status == "0"
        return float(seconds)

    def _answer(self, line: str) -> list[str]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        for answer in self._process.stdout:  # Airflow logs there as well
            if answer.startswith("child "):
                return answer.split()[1:]
        raise AssertionError("the worker ended")


@pytest.mark.parametrize("kind", ["lake", "s3"])
def test_a_killed_export_leaves_whole_objects_and_the_next_one_repairs(
    kind: str,
    request: pytest.FixtureRequest,
    export: Export,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """30 kills of each kind: no partial object is ever visible, and what an earlier label holds never changes."""
    stores: Stores = request.getfixturevalue(kind)
    conn_id = "aws_lake" if kind == "s3" else None
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    target = {"destination": stores.uri, "destination_conn_id": conn_id}
    export(snapshot="earlier", **target).execute({})
    export(**target).execute({})
    earlier = {key: body for key, body in stores.objects().items() if "=earlier" in key}
    script = str(Path(__file__).with_name("killable.py"))
    command = [sys.executable, script, sandbox.url, stores.uri, conn_id or "-"]
    moments = random.Random(kind)
    if kind == "s3":
        stores.before_write = lambda _: time.sleep(0.2)  # so that many kills fall between two of the three writes
    published = torn = 0
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        worker = Worker(process)
        for number in range(KILLS):
            if number % 10 == 0:
                longest = 1.3 * worker.export_once()  # again and again: machines are not always equally fast
                tenths = moments.sample(range(10), 10)  # at random, but some in every part of an export
            before = stores.objects()[DATA]
            worker.kill_after(longest * (tenths.pop() + moments.random()) / 10)
            objects = {key: body for key, body in stores.objects().items() if not key.startswith(".")}
            assert set(objects) == {*earlier, DATA, CHANGES, MANIFEST, LATEST, FORMAT_KEY}
            assert {key: objects[key] for key in earlier} == earlier
            assert pq.read_table(io.BytesIO(objects[DATA])).num_rows == 25
            manifest, latest = json.loads(objects[MANIFEST]), json.loads(objects[LATEST])
            assert manifest["rows"] == latest["rows"] == 25
            published += objects[DATA] != before
            torn += digest(objects[DATA]) != manifest["content_hash"] or manifest != latest
    assert published, "some of the killed exports got as far as publishing"
    assert torn or kind != "s3", "some kills fell between two writes, which is what has to be repaired"
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    manifest = export(**target).execute({})
    objects = stores.objects()
    assert set(objects) == {*earlier, DATA, CHANGES, MANIFEST, LATEST, FORMAT_KEY}, "no leftovers"
    assert json.loads(objects[MANIFEST]) == json.loads(objects[LATEST]) == manifest
    assert digest(objects[DATA]) == manifest["content_hash"]
    assert list((tmp_path / "tmp").iterdir()) == []
