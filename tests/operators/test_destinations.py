"""What a destination may be: everything else is refused before a request, with what was probably meant."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_achieveit._destination import open_store
from airflow_provider_achieveit._places import Place, parse_destination
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE, latest_key, table_key
from tests.support.servers import Ceph

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    from tests.lake.stores import LocalStores, S3Stores
    from tests.support.faulty_sandbox import Sandbox

    Export = Callable[..., AchieveItExportOperator]

HERE = str(Path.cwd())
HOME = str(Path.home())


@pytest.mark.parametrize(
    ("destination", "why"),
    [
        ("my-bucket/lake", "probably 's3://my-bucket/lake' is meant"),
        ("my-bucket/lake", f"or 'file://{HERE}/my-bucket/lake'"),
        ("lake", "neither a URI with a scheme nor an absolute path"),
        ("./lake", f"probably 'file://{HERE}/lake' is meant"),
        ("../lake", f"probably 'file://{Path(HERE).parent}/lake' is meant"),
        ("~/lake", f"probably 'file://{HOME}/lake' is meant"),
        ("None", "is empty"),
        (" ", "is empty"),
        (None, "is empty"),
        ("s3:bucket/x", "probably 's3://bucket/x' is meant"),
        ("s3:/bucket/x", "probably 's3://bucket/x' is meant"),
        ("file:/data/lake", "probably 'file:///data/lake' is meant"),
        ("file://data/lake", "names the machine 'data': a file on this one is file:///data/lake"),
        ("file://", "names the machine ''"),
        ("s3://", "names no bucket"),
        ("s3://conn@", "names no bucket"),
        ("s3://@bucket/x", "names no connection"),
        ("s3://lake/a::b", "fsspec would cut it"),
        ("/data/a::b", "fsspec would cut it"),
        ("s3://lake/a\nb", "line breaks"),
        ("s3://lake/a\x00b", "cannot be printed"),
        ("s3://lake/\ud800", "cannot be printed"),
        (" s3://lake/a", "blanks at an end"),
        ("s3://lake/a?versionId=7", "names a version of an object"),
        ("s3://lake/a/../b", 'has "." or ".."'),
        ("/data/../lake", 'has "." or ".."'),
        ("sftp://host/lake", "sftp:// is not known to replace an object as a whole"),
        ("http://host/lake", "known are file, s3, s3a, gs, gcs, abfs, abfss"),
        ('["s3://lake/a"]', "give the text 's3://lake/a' and not a list"),
        ("['s3://lake/a', 's3://lake/b']", "give the text 's3://lake/a' and not a list"),
        (["s3://lake/a"], "is not text"),
        (b"s3://lake/a", "is not text"),
        (7, "is not text"),
        ("{{ ds }}", "is a template that was not rendered"),
        ("s3://lake/{% if x %}", "is a template that was not rendered"),
    ],
)
def test_what_is_no_place_is_refused_with_what_was_probably_meant(destination: Any, why: str) -> None:
    """The message names the value and fits on a screen."""
    with pytest.raises(AchieveItConfigError) as caught:
        parse_destination(destination)
    assert why in str(caught.value)
    assert str(caught.value).startswith("destination ")
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("destination", "place"),
    [
        ("/data/lake", Place("file", "/data/lake", None)),
        ("file:///data/lake/", Place("file", "/data/lake/", None)),
        ("file://localhost/data", Place("file", "/data", None)),
        ("file:///données/a b#c?d", Place("file", "/données/a b#c?d", None)),
        ("S3://lake/a/", Place("s3", "lake/a", None)),
        ("s3a://lake", Place("s3a", "lake", None)),
        ("gs://conn@lake/a", Place("gs", "lake/a", "conn")),
        ("abfss://conn@lake/a", Place("abfss", "lake/a", "conn")),
        ("s3://lake/a..b/.c", Place("s3", "lake/a..b/.c", None)),
    ],
)
def test_a_place_is_read_as_it_stands(destination: str, place: Place) -> None:
    """Scheme, path and connection."""
    assert parse_destination(destination) == place


def test_a_connection_that_is_given_beside_the_uri_wins() -> None:
    """As in Airflow's own paths."""
    assert parse_destination("s3://one@lake/a", "two").conn_id == "two"


@pytest.mark.parametrize(
    "arguments",
    [
        {"destination": "lake/x"},
        {"destination": "~/lake"},
        {"destination": "s3://lake/x", "destination_conn_id": "nobody"},
        {"destination": "s3://nobody@lake/x"},
        {"destination": "/tmp/lake", "destination_conn_id": "nobody"},
    ],
)
def test_nothing_is_asked_and_nothing_lands_where_the_place_is_wrong(
    export: Export, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any]
) -> None:
    """In particular no directory of that name, and nothing under the worker's own identity."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AirflowFailException) as caught:
        export(**arguments).execute({})
    assert isinstance(caught.value, AchieveItConfigError)
    assert "destination" in str(caught.value)
    assert ("'nobody'" in str(caught.value)) == ("nobody" in str(arguments))
    assert sandbox.requests == []
    assert list(tmp_path.iterdir()) == []


def test_an_absolute_path_is_a_place(export: Export, lake: LocalStores) -> None:
    """And its files' URIs have a scheme."""
    manifest = export(destination=str(lake.root)).execute({})
    assert manifest["files"][0]["path"] == f"{lake.uri}/{table_key(PLAN_ITEMS_TABLE, 'p1', 'now')}"
    assert latest_key("p1") in lake.objects()


def test_s3a_uris_stay_what_they_are(export: Export, s3: S3Stores) -> None:
    """Readers that speak s3a find the same URI in the manifest."""
    destination = s3.uri.replace("s3:", "s3a:")
    manifest = export(destination=destination, destination_conn_id="aws_lake").execute({})
    assert manifest["files"][0]["path"].startswith(f"{destination}/plan_items/")
    assert latest_key("p1") in s3.objects()


def test_rotated_credentials_are_used_by_the_next_export_of_the_process(
    export: Export, s3: S3Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow and fsspec keep filesystems for as long as the process lives; exports do not take them."""
    operator = export(destination=s3.uri, destination_conn_id="aws_lake")
    operator.execute({})
    connection = json.loads(os.environ["AIRFLOW_CONN_AWS_LAKE"])
    monkeypatch.setenv("AIRFLOW_CONN_AWS_LAKE", json.dumps({**connection, "login": Ceph.second_key}))
    s3.signers.clear()
    operator.execute({})
    assert s3.signers == {Ceph.second_key}


def test_opening_a_store_again_and_again_keeps_nothing(s3: S3Stores) -> None:
    """A watcher opens its destination at every look."""
    fs = open_store(s3.uri, "aws_lake").fs
    before = len(type(fs)._cache)
    for _ in range(3):
        open_store(s3.uri, "aws_lake")
    assert len(type(fs)._cache) == before


def test_a_fault_while_the_store_is_opened_is_not_called_a_missing_package(
    export: Export, s3: S3Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A role that cannot be assumed right now, say: Airflow tries the task again."""
    connection = json.loads(os.environ["AIRFLOW_CONN_AWS_LAKE"])
    connection["extra"] |= {
        "role_arn": "arn:aws:iam::123456789012:role/lake",
        "config_kwargs": {"retries": {"total_max_attempts": 1}},
    }
    connection["extra"]["service_config"] = {"sts": {"endpoint_url": "http://127.0.0.1:9"}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_LAKE", json.dumps(connection))
    with pytest.raises(AchieveItStoreError) as caught:
        export(destination=s3.uri, destination_conn_id="aws_lake").execute({})
    assert "to be installed" not in str(caught.value)
    assert caught.value.retry_task


def test_a_path_object_keeps_its_connection(export: Export, s3: S3Stores) -> None:
    """Copies of it do not, so it is kept as text."""
    bucket = s3.uri.removeprefix("s3://")
    export(destination=ObjectStoragePath(f"s3://aws_lake@{bucket}")).execute({})
    assert latest_key("p1") in s3.objects()
