"""The export operator with `plan_ids`: what the task returns, raises, skips and announces."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit._compat import AirflowFailException, AirflowSkipException
from airflow_provider_achieveit.lake.errors import AchieveItPortfolioError, AchieveItPortfolioFinalError
from airflow_provider_achieveit.lake.layout import latest_key

if TYPE_CHECKING:
    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    from airflow_provider_achieveit.sandbox import Sandbox
    from tests.lake.stores import LocalStores

    Export = Callable[..., AchieveItExportOperator]


class Instance(SimpleNamespace):
    """A task instance as far as an operator asks for it."""

    def __init__(self, **values: Any) -> None:
        super().__init__(
            **{"dag_id": "d", "run_id": "r", "task_id": "export", "map_index": -1, "try_number": 1, **values}
        )
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep an XCom as JSON, as Airflow does."""
        self.xcoms[key] = json.loads(json.dumps(value))


def many(export: Export, plan_ids: Any, **arguments: Any) -> AchieveItExportOperator:
    """Return an operator that exports many plans."""
    return export(plan_id=None, plan_ids=plan_ids, **arguments)


@pytest.mark.parametrize(
    "plan_ids",
    [
        ["p1", "one"],
        ("p1", "one", "p1"),
        [{"plan_id": "p1", "reason": "updated"}, {"plan_id": "one"}],
        '["p1", "one"]',
        "['p1', 'one']",
        "p1, one",
        "p1\none\n",
    ],
)
def test_every_form_of_the_list_gives_the_manifests_in_its_order(
    export: Export, sandbox: Sandbox, plan_ids: Any
) -> None:
    """A plan that is named twice is exported once."""
    manifests = many(export, plan_ids).execute({})
    assert [(manifest["plan_id"], manifest["rows"]) for manifest in manifests] == [("p1", 25), ("one", 1)]


@pytest.mark.parametrize(
    "plan_ids",
    [
        ["{{ first }}", "one"],
        ("p1", "{{ second }}"),
        ["p1", "{% if second %}{{ second }}{% endif %}"],
        [{"plan_id": "{{ first }}"}, {"plan_id": "one"}],
        "{{ first }}, {{ second }}",
    ],
)
def test_each_entry_of_the_list_can_be_a_template(export: Export, sandbox: Sandbox, plan_ids: Any) -> None:
    """It is no plan id when the DAG file is parsed, and one when the task runs."""
    operator = many(export, plan_ids)
    operator.render_template_fields({"first": "p1", "second": "one"})
    assert [manifest["plan_id"] for manifest in operator.execute({})] == ["p1", "one"]


def test_an_entry_that_was_not_rendered_is_named_when_the_task_runs(export: Export, sandbox: Sandbox) -> None:
    """As where somebody calls `execute` in a Python shell."""
    with pytest.raises(ValueError, match=r"plan_ids.*\{\{ first \}\}"):
        many(export, ["{{ first }}", "one"]).execute({})
    assert sandbox.requests == []


@pytest.mark.parametrize("given", [{}, {"plan_id": "p1", "plan_ids": ["p1"]}])
def test_exactly_one_of_plan_id_and_plan_ids(export: Export, given: dict[str, Any]) -> None:
    """Neither and both are refused when the DAG file is parsed."""
    with pytest.raises(ValueError, match="exactly one of the two"):
        export(**{"plan_id": None, **given})


@pytest.mark.parametrize("plan_ids", [["p1", "../x", None, True, {}, 1.5], "{'plan': 1}", 7.0, b"p1"])
def test_what_is_not_a_plan_id_is_named_before_any_request(export: Export, sandbox: Sandbox, plan_ids: Any) -> None:
    """All bad ones together."""
    with pytest.raises(ValueError, match="plan_ids"):
        many(export, plan_ids)
    assert sandbox.requests == []


def test_an_empty_list_skips_the_task(export: Export, sandbox: Sandbox) -> None:
    """As when a sensor or a query found nothing to do."""
    with pytest.raises(AirflowSkipException, match="empty"):
        many(export, []).execute({})
    assert sandbox.requests == []


def test_failures_are_named_together_and_what_landed_stays(export: Export, sandbox: Sandbox, lake: LocalStores) -> None:
    """A 404 may pass, so Airflow tries again; the error has a line for each plan."""
    sandbox.plan("one").forbidden = True
    with pytest.raises(AchieveItPortfolioError) as caught:
        many(export, ["p1", "nobodys", "one", "empty"]).execute({})
    assert not isinstance(caught.value, AirflowFailException)
    message = str(caught.value)
    assert "2 of 4 plans failed; 2 landed as snapshot now" in message
    assert "- nobodys: AchieveItNotFoundError: Plan nobodys: AchieveIt answered 404" in message
    assert "- one: AchieveItForbiddenError: Plan one: AchieveIt answered 403" in message
    landed = {key.split("plan=")[1].split("/")[0] for key in lake.objects() if key.startswith("plan_items/")}
    assert landed == {"p1", "empty"}


def test_failures_that_no_try_can_mend_fail_the_task_at_once(export: Export, sandbox: Sandbox) -> None:
    """Whatever its retries are."""
    sandbox.plan("one").forbidden = True
    with pytest.raises(AchieveItPortfolioFinalError) as caught:
        many(export, ["p1", "one"]).execute({})
    assert isinstance(caught.value, AirflowFailException)


def test_failures_can_be_a_warning(export: Export, sandbox: Sandbox) -> None:
    """The task succeeds with the plans that landed, and the others are an XCom of their own."""
    sandbox.plan("one").forbidden = True
    instance = Instance()
    manifests = many(export, ["p1", "one"], on_plan_failure="warn").execute({"ti": instance})
    assert [manifest["plan_id"] for manifest in manifests] == ["p1"]
    (failure,) = instance.xcoms["failures"]
    assert (failure["plan_id"], failure["error"], failure["status"]) == ("one", "AchieveItForbiddenError", 403)
    with pytest.raises(AchieveItPortfolioFinalError):
        many(export, ["one"], on_plan_failure="warn").execute({})


def test_the_log_says_what_landed(export: Export, sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    """A line for all plans together, and in a group that the UI folds one for each."""
    many(export, ["p1", "one"], snapshot="before").execute({})
    sandbox.plan("one").edit(0, name="New")
    sandbox.plan("empty").forbidden = True
    caplog.clear()
    with caplog.at_level(logging.INFO):
        first, second = many(export, ["p1", "one", "empty"], on_plan_failure="warn").execute({"ti": Instance()})
    lines = [record.getMessage() for record in caplog.records]
    assert lines.count("3 of 3 plans done: 2 landed with 26 rows, 0 left out, 1 failed") == 1
    [total] = [line for line in lines if " landed as snapshot " in line]
    size = sum(file["bytes"] for manifest in (first, second) for file in manifest["files"])
    assert total.startswith(f"2 of 3 plans landed as snapshot now: 26 rows, {size} bytes, in ")
    assert total.endswith(f" s, requests: {first['requests'] + second['requests']}; 0 left out, 1 failed")
    begin, end = lines.index("::group::Landed plans"), lines.index("::endgroup::")
    for line, manifest, content in zip(
        lines[begin + 1 : end], (first, second), ("is that of", "differs from that of"), strict=True
    ):
        assert line == (
            f"Plan {manifest['plan_name']!r} ({manifest['plan_id']}): {manifest['rows']} rows, last updated "
            f"{manifest['version']['last_updated']}; the content {content} snapshot before"
        )


def test_unchanged_plans_are_left_out_and_the_task_is_skipped_if_all_are(export: Export, sandbox: Sandbox) -> None:
    """So that tasks behind it work on what is new, or not at all."""
    many(export, ["p1", "one"]).execute({})
    operator = many(export, ["p1", "one"], if_unchanged="skip", snapshot="later")
    with pytest.raises(AirflowSkipException):
        operator.execute({})
    sandbox.plan("one").edit(0, name="New")
    (manifest,) = operator.execute({})
    assert (manifest["plan_id"], manifest["changes"]) == ("one", {"added": 0, "removed": 0, "changed": 1})


def test_a_retry_returns_what_all_tries_have_landed(export: Export, sandbox: Sandbox, lake: LocalStores) -> None:
    """The second try exports the rest, under the label of the first, and cleans up after itself."""
    sandbox.plan("one").forbidden = True
    with pytest.raises(AchieveItPortfolioFinalError):
        many(export, ["p1", "one"], snapshot="%H%M%S-first").execute({"ti": Instance()})
    assert any(key.startswith("_runs/") for key in lake.objects())
    sandbox.plan("one").forbidden = False
    manifests = many(export, ["p1", "one"], snapshot="second").execute({"ti": Instance(try_number=2)})
    assert [manifest["try_number"] for manifest in manifests] == [1, 2]
    assert len({manifest["snapshot"] for manifest in manifests}) == 1
    assert manifests[0]["snapshot"].endswith("-first")
    assert not any(key.startswith("_runs/") for key in lake.objects())


def test_a_retry_lands_a_plan_again_whose_latest_manifest_was_not_written(
    export: Export, sandbox: Sandbox, lake: LocalStores
) -> None:
    """A worker was lost right before; readers and sensors look at `latest.json`."""
    sandbox.plan("one").forbidden = True
    with pytest.raises(AchieveItPortfolioFinalError):
        many(export, ["p1", "one"], snapshot="first").execute({"ti": Instance()})
    sandbox.plan("one").forbidden = False
    lake.put(latest_key("p1"), None)
    manifests = many(export, ["p1", "one"], snapshot="first").execute({"ti": Instance(try_number=2)})
    assert [manifest["try_number"] for manifest in manifests] == [2, 2]
    assert json.loads(lake.objects()[latest_key("p1")]) == manifests[0]
