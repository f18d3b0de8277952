"""The errors of this package as Airflow's tasks raise them.

Where another try cannot help, an error is also an `AirflowFailException`, to which no `retries` apply. Its class has
the name that `docs/errors.md` has, and is a subclass of the class of that name in `api.errors` or `lake.errors`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow_provider_achieveit._compat import AirflowFailException
from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.lake import errors as _  # noqa: F401  # so that their classes can be found by name


@contextmanager
def as_task_errors() -> Iterator[None]:
    """Fail the task at once where another try cannot help; leave other errors to the task's `retries`."""
    try:
        yield
    except AchieveItError as error:
        if error.retry_task or isinstance(error, AirflowFailException):
            raise
        final = _final_class(type(error).__name__)(
            error.what, status=error.status, plan_id=error.plan_id, retry_after=error.retry_after
        )
        # One error in the log, not two with the same message.
        raise final.with_traceback(error.__traceback__) from error.__cause__


def _final_class(name: str) -> Any:
    """Return the class of an error that also fails an Airflow task at once; it is made when it is first needed."""
    if name not in globals():
        base = AchieveItError.class_named(name)
        globals()[name] = type(name, (base, AirflowFailException), {"__module__": __name__, "__doc__": base.__doc__})
    return globals()[name]


def __getattr__(name: str) -> Any:
    """Find a class by name, so that errors can be unpickled and caught."""
    base = AchieveItError.class_named(name)
    if base is AchieveItError or base.retry_task:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _final_class(name)
