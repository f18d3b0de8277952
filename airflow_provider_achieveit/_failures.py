"""How errors of this package reach Airflow."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_achieveit._compat import AirflowFailException
from airflow_provider_achieveit.api.errors import AchieveItError


@contextmanager
def decided_failures() -> Iterator[None]:
    """Fail the task at once where another try can't help; leave other errors to the task's `retries`."""
    try:
        yield
    except AchieveItError as error:
        if error.decision.retried_by_airflow:
            raise
        raise AirflowFailException(str(error)) from error
