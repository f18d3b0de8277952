"""An export full of faults, by a server that echoes the key wherever it can: nothing that stays behind holds it."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit._compat import AirflowFailException
from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from tests.conftest import API_KEY
from tests.security.conftest import everything
from tests.support.faulty_sandbox import Sandbox

ECHO = json.dumps({"message": "bad request", "you sent": f"Authorization: API-KEY {API_KEY}"})
PASSING_FAULTS: list[dict[str, Any]] = [
    {"status": 429, "retry_after": 0, "body": ECHO},
    {"status": 500, "body": ECHO},
    {"status": 503, "retry_after": f"API-KEY {API_KEY}", "body": ECHO},
    {"body": f"<html>{ECHO}</html>", "content_type": "text/html"},
    {"body": ECHO, "truncate": 80},
    {"truncate": 300},
    {"reset": True},
    {"hang": 60},
]
LASTING_FAULTS: dict[str, dict[str, Any]] = {
    **{f"{status}": {"status": status, "body": ECHO} for status in (400, 401, 403, 404, 429, 500)},
    "redirect": {"redirect": f"https://example.com/?{API_KEY}"},
    "web page": {"body": f"<html>{ECHO}</html>"},
    "another shape": {"body": ECHO},
    "reset": {"reset": True},
}


@pytest.fixture
def export(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AchieveItExportOperator]:
    """Makes an operator whose connection allows for a budget of so many seconds."""

    def export(budget: float) -> AchieveItExportOperator:
        extra = {"page_size": 3, "max_concurrency": 2, "read_timeout": 0.5, "max_retry_seconds": budget}
        connection = {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))
        return AchieveItExportOperator(task_id="export", plan_id="p1", destination=(tmp_path / "lake").as_uri())

    return export


def test_a_lake_that_was_filled_through_faults_holds_no_key(
    export: Callable[..., AchieveItExportOperator],
    sandbox: Sandbox,
    log: Callable[[], str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Neither result, manifest, Parquet with values and footer, logs at the lowest level, nor the operator itself."""
    sandbox.plan("p1").patch(3, target="much", owner={"name": "x"})
    sandbox.script(*({"at": 2 * at, "fault": fault} for at, fault in enumerate(PASSING_FAULTS, start=1)))
    operator = export(budget=60)
    manifest = operator.execute({})
    assert manifest["rows"] == 25
    assert manifest["requests"] > len(PASSING_FAULTS) * 2
    assert manifest["rescued_values"] == 2
    assert API_KEY not in json.dumps(manifest)
    assert API_KEY not in f"{operator} {operator!r} {vars(operator)}"
    files = [path for path in (tmp_path / "lake").rglob("*") if path.is_file()]
    assert len(files) == 5
    assert not any(API_KEY.encode() in path.read_bytes() for path in files)
    tables = [path for path in files if path.suffix == ".parquet"]
    assert len(tables) == 2
    for parquet in tables:
        table = pq.read_table(parquet)  # decompressed
        assert API_KEY not in str(table.to_pylist())
        assert API_KEY not in f"{pq.read_metadata(parquet)} {table.schema.metadata} {pq.read_schema(parquet)}"
    assert "Trying again" in log()
    assert "urllib3" in log()
    assert API_KEY not in log()
    assert API_KEY not in "".join(capfd.readouterr())


@pytest.mark.parametrize("fault", LASTING_FAULTS.values(), ids=LASTING_FAULTS)
def test_a_failed_export_leaves_no_key(
    export: Callable[..., AchieveItExportOperator],
    sandbox: Sandbox,
    log: Callable[[], str],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    fault: dict[str, Any],
) -> None:
    """Neither error, with all that it was raised from, nor logs; and nothing has landed."""
    sandbox.script({"at": 3, "fault": fault}, *({"at": at, "fault": fault} for at in range(4, 30)))
    with pytest.raises((AirflowFailException, AchieveItError)) as caught:
        export(budget=0.6).execute({})
    assert API_KEY not in everything(caught.value)
    assert API_KEY.encode() not in pickle.dumps(caught.value)
    assert API_KEY not in log()
    assert API_KEY not in "".join(capfd.readouterr())
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
