"""Bad input: a clear error that names the value, before a request is sent, and nothing changes in the lake."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_achieveit.api.errors import AchieveItAuthError, AchieveItConfigError
from airflow_provider_achieveit.lake.errors import AchieveItStoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    from tests.lake.stores import LocalStores
    from tests.support.faulty_sandbox import Sandbox

    Export = Callable[..., AchieveItExportOperator]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"if_unchanged": "maybe"}, "if_unchanged 'maybe'"),
        ({"on_drift": "ignore"}, "on_drift 'ignore'"),
        ({"on_inconsistent": True}, "on_inconsistent True"),
        ({"min_rows": -1}, "min_rows -1"),
        ({"min_rows": "three"}, "min_rows 'three'"),
        ({"max_shrink": 30}, "max_shrink 30"),
        ({"max_shrink": float("nan")}, "max_shrink nan"),
    ],
)
def test_a_bad_option_breaks_the_dag_file_and_not_the_night(
    export: Export, arguments: dict[str, Any], named: str
) -> None:
    """Options that are no templates are checked when the DAG is parsed."""
    with pytest.raises(AchieveItConfigError, match=named):
        export(**arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        *(({"plan_id": bad}, "plan_id") for bad in ("", "a/b", "a.b", "a b", "a\n", "../x", "http://x", "é", "x" * 65)),
        *(
            ({"snapshot": bad}, "snapshot")
            for bad in ("a/b", "a=b", "a\x00b", ".hidden", "a..b", "x" * 129, "a b", "ä", "a\n")
        ),
        ({"destination": ""}, "destination is not given, or its template rendered to nothing"),
        ({"destination": None}, "destination is not given"),
        ({"destination": ["s3://x"]}, "destination ['s3://x'] is not text"),
        ({"destination": "s3://"}, "names no bucket"),
        ({"destination": "gs://bucket/x"}, "apache-airflow-providers-google"),
        ({"destination": "abfs://container/x"}, "apache-airflow-providers-microsoft-azure"),
        ({"destination": "gopher://x/y"}, "known are file, s3, s3a, gs, gcs, abfs, abfss"),
        ({"achieveit_conn_id": "nobody"}, "nobody"),
    ],
)
def test_a_bad_value_fails_at_once_without_a_request(
    export: Export, lake: LocalStores, sandbox: Sandbox, arguments: dict[str, Any], named: str
) -> None:
    """The task fails whatever its retries, the message names the value, and the API is not asked."""
    with pytest.raises(AirflowFailException) as caught:
        export(**arguments).execute({})
    assert named in str(caught.value)
    assert isinstance(caught.value, AchieveItConfigError)
    assert sandbox.requests == []
    assert lake.objects() == {}


def test_a_file_in_the_way_is_named_before_a_request(export: Export, tmp_path: Path, sandbox: Sandbox) -> None:
    """A destination below a file can't become a directory."""
    (tmp_path / "file").write_text("mine")
    with pytest.raises(AchieveItStoreError, match="file is not a writable directory"):
        export(destination=f"file://{tmp_path}/file/lake").execute({})
    assert (tmp_path / "file").read_text() == "mine"
    assert sandbox.requests == []


@pytest.mark.parametrize(("change", "status"), [("key", 401), ("forbidden", 403)])
def test_a_refused_key_fails_at_once(
    export: Export, lake: LocalStores, sandbox: Sandbox, change: str, status: int
) -> None:
    """One request, no retries of the task, and an error that says what to ask for."""
    if change == "key":
        sandbox.key = "another"
    else:
        sandbox.plan("p1").forbidden = True
    try:
        with pytest.raises(AirflowFailException, match=f"answered {status}") as caught:
            export().execute({})
    finally:
        sandbox.plan("p1").forbidden = False
    assert isinstance(caught.value, AchieveItAuthError)
    assert len(sandbox.requests) == 1
    assert lake.objects() == {}


@pytest.mark.parametrize(
    "body",
    ["null", "[]", "{}", '{"items": {}, "totalCount": 1}', '{"items": [1], "totalCount": 1}', '{"items": []}',
     '{"items": [{"name": "no id"}], "totalCount": 1}', '{"items": [], "totalCount": -1}'],
)  # fmt: skip
def test_json_that_is_no_page_of_items_is_refused(
    export: Export, lake: LocalStores, sandbox: Sandbox, body: str
) -> None:
    """Whatever answers there, it is not the AchieveIt API."""
    json.loads(body)
    sandbox.script({"fault": {"body": body}})
    with pytest.raises(Exception, match="not a page of plan items"):
        export().execute({})
    assert lake.objects() == {}


def test_ids_that_come_twice_are_named(export: Export, lake: LocalStores, sandbox: Sandbox) -> None:
    """A plan whose ids are not distinct can't be proven complete."""
    twin = sandbox.plan("p1").items()[2]["id"]
    sandbox.plan("p1").patch(7, id=twin)
    with pytest.raises(Exception, match=f"came more than once, such as '{twin}'"):
        export().execute({})
    assert lake.objects() == {}
