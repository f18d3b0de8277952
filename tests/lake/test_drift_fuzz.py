"""Guarantee 3 under random items: nothing is lost, and a clean item is the same whichever path its page took.

`ACHIEVEIT_ITEMS=20000 pytest tests/lake/test_drift_fuzz.py` tries more items than the default. They are the same
in each run.
"""

import os
from datetime import date
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_achieveit.lake.column_types import BOOL, DECIMAL, DOUBLE, INT32, TIMESTAMP
from airflow_provider_achieveit.lake.read.decode import decode_page
from airflow_provider_achieveit.lake.schema import ITEM_FIELDS, Field
from tests.lake.items import Pairs, Raw, encode, item, meaning, page, parse, restored

EXAMPLES = int(os.environ.get("ACHIEVEIT_ITEMS", "100"))
fuzz = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
)

texts = st.text(max_size=8)
digits = st.text("0123456789", min_size=1, max_size=45)
decimals = st.builds(
    "{}{}{}{}".format, st.sampled_from(["", "-", "+"]), digits, st.one_of(st.just(""), digits.map(".{}".format)),
    st.sampled_from(["", "", "", "e3", "E-4", "e+30", "e-50", "e99999999999999999999"]),
)  # fmt: skip
fitting_decimals = st.one_of(
    st.decimals(-(10**6), 10**6, places=2), st.decimals(-(10**28), 10**28, places=9)
).map(str)  # fmt: skip
dates = st.one_of(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.dates()).map(str)
fractions = st.one_of(st.just(""), st.text("0123456789", min_size=1, max_size=9).map(".{}".format))
local_times = st.builds("{}{}{:%H:%M:%S}{}".format, dates, st.sampled_from("T "), st.times(), fractions)
offsets = st.sampled_from(["Z", "+00:00", "+05:30", "-08", "+1400", "-23:59"])
moments = st.one_of(dates, local_times, st.builds("{}{}".format, local_times, offsets))
#: Times of one form: a page that mixes forms takes the slow path.
uniform_moments = st.sampled_from([dates, local_times, st.builds("{}{}".format, local_times, offsets)])
json_numbers = st.one_of(
    st.integers().map(str),
    st.integers(-(2**70), 2**70).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(["1.0", "-0", "-0.0", "1e2", "1E400", "2147483648", "9007199254740993", "5" * 5000, "1e-400"]),
    st.sampled_from(["NaN", "Infinity", "-Infinity"]),
).map(Raw)
odd_text = st.one_of(texts, st.sampled_from(["\ud800", "x\udc80", "NaN", "1,5", "2025-02-30", "0001-01-01", "\x00"]))
scalars = st.one_of(st.none(), st.booleans(), json_numbers, odd_text, moments, decimals)
anything = st.recursive(
    scalars, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(odd_text, inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip


def clean_value(field: Field, times: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """What a field may hold without being rescued."""
    if field.fields:
        return st.lists(st.one_of(st.none(), clean_object(field.fields, times)), max_size=3)
    if field.type == TIMESTAMP:
        return times.filter(lambda text: "0002" < text < "9998")  # years that no offset can leave
    if field.type == DECIMAL:
        return fitting_decimals
    if field.type == DOUBLE:
        return st.floats(-(2**52), 2**52)
    if field.type == INT32:
        return st.integers(-(2**31), 2**31 - 1)
    return st.booleans() if field.type == BOOL else texts


def clean_object(fields: tuple[Field, ...], times: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Some of the fields, each null or with a value that fits."""
    wanted = {field.api_name: st.one_of(st.none(), clean_value(field, times)) for field in fields}
    return st.fixed_dictionaries({}, optional=wanted)


def clean_item(times: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, Any]]:
    """An item without anything to rescue."""
    return clean_object(ITEM_FIELDS, times).map(lambda fields: {**fields, "id": "a"})


def odd_object(fields: tuple[Field, ...]) -> st.SearchStrategy[Any]:
    """Known and unknown fields with any values at all, some of them twice."""
    known = [st.tuples(st.just(field.api_name), odd_value(field)) for field in fields if field.api_name != "id"]
    unknown = st.tuples(st.one_of(odd_text, st.sampled_from(["a.b", "a[0]", "", "_rescued_data", 'q"'])), anything)
    return st.lists(st.one_of(*known, unknown), max_size=6).map(Pairs)


def odd_value(field: Field) -> st.SearchStrategy[Any]:
    """What fits a field, and what does not."""
    nested = [st.lists(st.one_of(odd_object(field.fields), scalars), max_size=3)] if field.fields else []
    return st.one_of(clean_value(field, moments), anything, *nested)


clean_pages = uniform_moments.flatmap(lambda times: st.lists(clean_item(times), min_size=1, max_size=3))
odd_items = odd_object(ITEM_FIELDS).map(lambda pairs: Pairs([("id", "a"), *pairs]))


@fuzz
@given(odd_items)
def test_columns_and_rescued_values_give_every_item_back(odd: Pairs) -> None:
    """Nothing is lost, apart from missing against null, how numbers and times were written, and digits beyond µs."""
    [row] = decode_page(page(odd)).rows.to_pylist()
    assert meaning(restored(row)) == meaning(parse(encode(odd)))


@fuzz
@given(clean_pages, st.sets(st.sampled_from([field.api_name for field in ITEM_FIELDS if field.api_name != "id"])))
def test_a_clean_item_is_the_same_whichever_path_its_page_took(clean: list[dict[str, Any]], odd: set[str]) -> None:
    """An odd item on a page changes nothing about the others, whichever columns it takes along to the slow path."""
    alone = decode_page(page(*clean))
    accompanied = decode_page(page(*clean, item(**dict.fromkeys(odd, Raw("{}")), unknown=True)))
    assert not any(alone.rescued)
    assert [set(paths) for paths in accompanied.rescued] == [*(set() for _ in clean), {*odd, "unknown"}]
    assert accompanied.rows.slice(0, len(clean)).equals(alone.rows)


@fuzz
@given(
    st.one_of(st.lists(decimals, min_size=1, max_size=2), st.lists(odd_text, min_size=1)),
    st.one_of(uniform_moments.flatmap(lambda times: st.lists(times, min_size=1)), st.lists(odd_text, min_size=1)),
)
def test_text_is_a_number_or_a_time_to_both_paths_or_to_neither(numbers: list[str], times: list[str]) -> None:
    """Whether a text fits a decimal or a time column, and as what, does not depend on the rest of its page."""
    for field, values in ("target", numbers), ("start", times):
        items = [item(**{field: value}) for value in values]
        alone = decode_page(page(*items)).rows
        accompanied = decode_page(page(*items, item(**{field: {}}))).rows.slice(0, len(values))
        assert alone.equals(accompanied)
