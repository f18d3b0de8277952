"""The AchieveIt REST API without Airflow: client, settings, plan version, errors.

    from airflow_provider_achieveit.api import AchieveItClient

    with AchieveItClient(api_key) as client:
        items = list(client.plan(plan_id).items())

Nothing is imported until it is asked for, so that naming an error class does not load `requests`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.api.errors import (
        AchieveItAuthError,
        AchieveItClosedError,
        AchieveItConfigError,
        AchieveItDataError,
        AchieveItError,
        AchieveItForbiddenError,
        AchieveItMalformedError,
        AchieveItNotFoundError,
        AchieveItRateLimitError,
        AchieveItRedirectError,
        AchieveItRefusedError,
        AchieveItServerError,
        AchieveItShapeError,
        AchieveItTimeoutError,
        AchieveItTlsError,
        AchieveItTooLargeError,
        AchieveItUnauthorizedError,
        AchieveItUnreachableError,
    )
    from airflow_provider_achieveit.api.plan import PlanClient
    from airflow_provider_achieveit.api.plan_version import PlanVersion
    from airflow_provider_achieveit.api.retry import Pauses
    from airflow_provider_achieveit.api.settings import ClientSettings

__all__ = [
    "AchieveItAuthError",
    "AchieveItClient",
    "AchieveItClosedError",
    "AchieveItConfigError",
    "AchieveItDataError",
    "AchieveItError",
    "AchieveItForbiddenError",
    "AchieveItMalformedError",
    "AchieveItNotFoundError",
    "AchieveItRateLimitError",
    "AchieveItRedirectError",
    "AchieveItRefusedError",
    "AchieveItServerError",
    "AchieveItShapeError",
    "AchieveItTimeoutError",
    "AchieveItTlsError",
    "AchieveItTooLargeError",
    "AchieveItUnauthorizedError",
    "AchieveItUnreachableError",
    "ClientSettings",
    "Pauses",
    "PlanClient",
    "PlanVersion",
]

_MODULES = {
    "AchieveItClient": "client",
    "ClientSettings": "settings",
    "Pauses": "retry",
    "PlanClient": "plan",
    "PlanVersion": "plan_version",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
