"""A local AchieveIt API, to try DAGs without an account and to test against.

From a shell: `python -m airflow_provider_achieveit.sandbox`. From Python: `with Sandbox({"p1": 900}) as sandbox: ...`.
It needs nothing but the standard library, and listens on loopback only.
"""

from airflow_provider_achieveit.sandbox.plans import Plan
from airflow_provider_achieveit.sandbox.server import DEMO_KEY, DEMO_PLANS, Sandbox
from airflow_provider_achieveit.sandbox.state import State

__all__ = ["DEMO_KEY", "DEMO_PLANS", "Plan", "Sandbox", "State"]
