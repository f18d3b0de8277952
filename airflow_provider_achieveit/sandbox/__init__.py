"""A local AchieveIt API, to try DAGs without an account and to test against.

From a shell: `python -m airflow_provider_achieveit.sandbox`. From Python: `with Sandbox({"p1": 900}) as sandbox: ...`.
Needs the extra `sandbox`; the constants can be imported without it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_achieveit.sandbox.plans import Plan
    from airflow_provider_achieveit.sandbox.server import Sandbox
    from airflow_provider_achieveit.sandbox.service import Request
    from airflow_provider_achieveit.sandbox.state import State

__all__ = ["DEMO_KEY", "DEMO_PLANS", "Plan", "Request", "Sandbox", "State"]

#: The API key that the sandbox accepts unless it is told another.
DEMO_KEY = "sandbox-key"

#: The plans of the command line, with their sizes: a small one, an empty one, and one of more than two pages.
DEMO_PLANS = {
    "3f0a6c1e-52d4-4b8e-9c37-d1f6a2b40e01": 40,
    "8b7d2e94-0c1f-4a63-b5e8-47a9c3d81f02": 0,
    "c5e19a70-6f38-4d2b-8a14-9e0b7d52c603": 3200,
}

_HOME = {"Plan": "plans", "State": "state", "Request": "service", "Sandbox": "server"}


def __getattr__(name: str) -> Any:
    # Example DAGs import the constants above, and parsing a DAG should not import a web server.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
