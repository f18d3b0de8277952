"""Answers with status 200 that are not the API's: each is an error, and none a short plan."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.errors import AchieveItDataError, AchieveItMalformedError, AchieveItShapeError
from airflow_provider_achieveit.lake.portfolio import export_plan
from airflow_provider_achieveit.lake.read.decode import decode_page
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from tests.api.raw_server import RawServer, answering, response
from tests.support.faulty_sandbox import Sandbox

Connect = Callable[..., AchieveItClient]

OTHER_SHAPES = {
    "null": b"null",
    "null in spaces": b" \n null ",
    "true": b"true",
    "a number": b"42",
    "a string": b'"items"',
    "an empty list": b"[]",
    "a list of items": b'[{"id": "1"}]',
    "an empty object": b"{}",
    "an error message": b'{"message": "Something went wrong", "code": 17}',
    "no items": b'{"totalCount": 0}',
    "items that are null": b'{"items": null, "totalCount": 0}',
    "items that are an object": b'{"items": {"id": "1"}, "totalCount": 1}',
    "items that are text": b'{"items": "none", "totalCount": 0}',
    "an item that is null": b'{"items": [null], "totalCount": 1}',
    "an item that is text": b'{"items": ["1"], "totalCount": 1}',
    "an item that is a list": b'{"items": [[]], "totalCount": 1}',
    "an item that is text behind a good one": b'{"items": [{"id": "1"}, 2], "totalCount": 2}',
    "no totalCount": b'{"items": []}',
    "a totalCount that is null": b'{"items": [], "totalCount": null}',
    "a totalCount that is text": b'{"items": [], "totalCount": "0"}',
    "a totalCount that is negative": b'{"items": [], "totalCount": -1}',
    "a totalCount that is a fraction": b'{"items": [], "totalCount": 0.5}',
    "a totalCount that is a boolean": b'{"items": [], "totalCount": false}',
    "a totalCount of thousands of digits": b'{"items": [], "totalCount": ' + b"9" * 5000 + b"}",
    "names in another case": b'{"Items": [], "TotalCount": 0}',
    "nested without end": b'{"items": [{"id": "1", "a": ' + b"[" * 50_000 + b"]" * 50_000 + b'}], "totalCount": 1}',
}
NOT_JSON = {
    "nothing": b"",
    "spaces": b" \n ",
    "a web page": b"<!DOCTYPE html><html></html>",
    "half a page": b'{"items": [{"id": "1"}, {"id',
    "two pages": b'{"items": [], "totalCount": 0}{"items": [], "totalCount": 0}',
    "text behind the page": b'{"items": [], "totalCount": 0} and more',
    "bytes": b"\x00\xff\x00\xff",
}


@pytest.mark.parametrize("body", OTHER_SHAPES.values(), ids=OTHER_SHAPES)
def test_json_of_another_shape_is_an_error_at_once(connect: Connect, sandbox: Sandbox, body: bytes) -> None:
    """Reading items or the version asks once each, and says that this is no page of plan items."""
    sandbox.script({"fault": {"body": body}})
    client = connect()
    for read in (lambda: list(client.get_plan_items("p1")), lambda: client.get_plan_version("p1")):
        sandbox.reset_requests()
        with pytest.raises(AchieveItDataError, match="the answer is not a page of plan items: ") as caught:
            read()
        assert type(caught.value) is AchieveItShapeError
        assert (caught.value.plan_id, caught.value.status) == ("p1", 200)
        assert len(sandbox.requests) == 1


@pytest.mark.parametrize("body", NOT_JSON.values(), ids=NOT_JSON)
def test_a_body_that_is_not_json_is_asked_for_again(connect: Connect, sandbox: Sandbox, body: bytes) -> None:
    """When it never becomes JSON, the error says what may be in the way."""
    sandbox.script({"fault": {"body": body}})
    with pytest.raises(AchieveItDataError, match=r"is not JSON.*not a web page or a proxy's login") as caught:
        list(connect(max_retry_seconds=1).get_plan_items("p1"))
    assert type(caught.value) is AchieveItMalformedError
    assert len(sandbox.requests) >= 2


@pytest.mark.parametrize("body", [*OTHER_SHAPES.values(), *NOT_JSON.values()], ids=[*OTHER_SHAPES, *NOT_JSON])
def test_an_export_refuses_the_same_bodies(connect: Connect, sandbox: Sandbox, tmp_path: Path, body: bytes) -> None:
    """The decoder of the lake agrees with the client, and nothing is published."""
    with pytest.raises(AchieveItDataError) as caught:
        decode_page(body)
    assert type(caught.value) is (AchieveItMalformedError if body in NOT_JSON.values() else AchieveItShapeError)
    sandbox.script({"fault": {"body": body}})
    with pytest.raises(AchieveItDataError):
        export_plan(connect(max_retry_seconds=0), ParquetSink(Store(LocalFileSystem(), str(tmp_path))), "p1")
    assert list(tmp_path.iterdir()) == []
    assert len(sandbox.requests) == 1


@pytest.mark.parametrize("remove", [["id"], ["id", "name"]])
@pytest.mark.parametrize("other", [{}, {"id": None}, {"id": 7}, {"id": {"value": "1"}}], ids=str)
def test_an_item_without_an_id_is_not_exported(
    connect: Connect, sandbox: Sandbox, tmp_path: Path, remove: list[str], other: dict[str, object]
) -> None:
    """The error says which item of the page it is, and nothing is published."""
    sandbox.plan("p1").patch(4, remove=remove, **other)
    with pytest.raises(AchieveItDataError, match="item 5 of the page has no id"):
        export_plan(connect(), ParquetSink(Store(LocalFileSystem(), str(tmp_path))), "p1")
    assert list(tmp_path.iterdir()) == []


def test_a_count_without_items_is_an_error_of_the_version(connect: Connect, sandbox: Sandbox) -> None:
    """An answer that contradicts itself tells no version."""
    sandbox.script({"fault": {"body": '{"items": [], "totalCount": 3}'}})
    with pytest.raises(AchieveItDataError, match="no item although totalCount is 3"):
        connect().get_plan_version("p1")


def test_unknown_fields_beside_the_page_do_no_harm(connect: Connect, sandbox: Sandbox) -> None:
    """An API that starts to say more about the page is still read."""
    body = {"items": [{"id": "1"}], "totalCount": 1, "hasMore": False, "links": {"self": "/"}}
    sandbox.script({"fault": {"body": json.dumps(body)}})
    assert list(connect().get_plan_items("p1")) == [{"id": "1"}]
    assert decode_page(json.dumps(body).encode()).total == 1


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"items": [{"id": "1", "name": "x"}], "totalCount": 1}', "x"),
        (b'{"items": [{"id": "1", "name": "\xff"}], "totalCount": 1}', "\udcff"),
        (b'{"items": [{"id": "1", "name": ' + b"9" * 5000 + b'}], "totalCount": 1}', None),
        (b'{"items": [{"id": "1", "name": NaN}], "totalCount": 1}', None),
    ],
    ids=["a byte order mark", "bytes that are no UTF-8", "a number of thousands of digits", "NaN"],
)
def test_one_odd_value_does_not_keep_a_plan_from_being_read(
    connect: Connect, sandbox: Sandbox, body: bytes, value: str | None
) -> None:
    """What an item holds is the reader's business, as long as the page is one."""
    sandbox.script({"fault": {"body": body}})
    (item,) = connect().get_plan_items("p1")
    assert item["id"] == "1"
    assert value is None or item["name"] == value
    assert connect().get_plan_version("p1").total_count == 1


@pytest.mark.parametrize("text", [None, 5, "", "yesterday", ["2026-01-01"]])
def test_a_newest_update_that_is_no_date_leaves_the_count(connect: Connect, sandbox: Sandbox, text: object) -> None:
    """The version then rests on the number of items alone, instead of failing every export."""
    sandbox.script({"fault": {"body": json.dumps({"items": [{"id": "1", "lastUpdated": text}], "totalCount": 9})}})
    version = connect().get_plan_version("p1")
    assert (version.total_count, version.last_updated, version.item_id) == (9, None, "1")


@pytest.mark.parametrize("odd", [{}, {"status": "late"}], ids=["fast path", "slow path"])
def test_an_export_refuses_a_page_of_more_items_than_asked_for(
    connect: Connect, tmp_path: Path, odd: dict[str, str]
) -> None:
    """On either path of the decoder, and not with another request."""
    items = [{"id": str(number), **odd} for number in range(11)]
    body = json.dumps({"items": items, "totalCount": 11}).encode()
    with RawServer(answering(response(body))) as server:
        client = connect(base_url=server.url, page_size=10)
        with pytest.raises(AchieveItShapeError, match="it has 11 items, and 10 were asked for"):
            export_plan(client, ParquetSink(Store(LocalFileSystem(), str(tmp_path))), "p1")
        assert server.connections == 1
    assert list(tmp_path.iterdir()) == []
