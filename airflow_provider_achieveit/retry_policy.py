"""A retry policy for Airflow 3.3; on older ones the class exists, and nothing uses it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow_provider_achieveit._compat import RetryDecision, RetryPolicy
from airflow_provider_achieveit.api.errors import AchieveItError


class AchieveItRetryPolicy(RetryPolicy):
    """Retry policy of Airflow 3.3: waits as long as AchieveIt asks, and fails at once where another try can't help.

    The operators of this package have it by default; give it to your own tasks that use the hook:
    `@task(retries=3, retry_policy=AchieveItRetryPolicy())`.
    """

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> Any:
        """Decide by the first error of this package in the exception's chain; any other is left to the task."""
        error: BaseException | None = exception
        while error is not None and not isinstance(error, AchieveItError):
            error = error.__cause__
        if error is None:
            return RetryDecision.default()
        if not error.retry_task:
            return RetryDecision.fail(reason=error.situation)
        if error.retry_after is not None:
            return RetryDecision.retry(delay=timedelta(seconds=error.retry_after), reason="Retry-After")
        return RetryDecision.default()


def with_retry_policy(arguments: dict[str, Any]) -> dict[str, Any]:
    """Add the policy to an operator's arguments where Airflow knows policies and the user has not chosen one."""
    chosen = "retry_policy" in arguments or "retry_policy" in (arguments.get("default_args") or {})
    if RetryDecision is None or chosen:
        return arguments
    return {**arguments, "retry_policy": AchieveItRetryPolicy()}
