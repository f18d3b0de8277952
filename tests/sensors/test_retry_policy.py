"""What a failed task's retries make of our errors, from Airflow 3.3 on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk import DAG, ExceptionRetryPolicy, RetryAction
from airflow.sdk.exceptions import AirflowFailException

from airflow_provider_achieveit.api.errors import AchieveItError, AchieveItRateLimitError, AchieveItServerError
from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
from airflow_provider_achieveit.retry_policy import AchieveItRetryPolicy
from airflow_provider_achieveit.sensors.achieveit import AchieveItPlanChangeSensor
from tests.support.errors import ERRORS

OPERATORS: list[tuple[type[Any], dict[str, Any]]] = [
    (AchieveItExportOperator, {"plan_id": "p", "destination": "file:///lake"}),
    (AchieveItPlanChangeSensor, {"plan_id": "p", "destination": "file:///lake"}),
]


def _decide(error: BaseException) -> Any:
    return AchieveItRetryPolicy().evaluate(error, try_number=1, max_tries=3)


@pytest.mark.parametrize("error", ERRORS)
def test_the_policy_does_what_each_error_decides(error: type[AchieveItError]) -> None:
    """Where another try can't help the task fails at once; otherwise its own retries and delays apply."""
    decision = _decide(error("it happened"))
    expected = RetryAction.DEFAULT if error.retry_task else RetryAction.FAIL
    assert decision.action is expected


@pytest.mark.parametrize("error", [AchieveItRateLimitError, AchieveItServerError])
def test_retry_after_becomes_the_delay(error: type[AchieveItError]) -> None:
    """The task is tried again when the server allows it."""
    decision = _decide(error("busy", retry_after=37))
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == timedelta(seconds=37)


def test_an_error_is_found_in_what_it_caused() -> None:
    """A task of the user's own may wrap our errors."""
    ours = AchieveItRateLimitError("busy", retry_after=37)
    wrapped = RuntimeError("the report failed")
    wrapped.__cause__ = ours
    outer = ValueError("again")
    outer.__cause__ = wrapped
    assert _decide(outer).retry_delay == timedelta(seconds=37)


@pytest.mark.parametrize("error", [ValueError("x"), AirflowFailException("x"), MemoryError()])
def test_other_errors_are_left_to_the_task(error: BaseException) -> None:
    """What is not ours is none of the policy's business."""
    assert _decide(error).action is RetryAction.DEFAULT


@pytest.mark.parametrize(("operator", "arguments"), OPERATORS)
def test_operator_and_sensor_have_it_by_default(operator: type[Any], arguments: dict[str, Any]) -> None:
    """Nobody has to know of it; also in a DAG that has default arguments, and when mapped."""
    assert isinstance(operator(task_id="t", **arguments).retry_policy, AchieveItRetryPolicy)
    with DAG("d", default_args={"retries": 3}):
        task = operator(task_id="t", **arguments)
    assert isinstance(task.retry_policy, AchieveItRetryPolicy)
    assert task.retries == 3


@pytest.mark.parametrize(("operator", "arguments"), OPERATORS)
def test_a_policy_that_the_user_chose_wins(operator: type[Any], arguments: dict[str, Any]) -> None:
    """As an argument, or in the default arguments of task or DAG; None is a choice as well."""
    chosen = ExceptionRetryPolicy(rules=[])
    assert operator(task_id="t", retry_policy=chosen, **arguments).retry_policy is chosen
    assert operator(task_id="t", retry_policy=None, **arguments).retry_policy is None
    with DAG("d", default_args={"retry_policy": chosen}):
        assert operator(task_id="t", **arguments).retry_policy is chosen
