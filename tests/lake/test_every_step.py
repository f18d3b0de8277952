"""Guarantee 2 at every single file operation of an export to local files: a fault, and SIGKILL."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import ANY

import pytest

from airflow_provider_achieveit.lake.layout import FORMAT_KEY, PLAN_ITEMS_TABLE, latest_key, manifest_key, table_key
from tests.lake.stores import LocalStores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.faulty_sandbox import Plan, Sandbox

pytestmark = pytest.mark.slow

DATA = table_key(PLAN_ITEMS_TABLE, "p", "now")
CHANGES = table_key("plan_item_changes", "p", "now")
MANIFEST = manifest_key("p", "now")
LATEST = latest_key("p")
OTHER = table_key(PLAN_ITEMS_TABLE, "p", "another")
OLDER = b"older than anybody remembers"


class Worker:
    """Exports in processes of their own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def export(self, line: str = "count") -> tuple[str, int]:
        """How the export ended, and how many steps it took."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        outcome, steps = json.loads(self._process.stdout.readline())
        return outcome, steps


@pytest.fixture
def lake(tmp_path: Path) -> LocalStores:
    """A destination that holds a snapshot of another label."""
    stores = LocalStores(tmp_path / "lake")
    stores.put(OTHER, OLDER)
    return stores


@pytest.fixture
def worker(sandbox: Sandbox, plan: Plan, lake: LocalStores, spools: Path) -> Iterator[Worker]:
    """Exports `plan` to `lake`."""
    script = str(Path(__file__).with_name("stepper.py"))
    command = [sys.executable, script, sandbox.url, sandbox.key, str(lake.root), str(spools)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Worker(process)
        assert process.stdin is not None
        process.stdin.close()


def assert_whole(lake: LocalStores, spools: Path) -> None:
    """Objects that match, the other label's, and nothing else anywhere."""
    objects = lake.objects()
    assert set(objects) == {DATA, CHANGES, MANIFEST, LATEST, OTHER, FORMAT_KEY}
    assert objects[OTHER] == OLDER
    assert objects[MANIFEST] == objects[LATEST]
    assert hashlib.sha256(objects[DATA]).hexdigest() == json.loads(objects[MANIFEST])["content_hash"]
    assert list(spools.iterdir()) == []


def swapped(lake: LocalStores, before: dict[str, bytes]) -> list[str]:
    """Which objects were replaced, in the order in which they are: no other one may have changed."""
    after = {key: body for key, body in lake.objects().items() if not key.startswith(".")}
    assert set(after) - {DATA, CHANGES, MANIFEST, LATEST, FORMAT_KEY} == {OTHER}
    changed = [key for key in (DATA, CHANGES, MANIFEST, LATEST, OTHER) if after.get(key) != before.get(key)]
    assert changed == [DATA, CHANGES, MANIFEST, LATEST][: len(changed)]
    return changed


@pytest.mark.parametrize("first", [True, False], ids=["first export", "later export"])
def test_sigkill_at_every_step_leaves_whole_objects_and_the_next_export_repairs_and_sweeps(
    plan: Plan, lake: LocalStores, spools: Path, worker: Worker, first: bool
) -> None:
    """However far it got, objects are replaced one by one, in order, whole; the next run removes what is left over."""
    reached = Counter[int]()
    for step in count(1):
        if first:
            shutil.rmtree(lake.root)
            lake.put(OTHER, OLDER)
        elif step == 1:
            assert worker.export() == ("exported", ANY)
        before = lake.objects()
        plan.edit()
        outcome, _ = worker.export(f"kill {step}")
        changed = swapped(lake, before)
        reached[len(changed)] += 1
        if outcome == "exported":
            break
        assert outcome == "killed"
        if DATA in changed:
            # A new file under an old manifest, or under none: whoever compares can tell.
            after = lake.objects()
            hashed = json.loads(after[MANIFEST])["content_hash"] if MANIFEST in after else None
            assert (MANIFEST in changed) == (hashlib.sha256(after[DATA]).hexdigest() == hashed)
        assert worker.export() == ("exported", ANY)
        assert_whole(lake, spools)
    assert_whole(lake, spools)
    assert set(reached) == {0, 1, 2, 3, 4}
    assert reached[0] > 15


def test_a_destination_without_locks_is_published_to_all_the_same(
    plan: Plan, lake: LocalStores, spools: Path, worker: Worker
) -> None:
    """Network filesystems may have none: what a killed run left there is then nobody's to remove, and stays."""
    leftover = f"{Path(DATA).parent}/.plan_items.parquet.0123abcd.achieveit-tmp"
    lake.put(leftover, b"half")
    assert worker.export("unlocked") == ("exported", ANY)
    assert lake.objects()[leftover] == b"half"
    lake.put(leftover, None)
    assert_whole(lake, spools)


def test_a_full_disk_at_every_step_leaves_whole_objects_and_no_temporary_file(
    plan: Plan, lake: LocalStores, spools: Path, worker: Worker
) -> None:
    """The error is raised at once, nothing is left over, and the next export repairs."""
    assert worker.export() == ("exported", ANY)
    failed = Counter[int]()
    for step in count(1):
        before = lake.objects()
        plan.edit()
        outcome, steps = worker.export(f"fail {step}")
        changed = swapped(lake, before)
        assert set(lake.objects()) == {DATA, CHANGES, MANIFEST, LATEST, OTHER, FORMAT_KEY}
        assert list(spools.iterdir()) == []
        if steps < step:
            break
        # That a directory can't be made is no matter where it is there already.
        assert (outcome == "exported") == (len(changed) == 4)
        assert outcome in ("exported", "AchieveItScratchError", "AchieveItStoreError")
        failed[len(changed)] += 1
        if changed:
            assert worker.export() == ("exported", ANY)
            assert_whole(lake, spools)
    assert_whole(lake, spools)
    assert set(failed) == {0, 1, 2, 3, 4}
    assert failed[0] > 5
