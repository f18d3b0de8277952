"""Where the links lead, and that nothing fails for them. `tests/airflow` asks every Airflow for those of real tasks."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import gcsfs
import pytest
import s3fs
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.links.achieveit import AchieveItPlanLink, AchieveItSnapshotLink, console_url
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.faulty_sandbox import Sandbox


def s3(region: str, endpoint: str | None = None) -> Any:
    """A filesystem as a task has it; nothing is asked of any server."""
    keys = {"key": "someone", "secret": "secret"}
    return s3fs.S3FileSystem(
        **keys, endpoint_url=endpoint, client_kwargs={"region_name": region}, skip_instance_cache=True
    )


@pytest.mark.parametrize(
    ("region", "console"),
    [
        ("us-east-1", "console.aws.amazon.com"),
        ("eu-west-1", "console.aws.amazon.com"),
        ("cn-north-1", "console.amazonaws.cn"),
        ("us-gov-west-1", "console.amazonaws-us-gov.com"),
    ],
)
def test_a_folder_on_s3_is_shown_by_the_console_of_its_partition(region: str, console: str) -> None:
    """China and the government have their own; what stands in a key is encoded."""
    expected = f"https://{console}/s3/buckets/lake?prefix=some%2Fplan_items%2Fplan%3Dp1%2Fsnapshot%3Da%2Bb/"
    assert console_url(s3(region), "s3://lake/some/plan_items/plan=p1/snapshot=a+b") == expected
    assert console_url(s3(region), "s3a://lake/some/plan_items/plan=p1/snapshot=a+b") == expected


def test_a_folder_on_google_cloud_storage_is_shown_by_its_console() -> None:
    """By both schemes."""
    expected = "https://console.cloud.google.com/storage/browser/lake/some/plan_items/plan%3Dp1"
    fs = gcsfs.GCSFileSystem(token="anon", skip_instance_cache=True)
    assert console_url(fs, "gs://lake/some/plan_items/plan=p1") == expected
    assert console_url(fs, "gcs://lake/some/plan_items/plan=p1") == expected


def test_there_is_no_console_for_other_servers_and_for_local_files() -> None:
    """A console shows the buckets of its own provider only, and a browser no files."""
    assert console_url(s3("us-east-1", "http://127.0.0.1:9000"), "s3://lake/x") is None
    assert console_url(s3("us-east-1", "https://amazonaws.com.example.org"), "s3://lake/x") is None
    emulator = gcsfs.GCSFileSystem(token="anon", endpoint_url="http://127.0.0.1:4443", skip_instance_cache=True)
    assert console_url(emulator, "gs://lake/x") is None
    assert console_url(LocalFileSystem(), "file:///lake/x") is None
    assert console_url(object(), "abfs://container/x") is None


@pytest.mark.parametrize("link", [AchieveItSnapshotLink(), AchieveItPlanLink()], ids=lambda link: link.name)
def test_a_link_whose_xcom_cannot_be_read_is_not_there(link: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Outside of a task there is nobody to ask: neither a page nor a task fails for that."""
    operator = AchieveItExportOperator(task_id="x", plan_id="p1", destination="file:///lake")
    assert link.get_link(operator, ti_key=SimpleNamespace(dag_id="d", task_id="x", run_id="r", map_index=-1)) == ""
    assert f"There is no link {link.name!r}: " in caplog.text


def test_a_task_without_addresses_is_not_asked_for_xcoms(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Airflow 3 asks for the links when the task ends, and makes an error line of an XCom that is not there."""
    connection = {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key}
    monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))
    for plans in ({"plan_id": "p1"}, {"plan_ids": ["p1", "one"]}):
        operator = AchieveItExportOperator(task_id="x", destination=str(tmp_path), **plans)
        operator.execute({"task": operator})  # type: ignore[typeddict-item]
        key = SimpleNamespace(dag_id="d", task_id="x", run_id="r", map_index=-1)
        assert [link.get_link(operator, ti_key=key) for link in operator.operator_extra_links] == ["", ""]
    assert "There is no link" not in caplog.text


def test_an_export_whose_address_cannot_be_noted_lands(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As where the service that keeps XComs is away for a moment."""

    def xcom_push(key: str, value: Any) -> None:
        raise ConnectionError("nobody listens")

    extra = {"plan_url": "https://app.example.com/{plan_id}"}
    connection = {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))
    operator = AchieveItExportOperator(task_id="x", plan_id="p1", destination=str(tmp_path))
    assert operator.execute({"ti": SimpleNamespace(xcom_push=xcom_push)})["rows"] == 25  # type: ignore[typeddict-item]
    assert "There is no link 'Plan in AchieveIt': ConnectionError: nobody listens" in caplog.text


@pytest.mark.parametrize(
    ("plan_url", "noted"),
    [
        ("https://app.example.com/plans/{plan_id}?x=1", {"achieveit_plan_url": "https://app.example.com/plans/p1?x=1"}),
        ("javascript:alert('{plan_id}')", {}),
        (None, {}),
    ],
)
def test_an_export_notes_the_address_of_its_plan_and_no_bad_one(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan_url: str | None, noted: dict[str, str]
) -> None:
    """A template that cannot be used is a warning; there is no console for a local lake."""
    connection = {
        "conn_type": "achieveit",
        "host": sandbox.url,
        "password": sandbox.key,
        "extra": {"plan_url": plan_url},
    }
    monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))
    pushed: dict[str, Any] = {}
    instance = SimpleNamespace(xcom_push=lambda key, value: pushed.update({key: value}))
    for many in ({"plan_id": "p1"}, {"plan_ids": ["p1"]}, {"plan_ids": ["p1", "one"]}):
        pushed.clear()
        AchieveItExportOperator(task_id="x", destination=str(tmp_path), **many).execute({"ti": instance})  # type: ignore[typeddict-item]
        assert pushed == (noted if len(many.get("plan_ids", ["p1"])) == 1 else {})
