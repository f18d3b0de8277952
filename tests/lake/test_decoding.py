"""Guarantee 3 by examples: every column type, what fits it, and where everything else goes."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow.compute as pc
import pytest

from airflow_provider_achieveit.api.errors import AchieveItDataError
from airflow_provider_achieveit.lake.read import decode
from airflow_provider_achieveit.lake.read.decode import decode_page
from airflow_provider_achieveit.lake.schema import ITEM_FIELDS, PLAN_ITEMS
from tests.lake.items import Pairs, Raw, item, meaning, page, parse, restored
from tests.support.faulty_sandbox import Plan

STRINGS = """
    id source_id sequence_id plan_id plan_name source_plan_id source_plan_name aligns_to aligns_to_id dependent_on
    dependent_on_id level_id level name indented_name description status_name assigned_to_id assigned_to_full_name
    assigned_by_id assigned_by_full_name update_frequency update_frequency_description last_comment_id last_comment
    last_update_comment_id last_update_comment _rescued_data
"""
INTEGERS = "row_number status units detail late_updates pending_updates updates files"
TIMES = "start due created last_updated"
DECIMALS = "baseline target current_value"
BOOLEANS = "has_metric has_advanced_metric is_past_due is_orphan"
PERSONS = "list<item: struct<id: string, name: string, type: string>>"
TICKED = "struct<id: string, name: string, sort_index: int32, done_on: timestamp[us, tz=UTC]>"
NESTED = {
    "advanced_metric_goals": "list<item: struct<goal_id: string, goal_name: string, goal_color: string, "
    "metric_bucket_value: double, sort_order: int32>>",
    "members": PERSONS,
    "admins": PERSONS,
    "checklists": f"list<item: struct<id: string, name: string, sort_index: int32, items: list<item: {TICKED}>>>",
    "tags": "list<item: struct<id: string, organization_id: string, name: string>>",
}


def decoded(**fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of one item, and its rescued values."""
    [row] = decode_page(page(item(**fields))).rows.to_pylist()
    return row, json.loads(row["_rescued_data"] or "{}")


def test_columns_have_the_names_and_types_that_are_promised() -> None:
    """Names, types and order are a contract: people's queries depend on them."""
    types = dict(NESTED)
    kinds = {"string": STRINGS, "int32": INTEGERS, "timestamp[us, tz=UTC]": TIMES, "bool": BOOLEANS}
    for kind, names in {**kinds, "decimal128(38, 9)": DECIMALS}.items():
        types.update(dict.fromkeys(names.split(), kind))
    assert {field.name: str(field.type) for field in PLAN_ITEMS} == types
    assert [field.name for field in PLAN_ITEMS] == [field.column for field in ITEM_FIELDS] + ["_rescued_data"]
    assert all(field.nullable for field in PLAN_ITEMS)


def test_realistic_items_come_back_as_they_were_without_a_rescued_value() -> None:
    """Unicode, HTML, nulls, nested lists: what a plan usually holds fits the columns."""
    items = Plan("p", 300).items()
    read = decode_page(page(*items))
    assert read.total == 300
    assert read.rescued == []
    rows = read.rows.to_pylist()
    assert [meaning(restored(row)) for row in rows] == [meaning(parse(json.dumps(item))) for item in items]


def test_columns_without_a_value_keep_their_type() -> None:
    """A page whose items have nearly nothing has the same schema as any other."""
    assert decode_page(page(item())).rows.schema.equals(PLAN_ITEMS)
    nulls = {field.api_name: None for field in ITEM_FIELDS if field.api_name != "id"}
    row, rescued = decoded(**nulls)
    assert rescued == {}
    assert {name for name, value in row.items() if value is not None} == {"id"}


def test_a_page_without_items_has_every_column() -> None:
    """An empty plan has nothing to infer a type from."""
    read = decode_page(b'{"items":[],"totalCount":0}')
    assert (read.rows.num_rows, read.total) == (0, 0)
    assert read.rows.schema.equals(PLAN_ITEMS)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-03-09", datetime(2025, 3, 9, tzinfo=UTC)),
        ("2025-03-09T10:20", datetime(2025, 3, 9, 10, 20, tzinfo=UTC)),
        ("2025-03-09 10:20:30", datetime(2025, 3, 9, 10, 20, 30, tzinfo=UTC)),
        ("2025-03-09T10:20:30Z", datetime(2025, 3, 9, 10, 20, 30, tzinfo=UTC)),
        ("2025-03-09T10:20:30.5", datetime(2025, 3, 9, 10, 20, 30, 500000, tzinfo=UTC)),
        ("2025-03-09T10:20:30.1234567Z", datetime(2025, 3, 9, 10, 20, 30, 123456, tzinfo=UTC)),
        ("2025-03-09T10:20:30.1234567", datetime(2025, 3, 9, 10, 20, 30, 123456, tzinfo=UTC)),
        ("2025-03-09T10:20:30.999999999999Z", datetime(2025, 3, 9, 10, 20, 30, 999999, tzinfo=UTC)),
        ("2025-03-09T10:20:30+05:30", datetime(2025, 3, 9, 4, 50, 30, tzinfo=UTC)),
        ("2025-03-09T23:20:30-0800", datetime(2025, 3, 10, 7, 20, 30, tzinfo=UTC)),
        ("2025-03-09T10:20:30+02", datetime(2025, 3, 9, 8, 20, 30, tzinfo=UTC)),
        ("20250309", datetime(2025, 3, 9, tzinfo=UTC)),
        ("0001-01-01T00:00:00", datetime(1, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00.0000001Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.9999999Z", datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("1969-12-31T23:59:59.9999999Z", datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
        ("1600-02-29T00:00:00.1234567", datetime(1600, 2, 29, 0, 0, 0, 123456, tzinfo=UTC)),
        ("3000-01-01T00:00:00.1234567Z", datetime(3000, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
        # Around the ends of what nanoseconds reach, where some versions of pyarrow wrap around.
        ("1677-09-20", datetime(1677, 9, 20, tzinfo=UTC)),
        ("1677-09-21T00:12:43.1234567Z", datetime(1677, 9, 21, 0, 12, 43, 123456, tzinfo=UTC)),
        ("1678-01-01T00:00:00.1234567+23:59", datetime(1677, 12, 31, 0, 1, 0, 123456, tzinfo=UTC)),
        ("2261-12-31T23:59:59.1234567-23:59", datetime(2262, 1, 1, 23, 58, 59, 123456, tzinfo=UTC)),
        ("2262-04-11T23:47:16.9999999Z", datetime(2262, 4, 11, 23, 47, 16, 999999, tzinfo=UTC)),
        ("2262-04-12T00:00:00", datetime(2262, 4, 12, tzinfo=UTC)),
    ],
)
def test_iso_times_are_times_in_utc(text: str, moment: datetime) -> None:
    """No offset means UTC; digits beyond microseconds are cut, also before 1970, and that is no drift."""
    row, rescued = decoded(start=text, checklists=[{"items": [{"doneOn": text}]}])
    assert row["start"] == moment
    assert row["checklists"][0]["items"][0]["done_on"] == moment
    assert rescued == {}


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "tomorrow", "11/23/2026", "2025-02-30", "2025-1-1", "2025-03-09T25:00", "2025-03-09T24:00",
        "/Date(1)/", "2025-03-09+05:00", "2025-03-09-05:00", "2025-03-09x10:00", "2025-03-09Z",
        "0001-01-01T00:00:00+02:00", "9999-12-31T23:59:59-02:00", "10000-01-01", "-0001-01-01",
        "2025-03-09T10:20:30+25:00", "٢٠٢٥-03-09",
    ],
)  # fmt: skip
def test_what_is_no_iso_time_is_rescued(text: str) -> None:
    """A date with an offset but no time is not taken for one with a time, and no time leaves the years 1 to 9999."""
    row, rescued = decoded(start=text)
    assert row["start"] is None
    assert rescued == {"start": text}


def test_times_of_several_forms_on_one_page_are_all_read() -> None:
    """Dates, local times, offsets and nulls mixed in one column, as somebody's integration may have written them."""
    texts = ["2025-03-09", None, "2025-03-09T10:20:30.1234567Z", "2025-03-09 10:20", "0001-01-01T00:00:00", "soon"]
    read = decode_page(page(*(item(id=str(place), due=text) for place, text in enumerate(texts))))
    assert [str(moment) for moment in read.rows["due"].to_pylist()] == [
        "2025-03-09 00:00:00+00:00",
        "None",
        "2025-03-09 10:20:30.123456+00:00",
        "2025-03-09 10:20:00+00:00",
        "0001-01-01 00:00:00+00:00",
        "None",
    ]
    assert read.rescued == [[], [], [], [], [], ["due"]]


@pytest.mark.parametrize("never", ["0001-01-01T00:00:00", "9999-12-31T00:00:00"])
def test_a_far_date_among_others_is_exact_and_takes_the_fast_path(monkeypatch: pytest.MonkeyPatch, never: str) -> None:
    """.NET's "never" is a date like any other, also between dates that nanoseconds reach."""
    monkeypatch.delattr(decode, "rescue")
    texts = ["2025-03-09T10:20:30", never, None, "1969-12-31T23:59:59.123456"]
    read = decode_page(page(*(item(id=str(place), due=text) for place, text in enumerate(texts))))
    moments = [None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts]
    assert read.rows["due"].to_pylist() == moments


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", "0"), ("-0", "0"), ("+5", "5"), ("007", "7"), ("5.", "5"), (".5", "0.5"), ("1.0000000000", "1"),
        ("-12.345678901", "-12.345678901"), ("1e3", "1000"), ("25E-1", "2.5"), ("1e-9", "0.000000001"),
        ("9" * 29 + "." + "9" * 9, "9" * 29 + "." + "9" * 9), ("-" + "9" * 29, "-" + "9" * 29),
        ("0" * 100 + "1", "1"), ("1" + "0" * 28 + "." + "0" * 100, "1" + "0" * 28), ("0e99", "0"),
    ],
)  # fmt: skip
def test_numbers_in_strings_are_exact_decimals(text: str, number: str) -> None:
    """decimal128(38, 9) holds 29 digits before the point and 9 after it, however they are written."""
    row, rescued = decoded(target=text)
    assert row["target"] == Decimal(number)
    assert rescued == {}


@pytest.mark.parametrize(
    "text",
    [
        "", " 5", "5 ", "1,5", "1 000", "1_000", "12 %", "n/a", "NaN", "Infinity", "0x10", "\uff11", "--1", "1e",
        ".", "e5",
        "0.0000000001", "1e-10", "1.0000000001", "1" + "0" * 29, "710388075984767834970476951835", "9e+35", "448E37",
        "1e400", "99.e-48", "9" * 5000, "1e99999999999999999999",
    ],
)  # fmt: skip
def test_what_a_decimal_does_not_hold_exactly_is_rescued(text: str) -> None:
    """Nothing is rounded, and nothing overflows into another number."""
    row, rescued = decoded(target=text)
    assert row["target"] is None
    assert rescued == {"target": text}


def test_bare_numbers_are_decimals_as_well() -> None:
    """The API promises numbers in strings; a number says the same, with the digits that stand in the body."""
    row, rescued = decoded(baseline=7, target=Raw("1.10"), currentValue=Raw("123456789012345678901234567.123456789"))
    assert [row["baseline"], row["target"]] == [Decimal(7), Decimal("1.1")]
    assert row["current_value"] == Decimal("123456789012345678901234567.123456789")
    assert rescued == {}


@pytest.mark.parametrize(("digits", "number"), [("1.0", 1), ("1e2", 100), ("-0", 0), ("-2147483648", -(2**31))])
def test_whole_numbers_are_integers_however_they_are_written(digits: str, number: int) -> None:
    """`1.0` is 1."""
    row, rescued = decoded(status=Raw(digits))
    assert row["status"] == number
    assert rescued == {}


@pytest.mark.parametrize(
    "digits", ["1.5", "2147483648", "-2147483649", "5" * 5000, "1e99999999999999999999", '"1"', "true", "[1]", "{}"]
)
def test_what_is_no_32_bit_integer_is_rescued(digits: str) -> None:
    """Also integers of thousands of digits, which Python would refuse to read."""
    [row] = decode_page(page(item(status=Raw(digits)))).rows.to_pylist()
    assert row["status"] is None
    assert row["_rescued_data"] == f'{{"status": {digits}}}'


@pytest.mark.parametrize("digits", ["9007199254740993", "123456789012345678901234567890", "1e400", "-1e999", "5" * 400])
def test_whole_numbers_that_a_double_would_change_are_rescued(digits: str) -> None:
    """A fraction is rounded to a double, as every reader of JSON does; a count of 9007199254740993 is not."""
    [row] = decode_page(page(item(advancedMetricGoals=[{"metricBucketValue": Raw(digits)}]))).rows.to_pylist()
    assert row["advanced_metric_goals"][0]["metric_bucket_value"] is None
    assert row["_rescued_data"] == f'{{"advancedMetricGoals[0].metricBucketValue": {digits}}}'


@pytest.mark.parametrize(("digits", "number"), [("0.1", 0.1), ("1e300", 1e300), ("9007199254740994", 2.0**53 + 2)])
def test_what_a_double_holds_is_a_double(digits: str, number: float) -> None:
    """Large numbers too, as long as they come back as they were."""
    row, rescued = decoded(advancedMetricGoals=[{"metricBucketValue": Raw(digits)}])
    assert row["advanced_metric_goals"][0]["metric_bucket_value"] == number
    assert rescued == {}


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity"])
def test_what_json_has_no_word_for_is_rescued_as_text(word: str) -> None:
    """Some serialisers write NaN and Infinity: no column holds them, and `_rescued_data` is proper JSON."""
    row, rescued = decoded(
        status=Raw(word), target=Raw(word), advancedMetricGoals=[{"metricBucketValue": Raw(word)}], odd=Raw(word)
    )
    assert row["status"] is row["target"] is row["advanced_metric_goals"][0]["metric_bucket_value"] is None
    paths = ["status", "target", "advancedMetricGoals[0].metricBucketValue", "odd"]
    assert rescued == dict.fromkeys(paths, word)


def test_lone_surrogates_are_rescued_with_their_escape() -> None:
    """Half of an emoji has no UTF-8, which Parquet wants, but JSON has an escape for it."""
    row, rescued = decoded(name=Raw(r'"half \ud83d"'), description=Raw(r'"whole \ud83d\ude00"'))
    assert row["name"] is None
    assert row["description"] == "whole 😀"
    assert rescued == {"name": "half \ud83d"}
    assert row["_rescued_data"] == r'{"name": "half \ud83d"}'


def test_bytes_that_are_no_utf8_are_rescued_as_surrogates() -> None:
    """The byte 0xff becomes U+DCFF, as Python has it, so that it can be told; it never gets into a text column."""
    body = page(item(name="Caf?", members=[{"name": "?"}], tags=[{"name": "fine"}])).replace(b"?", b"\xff")
    [row] = decode_page(body).rows.to_pylist()
    assert row["name"] is row["members"][0]["name"] is None
    assert row["tags"][0]["name"] == "fine"
    assert json.loads(row["_rescued_data"]) == {"name": "Caf\udcff", "members[0].name": "\udcff"}


def test_every_value_of_a_repeated_key_is_rescued() -> None:
    """Which of them counts is anybody's guess, so the column has none."""
    twice = Pairs([("id", "a"), ("name", "first"), ("name", None), ("name", "last"), ("odd", {"x": 1}), ("odd", [2])])
    [row] = decode_page(page(twice)).rows.to_pylist()
    assert row["name"] is None
    assert json.loads(row["_rescued_data"]) == {"name": ["first", None, "last"], "odd": [{"x": 1}, [2]]}


def test_thousands_of_repeated_keys_are_no_trouble() -> None:
    """What an object with very many keys takes grows with their number, not with its square."""
    pairs = [(f"key{number % 30_000}", number) for number in range(60_000)]
    [row] = decode_page(page(Pairs([("id", "a"), *pairs]))).rows.to_pylist()
    assert json.loads(row["_rescued_data"])["key7"] == [7, 30_007]


def test_paths_name_fields_as_the_api_spells_them() -> None:
    """`target`, `checklists[0].owner`; a key that could be taken for a path is quoted."""
    checklist = {"id": "c", "owner": "me", "items": [{"id": "i"}, {"doneOn": "yes", "who": {"a": [1]}}]}
    row, rescued = decoded(
        target="many", brandNew=1, members=[None, {"id": "m", "role": "r"}, "Jo"], checklists=[checklist], admins="all",
        **{"a.b": 1, "c[0]": 2, "": 3, 'say "hi"': 4, "größe": 5, "_rescued_data": 6},
    )  # fmt: skip
    assert rescued == {
        "target": "many",
        "brandNew": 1,
        "members[1].role": "r",
        "members[2]": "Jo",
        "checklists[0].owner": "me",
        "checklists[0].items[1].doneOn": "yes",
        "checklists[0].items[1].who": {"a": [1]},
        "admins": "all",
        '["a.b"]': 1,
        '["c[0]"]': 2,
        '[""]': 3,
        r'["say \"hi\""]': 4,
        r'["gr\u00f6\u00dfe"]': 5,
        "_rescued_data": 6,
    }
    assert row["members"] == [None, {"id": "m", "name": None, "type": None}, None]
    assert row["checklists"][0]["id"] == "c"
    assert [ticked["id"] for ticked in row["checklists"][0]["items"]] == ["i", None]
    assert row["admins"] is None


def test_rescued_values_are_told_item_by_item_without_their_positions() -> None:
    """So that they can be counted by field, and an item that two pages share only once."""
    odd = [item(checklists=[{"owner": 1}, {"owner": 2}]), item(x=None), item(checklists=[{"owner": 3}], target="?")]
    owner = "checklists[].owner"
    assert decode_page(page(*odd)).rescued == [[owner, owner], [], [owner, "target"]]


def test_null_is_never_drift() -> None:
    """Unknown fields without a value, also in nested objects, say nothing."""
    row, rescued = decoded(brandNew=None, members=[{"role": None}], checklists=[None, {"items": None}])
    assert rescued == {}
    assert row["members"] == [{"id": None, "name": None, "type": None}]
    assert row["checklists"] == [None, {"id": None, "name": None, "sort_index": None, "items": None}]


def test_numbers_in_rescued_values_keep_their_digits() -> None:
    """`1.10` stays `1.10`."""
    text = '{"a": 1.10, "b": [1E5, -0, 0.1000000000000000055511151231257827, 12345678901234567890123456789]}'
    [row] = decode_page(page(item(odd=Raw(text)))).rows.to_pylist()
    assert row["_rescued_data"] == f'{{"odd": {text}}}'


def test_values_nested_hundreds_of_levels_deep_are_rescued() -> None:
    """What is nested deeper than anybody nests is kept as well."""
    deep = '{"a": ' * 150 + "[[1]]" + "}" * 150
    [row] = decode_page(page(item(odd=Raw(deep)))).rows.to_pylist()
    assert row["_rescued_data"] == f'{{"odd": {deep}}}'


@pytest.mark.parametrize("levels", [400, 600, 800, 1_000])
def test_where_nesting_becomes_too_deep_a_value_is_whole_or_refused(levels: int) -> None:
    """How deep that is depends on the Python; never is a part of the value lost."""
    deep = "[" * levels + "]" * levels
    try:
        [row] = decode_page(page(item(odd=Raw(deep)))).rows.to_pylist()
    except AchieveItDataError as error:
        assert "nested too deeply" in str(error)
    else:
        assert row["_rescued_data"] == f'{{"odd": {deep}}}'


@pytest.mark.parametrize("levels", [5_000, 1_000_000])
def test_nesting_without_end_is_refused_and_not_sent_for_again(levels: int) -> None:
    """Thousands of levels are an attack or a bug; the interpreter's stack is safe from them."""
    with pytest.raises(AchieveItDataError, match="nested too deeply") as caught:
        decode_page(page(item(odd=Raw("[" * levels + "]" * levels))))
    assert not caught.value.retry_request


def test_a_string_of_100_mb_is_read_on_both_paths() -> None:
    """Somebody pasted a picture into a description."""
    body = b'{"items":[{"id":"a","description":"' + b"x" * 100_000_000 + b'"}],"totalCount":1}'
    read = decode_page(body)
    assert pc.binary_length(read.rows["description"]).to_pylist() == [100_000_000]
    assert read.rescued == []
    read = decode_page(body.replace(b'"description"', b'"status":"?","description"'))
    assert pc.binary_length(read.rows["description"]).to_pylist() == [100_000_000]
    assert read.rescued == [["status"]]


def test_a_byte_order_mark_is_skipped() -> None:
    """Some .NET serialisers write one."""
    assert decode_page(b"\xef\xbb\xbf" + page(item())).rows.num_rows == 1


@pytest.mark.parametrize(
    "body",
    [
        b"", b"  ", b"<html>Sign in</html>", b"{'items':[]}", page(item())[:-9], page(item()) + b"x",
        page(item()) + b"}", page(item()) + b"{}", page(item()) + b"\n" + page(item()),
        page(item()).decode().encode("utf-16"),
        page(item(name=Raw("undefined"))), page(item(status=Raw("01"))),
    ],
)  # fmt: skip
def test_a_body_that_is_not_json_is_asked_for_again(body: bytes) -> None:
    """It may have been cut short; a page is never shorter without a word."""
    with pytest.raises(AchieveItDataError, match="is not JSON") as caught:
        decode_page(body)
    assert caught.value.retry_request


@pytest.mark.parametrize(
    "body",
    [
        b"null", b"[]", b"7", b'"items"', b"{}", b'{"items":null,"totalCount":0}', b'{"items":{},"totalCount":0}',
        b'{"items":[]}', b'{"items":[],"totalCount":null}', page(total=-1), page(total=Raw("1.0")), page(total="1"),
        page(total=True), page(total=2**63), page(total=Raw("9" * 5000)), page(None), page(1), page([]),
        b'{"items":[],"items":[],"totalCount":0}', b'{"error":"no such plan"}',
    ],
)  # fmt: skip
def test_json_of_another_shape_is_refused(body: bytes) -> None:
    """Valid JSON that is no page of items is an error that says so, and asking again would not help."""
    with pytest.raises(AchieveItDataError, match="not a page of plan items") as caught:
        decode_page(body)
    assert not caught.value.retry_request


@pytest.mark.parametrize("bad", [{}, {"id": None}, {"id": 7}, {"Id": "a"}, Pairs([("id", "a"), ("id", "a")])])
def test_an_item_without_an_id_is_refused(bad: Any) -> None:
    """Without ids, nobody can tell whether a snapshot is complete."""
    with pytest.raises(AchieveItDataError, match="item 2 of the page has no id"):
        decode_page(page(item(), bad))


def test_unknown_fields_beside_the_items_are_ignored() -> None:
    """What the page says about itself is no value of an item."""
    read = decode_page(b'{"page":1,"items":[{"id":"a"}],"totalCount":1,"next":null}')
    assert read.rows["id"].to_pylist() == ["a"]
    assert read.rescued == [[]]


def test_only_a_page_that_needs_it_takes_the_slow_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Realistic items never do: a page costs a Python object per item only if something odd is on it."""
    monkeypatch.delattr(decode, "rescue")
    assert decode_page(page(*Plan("p", 200).items())).rows.num_rows == 200
