"""Exports of one plan at the same time, step by step in every order that Hypothesis comes up with."""

from __future__ import annotations

import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_provider_achieveit.lake.errors import AchieveItContendedError, AchieveItOutdatedError, AchieveItStoreError
from airflow_provider_achieveit.lake.layout import latest_key, manifest_key, table_key
from airflow_provider_achieveit.lake.sinks.objects import Store
from tests.lake.support import ContendedStore
from tests.lake.turns import MEMORY, START, Export, Pauses, TurningStore, Turns, is_whole

LATEST = latest_key("p")


def seconds_to(moment: datetime) -> int:
    """How an export says that it has read the plan at that moment."""
    return round((moment - START).total_seconds())


def publish_in_turn(root: Path, turns: Turns, export: Export) -> str:
    """Publish when it is this export's turn; how that ended."""
    try:
        export.publish(TurningStore(root, turns, export.name), Pauses(turns, export.name))
    except AchieveItStoreError as error:
        return type(error).__name__
    finally:
        turns.leave()
    return "landed"


@st.composite
def _exports(draw: st.DrawFn) -> list[Export]:
    """Two or three exports, of one or two labels and tables, none of them read at the same time."""
    count = draw(st.integers(2, 3))
    reads = draw(st.permutations(range(1, count + 1)))
    labels = draw(st.lists(st.sampled_from(["now", "then"]), min_size=count, max_size=count))
    tables = draw(st.sampled_from([("plan_items",), ("plan_items", "plan_item_tags")]))
    return [Export("abc"[number], labels[number], reads[number], tables) for number in range(count)]


#: Who goes on, for a few steps each: faults need one export to go far while another one stands still.
_ORDERS = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12)), max_size=8).map(
    lambda stretches: [who for who, steps in stretches for _ in range(steps)]
)


@settings(max_examples=300, deadline=None, database=None, derandomize=True)
@given(order=_ORDERS, exports=_exports(), before=st.booleans())
@example(
    # The older one looks while the newer one is between its table and its manifest, and goes on when that has ended.
    order=[0] * 7 + [1] * 4 + [0] * 6,
    exports=[Export("a", "now", 2), Export("b", "now", 1)],
    before=False,
)
def test_the_latest_read_wins_whole_in_every_order(order: list[int], exports: list[Export], before: bool) -> None:
    """Each label ends with the files and the manifest of the latest read, and latest.json is the latest of all.

    An export that has read earlier either landed first, or is told that it is outdated.
    """
    turns = Turns(order, len(exports))
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory, ThreadPoolExecutor(len(exports)) as threads:
        root = Path(directory)
        if before:
            Export("before", "now", 0).publish(Store(LocalFileSystem(), directory), Pauses())
        outcomes = list(threads.map(lambda export: publish_in_turn(root, turns, export), exports))
        for label in {export.label for export in exports}:
            of_label = [export for export in exports if export.label == label]
            latest = max(of_label, key=lambda export: export.read)
            manifest = json.loads((root / manifest_key("p", label)).read_bytes())
            assert manifest["plan_name"] == latest.name
            assert is_whole(root, manifest)
            assert outcomes[exports.index(latest)] == "landed"
        assert set(outcomes) <= {"landed", "AchieveItOutdatedError"}
        newest = max(exports, key=lambda export: export.read)
        assert (root / LATEST).read_bytes() == (root / manifest_key("p", newest.label)).read_bytes()
        assert not list(root.glob(".*"))


def test_an_older_read_does_not_replace_a_newer_snapshot(tmp_path: Path) -> None:
    """Nothing changes, and the error says what has landed."""
    store = Store(LocalFileSystem(), str(tmp_path))
    newer = Export("newer", "now", 2).publish(store, Pauses())
    with pytest.raises(AchieveItOutdatedError, match=r"was read at 2026-11-23T10:00:01.*10:00:02"):
        Export("older", "now", 1).publish(store, Pauses())
    assert is_whole(tmp_path, newer)
    assert json.loads((tmp_path / LATEST).read_bytes()) == newer


def test_an_older_read_of_another_label_lands_and_is_not_the_latest(tmp_path: Path) -> None:
    """Whoever asks what is in the lake gets the newest state."""
    store = Store(LocalFileSystem(), str(tmp_path))
    newer = Export("newer", "now", 2).publish(store, Pauses())
    older = Export("older", "then", 1).publish(store, Pauses())
    assert is_whole(tmp_path, older)
    assert json.loads((tmp_path / LATEST).read_bytes()) == newer


@pytest.mark.parametrize("ahead", [timedelta(minutes=6), timedelta(days=3660)], ids=["minutes", "years"])
def test_a_clock_that_is_ahead_does_not_keep_everybody_else_out(tmp_path: Path, ahead: timedelta) -> None:
    """A snapshot that claims to have been read in the future is replaced."""
    store = Store(LocalFileSystem(), str(tmp_path))
    Export("wrong clock", "now", seconds_to(datetime.now(UTC) + ahead)).publish(store, Pauses())
    landed = Export("right clock", "now", 1).publish(store, Pauses())
    assert json.loads((tmp_path / LATEST).read_bytes()) == landed


def test_clocks_may_differ_by_minutes(tmp_path: Path) -> None:
    """What another machine has read just now is later than what this one has read a while ago."""
    store = Store(LocalFileSystem(), str(tmp_path))
    Export("a bit ahead", "now", seconds_to(datetime.now(UTC) + timedelta(minutes=4))).publish(store, Pauses())
    with pytest.raises(AchieveItOutdatedError):
        Export("right clock", "now", 1).publish(store, Pauses())


def test_a_killed_exports_table_is_waited_for_and_then_replaced(tmp_path: Path) -> None:
    """A table without its manifest may be about to get one; pauses become longer, and differ between exports."""
    pauses = [Pauses(), Pauses()]
    for number, each in enumerate(pauses):
        store = Store(LocalFileSystem(), str(tmp_path / str(number)))
        Export("before", "now", 0).publish(store, Pauses())
        file = tmp_path / str(number) / table_key("plan_items", "p", "now")
        file.write_text("of an export that was killed before its manifest")
        landed = Export("next", "now", 1).publish(store, each)
        assert is_whole(tmp_path / str(number), landed)
        assert len(each.seconds) == 3
        assert 0 < each.seconds[0] < each.seconds[1] < each.seconds[2]
    assert pauses[0].seconds != pauses[1].seconds


def test_an_old_leftover_is_replaced_at_once(tmp_path: Path) -> None:
    """Whoever wrote it a minute ago or earlier is not about to write its manifest."""
    store = Store(LocalFileSystem(), str(tmp_path))
    file = tmp_path / table_key("plan_items", "p", "now")
    file.parent.mkdir(parents=True)
    file.write_text("of a first export that was killed")
    os.utime(file, (1e9, 1e9))
    pauses = Pauses()
    Export("next", "now", 1).publish(store, pauses)
    assert pauses.seconds == []


@pytest.mark.parametrize("alike", [False, True])
def test_who_finds_another_manifest_each_time_says_so(tmp_path: Path, alike: bool) -> None:
    """Four times, be it another one each time or the same."""
    pauses = Pauses()
    store = ContendedStore(LocalFileSystem(), str(tmp_path))
    store.alike = alike
    with pytest.raises(AchieveItContendedError, match="was overwritten by another export 4 times"):
        Export("a", "now", 1).publish(store, pauses)
    assert len(pauses.seconds) == 4


class LossyStore(Store):
    """A store that returns other bytes than were written."""

    def sha256(self, key: str) -> str | None:
        return "0" * 64


def test_a_store_that_returns_other_bytes_is_not_called_another_export(tmp_path: Path) -> None:
    """Nobody looks for a second task where there is none."""
    with pytest.raises(AchieveItStoreError, match="are read back otherwise") as caught:
        Export("a", "now", 1).publish(LossyStore(LocalFileSystem(), str(tmp_path)), Pauses())
    assert not isinstance(caught.value, AchieveItContendedError)


def test_tables_that_are_no_longer_asked_for_are_removed(tmp_path: Path) -> None:
    """The same label with other options leaves nothing behind, and other labels keep what they have."""
    store = Store(LocalFileSystem(), str(tmp_path))
    both = ("plan_items", "plan_item_tags")
    Export("all", "now", 1, both).publish(store, Pauses())
    Export("all", "then", 1, both).publish(store, Pauses())
    Export("one", "now", 2).publish(store, Pauses())
    tags = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("plan_item_tags.parquet")}
    assert tags == {table_key("plan_item_tags", "p", "then")}
