"""Wrong types and values for every argument of the operator, before and after rendering."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import is_given, shown
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_achieveit.sandbox import Sandbox
    from tests.lake.stores import LocalStores

    Export = Callable[..., AchieveItExportOperator]

#: Text that no argument takes, among it a template that was not rendered and half a character.
ODD_TEXT = st.sampled_from(
    ["{{ ds }}", "{% x %}", "\ud800", "a\nb\x1b[31m", "ä/é", "x" * 100_000, "a\x00b", "%", "../x", "\u202e"]
)
#: Values that are neither text, numbers nor None.
ODD_VALUES = st.one_of(
    st.booleans(),
    st.binary(max_size=5),
    st.complex_numbers(),
    st.lists(st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
    st.sampled_from([float("nan"), float("inf"), 10**5000, object, {1, 2}, range(3)]),
)
ODD = st.one_of(ODD_TEXT, ODD_VALUES)
WORDS = st.text("abc xyz-_", min_size=1).filter(is_given)
WRONG: dict[str, st.SearchStrategy[Any]] = {
    "plan_id": st.one_of(ODD, st.sampled_from(["a_b", "a b", "x" * 65, 1.5, -1.5, None, ""])),
    "destination": st.one_of(ODD_VALUES, st.sampled_from(["{{ ds }}", "\ud800", None, "", "None"])),
    "destination_conn_id": st.one_of(ODD_VALUES, st.sampled_from(["{{ ds }}", "\ud800"])),
    "achieveit_conn_id": st.one_of(ODD_VALUES, st.sampled_from(["{{ ds }}", "\ud800"])),
    "snapshot": st.one_of(ODD, st.sampled_from([".x", "a..b", "a b", "x" * 129, "%Y/%m", "a=b"])),
    "if_unchanged": st.one_of(ODD, WORDS, st.integers()),
    "on_drift": st.one_of(ODD, WORDS, st.integers()),
    "on_inconsistent": st.one_of(ODD, WORDS, st.integers()),
    "min_rows": st.one_of(ODD, WORDS, st.integers(max_value=-1), st.floats(0.1, 0.9)),
    "plan_ids": st.one_of(
        ODD_TEXT.filter(lambda text: text != "%"),
        st.lists(ODD, min_size=1, max_size=3),
        st.sampled_from([True, 1.5, b"a", {"a": 1}, {1, 2}, object, None, "", "[", "{}", '["a/b"]']),
    ),
    "tables": st.one_of(ODD, WORDS, st.integers()),
    "changes": st.one_of(ODD_TEXT, WORDS, st.integers(), st.floats(), st.lists(st.booleans(), max_size=2)),
    "table_format": st.one_of(ODD, WORDS, st.integers()),
    "iceberg_conn_id": st.one_of(ODD_VALUES, st.sampled_from(["{{ ds }}", "\ud800"])),
    "iceberg_namespace": st.one_of(ODD_VALUES, st.sampled_from(["{{ ds }}", "\ud800"])),
    "on_plan_failure": st.one_of(ODD, WORDS, st.integers()),
    "max_shrink": st.one_of(ODD, WORDS, st.floats(1.01), st.integers(max_value=-1)),
}


def test_every_argument_is_among_them() -> None:
    """A new argument needs wrong values as well."""
    assert set(WRONG) == set(AchieveItExportOperator.template_fields)


@pytest.mark.parametrize("rendered", [False, True], ids=["in the DAG file", "rendered"])
@pytest.mark.parametrize("name", WRONG)
@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_wrong_value_is_named_before_any_request(
    export: Export, lake: LocalStores, sandbox: Sandbox, name: str, rendered: bool, data: st.DataObject
) -> None:
    """One of our errors, with the argument and its value; nothing is sent and nothing lands."""
    value = data.draw(WRONG[name])
    others = {"plan_id": None} if name == "plan_ids" else {}
    if rendered:
        operator = export(**others, **{name: "{{ ds }}"})
        setattr(operator, name, value)
    with pytest.raises(AchieveItConfigError) as caught:
        (operator if rendered else export(**others, **{name: value})).execute({})
    message = str(caught.value)
    assert name in message
    values = value if name == "plan_ids" and isinstance(value, list) else [value]
    assert all(shown(one) in message for one in values) or not is_given(value) or name == "plan_ids"
    assert len(message) < 1000
    assert message.isprintable()
    assert sandbox.requests == []
    assert lake.objects() == {}
