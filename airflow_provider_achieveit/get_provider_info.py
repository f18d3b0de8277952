"""What Airflow is told about this provider: connection form, modules, links.

Airflow 3.2 and later build the connection form from here; 2.11 to 3.1 ask the hook, which asks here.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from airflow_provider_achieveit.api.settings import DEFAULT_BASE_URL, ClientSettings

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["login", "schema"],
    "relabeling": {"password": "API key", "host": "Base URL"},
    "placeholders": {"host": DEFAULT_BASE_URL, "password": "the key of a user who may view the plans"},
}

_JSON_TYPES = {int: "integer", float: "number"}


def conn_fields() -> dict[str, Any]:
    """Return the connection's extras as fields of its form: the client's settings, and the plan for the test button."""
    form = {}
    for setting in fields(ClientSettings):
        if "label" not in setting.metadata:
            continue
        limits = {key: value for key, value in setting.metadata.items() if key in ("minimum", "maximum")}
        schema: dict[str, Any] = {"type": [_JSON_TYPES.get(type(setting.default), "string"), "null"], **limits}
        if limits:
            schema["default"] = setting.default
        form[setting.name] = {
            "label": setting.metadata["label"],
            "description": setting.metadata["help"],
            "schema": schema,
        }
    form["test_plan_id"] = {
        "label": "Test plan id",
        "description": 'Plan that the "Test" button asks for; without one the key cannot be verified.',
        "schema": {"type": ["string", "null"]},
    }
    return form


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, as `provider_info.schema.json` of Airflow 2.11 to 3.3 wants it."""
    package = "airflow_provider_achieveit"
    modules = {
        kind: [{"integration-name": "AchieveIt", "python-modules": [f"{package}.{kind}.achieveit"]}]
        for kind in ("hooks", "operators", "sensors", "triggers")
    }
    return {
        "package-name": "airflow-provider-achieveit",
        "name": "AchieveIt",
        "description": "Lands AchieveIt plans in a data lake: typed Parquet, proven complete, all or nothing.",
        "integrations": [
            {
                "integration-name": "AchieveIt",
                "external-doc-url": "https://www.achieveit.com",
                "tags": ["service"],
            }
        ],
        **modules,
        "connection-types": [
            {
                "connection-type": "achieveit",
                "hook-name": "AchieveIt",
                "hook-class-name": f"{package}.hooks.achieveit.AchieveItHook",
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
                "conn-fields": conn_fields(),
            }
        ],
    }
