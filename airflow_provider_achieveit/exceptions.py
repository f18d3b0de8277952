"""How errors of this package reach Airflow: where another try can't help, as a failure that no `retries` apply to.

Such an error stays what it is, for whoever catches it, and is an `AirflowFailException` as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_achieveit._compat import AirflowFailException
from airflow_provider_achieveit.api.errors import (
    AchieveItAuthError,
    AchieveItConfigError,
    AchieveItDriftError,
    AchieveItError,
    AchieveItGuardError,
)


class ConfigFailure(AchieveItConfigError, AirflowFailException):
    """A connection, argument or destination that can't work, in a task."""


class AuthFailure(AchieveItAuthError, AirflowFailException):
    """A refused key, in a task."""


class DriftFailure(AchieveItDriftError, AirflowFailException):
    """Values that do not fit, in a task that is to fail then."""


class GuardFailure(AchieveItGuardError, AirflowFailException):
    """A snapshot that is too small, in a task."""


_FAILURES: dict[type[AchieveItError], type[AchieveItError]] = {
    AchieveItConfigError: ConfigFailure,
    AchieveItAuthError: AuthFailure,
    AchieveItDriftError: DriftFailure,
    AchieveItGuardError: GuardFailure,
}


@contextmanager
def as_task_errors() -> Iterator[None]:
    """Fail the task at once where another try can't help; leave other errors to the task's `retries`."""
    try:
        yield
    except AchieveItError as error:
        if error.decision.retried_by_airflow or isinstance(error, AirflowFailException):
            raise
        failure = _FAILURES[type(error)](
            str(error), status=error.status, plan_id=error.plan_id, retry_after=error.retry_after
        )
        failure.situation = error.situation
        # One error in the log, not two with the same message.
        raise failure.with_traceback(error.__traceback__) from error.__cause__
