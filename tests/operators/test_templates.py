"""What a template renders to, by the same rule for operator, sensor and trigger."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest

from airflow_provider_achieveit import _templates as templates
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.lake.options import ExportOptions

NOTHING = [None, "None", "", " ", " None\n"]


@pytest.mark.parametrize("nothing", NOTHING)
def test_nothing_means_not_given(nothing: Any) -> None:
    """The default where there is one, else an error that names the argument."""
    assert templates.text("achieveit_conn_id", nothing, "default") == "default"
    assert templates.optional_text("snapshot", nothing) is None
    assert templates.since(nothing) == ""
    assert templates.destination_conn_id(nothing, given=False) is None
    with pytest.raises(AchieveItConfigError, match=r"^destination is not given"):
        templates.text("destination", nothing)
    with pytest.raises(AchieveItConfigError, match=r"^plan_id is not given"):
        templates.plan_id(nothing)
    with pytest.raises(AchieveItConfigError, match=r"^plan_ids is not given"):
        templates.plan_ids(nothing)
    with pytest.raises(
        AchieveItConfigError, match=r"^destination_conn_id was given and rendered to .*another identity"
    ):
        templates.destination_conn_id(nothing, given=True)
    assert ExportOptions(*[nothing] * 5) == ExportOptions()


def test_numbers_become_text_where_text_is_meant() -> None:
    """As `render_template_as_native_obj` makes them of digits."""
    assert templates.text("snapshot", 20261125) == "20261125"
    assert templates.plan_id(17) == "17"
    assert templates.optional_text("achieveit_conn_id", 5) == "5"


def test_text_becomes_a_number_where_one_is_meant() -> None:
    """As templates make it of numbers."""
    assert ExportOptions(min_rows="3", max_shrink="0.25") == ExportOptions(min_rows=3, max_shrink=0.25)


def test_a_time_is_a_since() -> None:
    """Native rendering gives times and dates as they are."""
    assert templates.since(datetime(2026, 11, 25, 10, tzinfo=UTC)) == "2026-11-25T10:00:00+00:00"
    assert templates.since(date(2026, 11, 25)) == "2026-11-25"
    assert templates.since("2026-11-25") == "2026-11-25"


CHANGE = {"plan_id": "a", "previous": None, "current": {"total_count": 3}, "reason": "first seen {{ here }}"}


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        (["a", "b"], ["a", "b"]),
        (("a", "b"), ["a", "b"]),
        (["b", "a", "b"], ["b", "a"]),
        ([17, "a", CHANGE], ["17", "a"]),
        (CHANGE, ["a"]),
        (17, ["17"]),
        ("a", ["a"]),
        ("a,b, c\n d\te,", ["a", "b", "c", "d", "e"]),
        ("007 7", ["007", "7"]),
        ('["a", 17]', ["a", "17"]),
        ('"a"', ["a"]),
        ("['a', 'b']", ["a", "b"]),
        (" ('a', 17)\n", ["a", "17"]),
        ('[{"plan_id": "a", "previous": null}]', ["a"]),
        (str([{**CHANGE, "reason": "first seen"}]), ["a"]),
        (range(3), ["0", "1", "2"]),
        ([], []),
        ("[]", []),
    ],
    ids=repr,
)
def test_the_forms_of_plan_ids(given: Any, ids: list[str]) -> None:
    """Each id once, in the order given; integers are ids, and so are changes as the sensor returns them."""
    assert templates.plan_ids(given) == ids


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (["a", "../b", "c d", None, True, 1.5, -1, [], {}], "'../b', 'c d', None, True, 1.5, -1, [], {}: a plan id is"),
        ("a;b", "'a;b'"),
        (True, "True"),
        (1.5, "1.5"),
        (b"a", "b'a'"),
        ({"a", "b"}, "is not a list of plan ids"),
        (["a", "{{ params.plan }}"], "'{{ params.plan }}'"),
        ("{{ params.plans }}", "'{{ params.plans }}' is a template that was not rendered"),
        ('["a",', "is neither JSON nor a Python list"),
        ("[" * 100_000, "100000 long"),
        (["x" * 5_000_000], "5000000 long"),
        ([10**5000], "plan id is"),
        ([f"bad {n}" for n in range(500)], "'bad 19' and 480 more: a plan id is"),
    ],
    ids=lambda value: shown(value)[:40],
)
def test_bad_plan_ids_are_named_together(given: Any, named: str) -> None:
    """In one message of bounded length."""
    with pytest.raises(AchieveItConfigError) as caught:
        templates.plan_ids(given)
    assert str(caught.value).startswith("plan_ids ")
    assert named in str(caught.value)
    assert len(str(caught.value)) < 5000


@pytest.mark.parametrize(
    "bad", [True, ["s3://lake"], {}, b"x", 1j, object, "{{ ds }}", "{% if x %}", "\ud800", 10**5000], ids=shown
)
def test_what_is_not_text_is_refused(bad: Any) -> None:
    """The message names argument and value."""
    for read in (lambda: templates.text("snapshot", bad), lambda: templates.optional_text("snapshot", bad)):
        with pytest.raises(AchieveItConfigError, match=r"^snapshot ") as caught:
            read()
        assert shown(bad) in str(caught.value)


@pytest.mark.parametrize("bad", [0, False, [], 5, 1.5, b"", "{{ prev_start_date_success }}"])
def test_what_is_not_a_time_is_no_since(bad: Any) -> None:
    """Zero and False are not the beginning of time."""
    with pytest.raises(AchieveItConfigError, match=r"^since "):
        templates.since(bad)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plan", "'plan'"),
        ("two\nlines \x1b[31mred\u202e", r"'two\nlines \x1b[31mred\u202e'"),
        ("x" * 5_000_000, f"'{'x' * 100}'… (5000000 long)"),
        (b"\x00" * 200, "b'" + r"\x00" * 100 + "'… (200 long)"),
        ([1, "a"], "[1, 'a']"),
        (10**5000, "<int>"),
        (None, "None"),
    ],
    ids=lambda value: shown(value)[:20],
)
def test_a_value_is_shown_on_one_short_line(value: Any, text: str) -> None:
    """Whatever people and servers put into it."""
    assert shown(value) == text


def test_a_value_that_cannot_be_written_out_is_shown_by_its_class() -> None:
    """Its `repr` can raise, or be long, or hold line breaks."""

    class Odd:
        text = ""

        def __repr__(self) -> str:
            if not self.text:
                raise RuntimeError
            return self.text

    assert shown(Odd()).startswith("<Odd")
    Odd.text = "a\nb" * 1000
    assert "\n" not in shown(Odd())
    assert len(shown(Odd())) < 1000
