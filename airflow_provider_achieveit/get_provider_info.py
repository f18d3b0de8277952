"""The provider's metadata for Airflow: connection form, modules, links.

Airflow 3.2 and later build the connection form from here; 2.11 to 3.1 ask the hook, which asks here.
"""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

from airflow_provider_achieveit.api.settings import DEFAULT_BASE_URL, ClientSettings

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["login", "schema"],
    "relabeling": {"password": "API key", "host": "Base URL"},
    "placeholders": {"host": DEFAULT_BASE_URL, "password": "the key of a user who may view the plans"},
}

#: The extras that are not settings of the client.
TEST_PLAN_ID = "test_plan_id"
PLAN_URL = "plan_url"

#: Label and description of each extra; `ClientSettings` has the defaults and limits.
FIELDS = {
    "page_size": ("Page size", "Items per request, 2 to 1500."),
    "max_concurrency": ("Max concurrency", "Requests in flight at once."),
    "connect_timeout": ("Connect timeout", "Seconds to wait for a connection."),
    "read_timeout": ("Read timeout", "Seconds to wait for the next byte."),
    "max_retry_seconds": ("Max retry seconds", "Time budget of one page for all its tries; 0 turns retries off."),
    "requests_per_second": ("Requests per second", "Of one task or trigger process, on average; 0 for no limit."),
    "verify": ("Verify TLS", "true, false, or the path of a CA file."),
    "proxy": ("Proxy", "URL of an HTTP proxy; empty uses the environment's."),
    PLAN_URL: ("Plan URL", "Address of a plan in AchieveIt, with {plan_id} for its id: a link in the UI leads there."),
    TEST_PLAN_ID: ("Test plan id", 'Plan that the "Test" button asks for; without one the key cannot be verified.'),
}

_JSON_TYPES = {int: "integer", float: "number"}


def conn_fields() -> dict[str, Any]:
    """Return the connection's extras as fields of its form: the client's settings, and what the UI needs."""
    settings = {field.name: field for field in fields(ClientSettings)}
    return {
        name: {"label": label, "description": description, "schema": _json_schema(settings.get(name))}
        for name, (label, description) in FIELDS.items()
    }


def _json_schema(setting: Field[Any] | None) -> dict[str, Any]:
    """Return what the form accepts: a number within its limits, else text; a field can always be left empty."""
    if setting is None or "minimum" not in setting.metadata:
        return {"type": ["string", "null"]}
    limits = {key: setting.metadata[key] for key in ("minimum", "maximum")}
    return {"type": [_JSON_TYPES[type(setting.default)], "null"], **limits, "default": setting.default}


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
        "extra-links": [
            f"{package}.links.achieveit.AchieveItSnapshotLink",
            f"{package}.links.achieveit.AchieveItPlanLink",
        ],
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
