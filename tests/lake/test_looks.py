"""Looks at many plans for changes: whose error counts, and when a look is given up."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from airflow_provider_achieveit.api.errors import AchieveItForbiddenError, AchieveItServerError
from airflow_provider_achieveit.lake.change import Baseline
from airflow_provider_achieveit.lake.looks import Findings, find_changes

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.support.faulty_sandbox import Sandbox

PLANS = [f"plan-{number}" for number in range(6)]
NEVER, ALWAYS = Baseline(since=datetime(9999, 1, 1, tzinfo=UTC)), Baseline(since=datetime.min.replace(tzinfo=UTC))


@pytest.fixture
def plans(sandbox: Sandbox) -> Sandbox:
    """A few plans of three items."""
    for plan_id in PLANS:
        sandbox.put_plan(plan_id, 3)
    return sandbox


def look(client: AchieveItClient, baseline: Baseline) -> Findings:
    """Look once, at one plan after the other."""
    return find_changes(client, PLANS, baseline, "version", set())


def fail(sandbox: Sandbox, *numbers: int) -> None:
    """Let the requests of these numbers find no server."""
    sandbox.script(*({"at": number, "fault": {"status": 503}} for number in numbers))


def test_a_server_that_answers_now_and_then_is_no_reason_to_give_up(plans: Sandbox, client: AchieveItClient) -> None:
    """Each plan that cannot be looked at is a failure of its own; what has changed is found."""
    fail(plans, 1, 3, 5)
    findings = look(client, ALWAYS)
    assert [change.plan_id for change in findings.changes] == PLANS[1::2]
    assert [(error.plan_id, type(error)) for error in findings.failures] == [
        (plan_id, AchieveItServerError) for plan_id in PLANS[::2]
    ]


def test_a_server_that_does_not_answer_ends_the_look(plans: Sandbox, client: AchieveItClient) -> None:
    """One more failure in a row than requests at a time: every further plan would wait for its whole time budget."""
    fail(plans, 2, 3, 4, 5, 6)
    with pytest.raises(AchieveItServerError) as caught:
        look(client, ALWAYS)
    assert caught.value.plan_id == PLANS[2]
    assert len(plans.requests) == 3


def test_what_is_a_plans_own_failure_never_ends_the_look(plans: Sandbox, client: AchieveItClient) -> None:
    """However many plans a user may not see."""
    for plan_id in PLANS[:5]:
        plans.plan(plan_id).forbidden = True
    findings = look(client, ALWAYS)
    assert [change.plan_id for change in findings.changes] == PLANS[5:]
    assert len(findings.failures) == 5


@pytest.mark.parametrize("number", [1, 6])
def test_where_nothing_has_changed_the_error_that_can_be_mended_counts(
    plans: Sandbox, client: AchieveItClient, caplog: pytest.LogCaptureFixture, number: int
) -> None:
    """Wherever it stands: the task is tried again then; the others are warnings."""
    for plan_id in PLANS[1:5]:
        plans.plan(plan_id).forbidden = True
    fail(plans, number)
    with pytest.raises(AchieveItServerError) as caught:
        look(client, NEVER)
    assert caught.value.plan_id == PLANS[number - 1]
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert [message.partition(":")[0] for message in warnings] == [f"Plan {plan_id}" for plan_id in PLANS[1:5]]


def test_where_nothing_has_changed_and_nothing_can_be_mended_that_is_the_error(
    plans: Sandbox, client: AchieveItClient
) -> None:
    """The first of several."""
    for plan_id in PLANS[2:4]:
        plans.plan(plan_id).forbidden = True
    with pytest.raises(AchieveItForbiddenError) as caught:
        look(client, NEVER)
    assert caught.value.plan_id == PLANS[2]


def test_nothing_changed_and_nothing_failed(plans: Sandbox, client: AchieveItClient) -> None:
    """One request a plan."""
    assert look(client, NEVER) == Findings([], [])
    assert len(plans.requests) == len(PLANS)
