"""`python -m airflow_provider_achieveit.verify`: what it prints, and how it exits."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_provider_achieveit.lake.layout import latest_key, manifest_key, table_key
from airflow_provider_achieveit.verify import main
from tests.lake.stores import LocalStores

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

    Export = Callable[..., AchieveItExportOperator]

ITEMS = table_key("plan_items", "p1", "now")
ADDED = "plan_items/plan=p1/snapshot=now/\x1b[2Jadded"


def test_a_whole_lake_exits_with_0(export: Export, lake: LocalStores, capsys: pytest.CaptureFixture[str]) -> None:
    """Notes do not count; the last line says what was looked at."""
    export().execute({})
    capsys.readouterr()
    assert main([lake.uri, "--grace", "0"]) == 0
    assert capsys.readouterr().out == f"1 snapshot in {lake.uri}: 0 problems, 0 orphans, 0 notes\n"
    export(snapshot="later").execute({})
    lake.put(ITEMS, None)
    lake.put(table_key("plan_item_changes", "p1", "now"), None)
    lake.put(manifest_key("p1", "now"), None)
    capsys.readouterr()
    assert main([lake.uri, "--grace", "0"]) == 0
    note, total = capsys.readouterr().out.splitlines()
    assert note == f"note     {manifest_key('p1', 'later')}  was compared with snapshot now, which is gone"
    assert total == f"1 snapshot in {lake.uri}: 0 problems, 0 orphans, 1 note"


def test_each_problem_and_each_orphan_is_a_line(
    export: Export, lake: LocalStores, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the key and what is wrong, whatever the key's characters would do to a terminal; young orphans are left."""
    export().execute({})
    lake.put(ITEMS, None)
    lake.put(ADDED, b"added")
    capsys.readouterr()
    assert main([lake.uri, "--grace", "0"]) == 1
    problem, orphan, _ = capsys.readouterr().out.splitlines()
    assert problem == f"problem  {ITEMS}  is not there"
    assert orphan.startswith(r"orphan   plan_items/plan=p1/snapshot=now/\x1b[2Jadded  belongs to no manifest")
    assert main([lake.uri]) == 1
    assert "orphan " not in capsys.readouterr().out


def test_an_orphan_alone_exits_with_1(export: Export, lake: LocalStores) -> None:
    """Some readers read every file of a folder."""
    export().execute({})
    lake.put(ADDED, b"added")
    assert main([lake.uri, "--grace", "0"]) == 1
    assert main([lake.uri]) == 0


@pytest.mark.parametrize("table_format", ["parquet", "delta"])
def test_json_is_all_that_stdout_has(export: Export, lake: LocalStores, table_format: str) -> None:
    """Started as a program, on either format, which the destination itself names."""
    export(table_format=table_format).execute({})
    lake.put(latest_key("p1"), None)
    command = [sys.executable, "-m", "airflow_provider_achieveit.verify", lake.uri, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout) == {
        "destination": lake.uri,
        "snapshots": 1,
        "findings": [{"kind": "problem", "key": latest_key("p1"), "what": "is not there"}],
    }


def test_where_it_cannot_look_it_exits_with_2(lake: LocalStores, capsys: pytest.CaptureFixture[str]) -> None:
    """No manifest, no such connection, no destination at all: the reason stands on stderr, and in the JSON."""
    assert main([lake.uri]) == 2
    assert "has no manifest" in capsys.readouterr().err
    assert main(["s3://bucket/lake", "--destination-conn-id", "none", "--json"]) == 2
    output = capsys.readouterr()
    assert "'none'" in json.loads(output.out)["error"]
    assert "'none'" in output.err
    assert main(["relative/lake"]) == 2
    with pytest.raises(SystemExit, match="2"):
        main([lake.uri, "--grace", "soon"])
