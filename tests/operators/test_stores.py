"""What a DAG does with an object store through an Airflow connection, alike in each store."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit._compat import AirflowSkipException
from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.layout import FORMAT_KEY, latest_key, manifest_key, table_key
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor
from airflow_provider_achieveit.verify import main
from tests.lake.stores import BUCKET
from tests.support.servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.lake.stores import RemoteStores
    from tests.support.faulty_sandbox import Sandbox

    Export = Callable[..., AchieveItExportOperator]

DATA = table_key("plan_items", "p1", "now")
EVERYTHING = {
    DATA,
    table_key("plan_item_changes", "p1", "now"),
    manifest_key("p1", "now"),
    latest_key("p1"),
    FORMAT_KEY,
}


@pytest.fixture
def export(remote: RemoteStores) -> Export:
    """Makes operators that export the plan `p1` to the store as `now`, unless a test says otherwise."""

    def export(**arguments: Any) -> AchieveItExportOperator:
        target = {"destination": remote.uri, "destination_conn_id": "lake_store"}
        defaults = {"task_id": "export", "plan_id": "p1", "snapshot": "now", **target}
        return AchieveItExportOperator(**{**defaults, **arguments})

    return export


@pytest.fixture
def reconnect(remote: RemoteStores, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], None]:
    """Changes fields of the connection."""

    def reconnect(fields: dict[str, Any]) -> None:
        monkeypatch.setenv("AIRFLOW_CONN_LAKE_STORE", json.dumps({**remote.connection, **fields}))

    return reconnect


def test_a_plan_lands_and_lands_again(export: Export, remote: RemoteStores) -> None:
    """The manifest names full URIs, without the connection; a rerun gives the same bytes under the same keys."""
    manifest = export().execute({})
    before = remote.objects()
    assert set(before) == EVERYTHING
    assert manifest["files"][0]["path"] == f"{remote.uri}/{DATA}"
    assert hashlib.sha256(before[DATA]).hexdigest() == manifest["content_hash"]
    assert export().execute({})["content_hash"] == manifest["content_hash"]
    assert remote.objects()[DATA] == before[DATA]


def test_an_unchanged_plan_is_skipped_and_a_changed_one_is_not(
    export: Export, remote: RemoteStores, sandbox: Sandbox
) -> None:
    """What has landed is read from the store."""
    export().execute({})
    before = remote.objects()
    with pytest.raises(AirflowSkipException):
        export(if_unchanged="skip").execute({})
    assert remote.objects() == before
    sandbox.plan("p1").edit()
    export(if_unchanged="skip").execute({})
    assert remote.objects()[DATA] != before[DATA]


@pytest.mark.parametrize("detect", ["version", "content"])
def test_the_sensor_compares_with_what_has_landed(
    export: Export, remote: RemoteStores, sandbox: Sandbox, detect: str
) -> None:
    """Changed as long as nothing has; then not, until somebody edits the plan."""
    target = {"destination": remote.uri, "destination_conn_id": "lake_store", "deferrable": False}
    sensor = AchieveItPlanChangeSensor(task_id="wait", plan_id="p1", detect=detect, **target)
    assert sensor.poke({})
    export().execute({})
    assert not sensor.poke({})
    sandbox.plan("p1").edit()
    assert sensor.poke({})


def test_rights_on_the_destination_alone_are_enough(
    export: Export, remote: RemoteStores, reconnect: Callable[[dict[str, Any]], None]
) -> None:
    """Also the first time, when what is looked for is missing, which S3 then calls forbidden."""
    remote.narrow = True
    reconnect({})
    operator = export(max_shrink=0.5)
    manifest = operator.execute({})
    assert operator.execute({})["content_hash"] == manifest["content_hash"]
    assert main([remote.uri, "--destination-conn-id", "lake_store", "--grace", "0"]) == 0
    remote.narrow = False
    assert set(remote.objects()) == EVERYTHING


def test_a_bucket_that_does_not_exist_is_named_before_a_request(
    export: Export, remote: RemoteStores, sandbox: Sandbox
) -> None:
    """The destination is looked at first."""
    with pytest.raises(AchieveItStoreError, match="no-such-bucket"):
        export(destination=remote.uri.replace(BUCKET, "no-such-bucket")).execute({})
    assert sandbox.requests == []


def test_a_bucket_that_refuses_writes_is_named(export: Export, remote: RemoteStores) -> None:
    """What can't be known before the first write is said then in one line, and nothing is left behind."""
    remote.before_write = lambda _: True
    with pytest.raises(AchieveItStoreError, match=f"writing {remote.uri}/.*Error: .*Access Denied") as caught:
        export().execute({})
    assert "\n" not in str(caught.value)
    assert remote.objects() == {}


@pytest.mark.skipif(SERVERS is None, reason="moto takes every key; `make test-stores` has servers that do not")
def test_a_wrong_key_is_found_before_a_request(
    export: Export, remote: RemoteStores, reconnect: Callable[[dict[str, Any]], None], sandbox: Sandbox
) -> None:
    """The message names the destination and keeps the key to itself."""
    good = json.dumps(remote.connection)
    wrong = remote.secret[::-1].replace("=", "") + "=" * remote.secret.count("=")
    reconnect(json.loads(good.replace(remote.secret, wrong)))
    with pytest.raises(AchieveItStoreError, match=f"looking at {remote.uri}.*Error: ") as caught:
        export().execute({})
    assert wrong not in str(caught.value)
    assert sandbox.requests == []
    assert remote.objects() == {}


def test_the_verify_command_uses_the_connection(
    export: Export, remote: RemoteStores, capsys: pytest.CaptureFixture[str]
) -> None:
    """A whole lake, a damaged one, and a bucket that is not there: then nothing is known of the lake."""
    export().execute({})
    arguments = ["--destination-conn-id", "lake_store", "--grace", "0", remote.uri]
    assert main(arguments) == 0
    remote.put(DATA, b"damaged")
    assert main(arguments) == 1
    assert f"problem  {DATA}  has the SHA-256" in capsys.readouterr().out
    assert main([*arguments[:-1], remote.uri.replace(BUCKET, "no-such-bucket")]) == 2


@pytest.mark.skipif(SERVERS is None, reason="Azure's packages are in the environment of `make test-stores`")
@pytest.mark.usefixtures("running_azure")
@pytest.mark.parametrize(
    ("fields", "host"),
    [
        (
            {"connection_string": "AccountName=us;AccountKey=a2V5;EndpointSuffix=core.windows.net"},
            "us.dfs.core.windows.net",
        ),
        (
            {"connection_string": "BlobEndpoint=https://us.blob.core.windows.net/;SharedAccessSignature=sv=1"},
            "us.dfs.core.windows.net",
        ),
        ({"account_name": "us", "account_key": "a2V5"}, "us.dfs.core.windows.net"),
        (
            {"connection_string": "AccountName=us;AccountKey=a2V5;EndpointSuffix=core.usgovcloudapi.net"},
            "us.dfs.core.usgovcloudapi.net",
        ),
    ],
)
def test_lineage_names_a_container_by_its_account(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, str], host: str
) -> None:
    """Whichever way the connection says which account it is, and whichever scheme the destination has."""
    monkeypatch.setenv("AIRFLOW_CONN_LAKE_STORE", json.dumps({"conn_type": "wasb", "extra": fields}))
    for scheme in ("abfs", "abfss"):
        target = {"destination": f"{scheme}://{BUCKET}/x", "destination_conn_id": "lake_store"}
        operator = AchieveItExportOperator(task_id="export", plan_id="p1", changes=False, **target)
        [output] = operator.get_openlineage_facets_on_start().outputs
        assert (output.namespace, output.name) == (f"abfss://{BUCKET}@{host}", "x/plan_items/plan=p1")
