"""What an Airflow connection of AchieveIt says: the client's settings, and the extras that only the UI needs."""

from __future__ import annotations

import json
import logging
import re
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.settings import DEFAULT_BASE_URL, ClientSettings
from airflow_provider_achieveit.api.validate import check_plan_id, is_given, shown, text
from airflow_provider_achieveit.get_provider_info import FIELDS, PLAN_URL, TEST_PLAN_ID

log = logging.getLogger(__name__)

#: Stands for the id of a plan in the extra `plan_url`.
PLACEHOLDER = "{plan_id}"


def client_settings(connection: Any) -> ClientSettings:
    """Read the client's settings from a connection.

    Raises:
        AchieveItConfigError: A field can't be used.
    """
    extras = _extras(connection)
    unknown = [shown(name) for name in extras if name not in FIELDS]
    if unknown:
        log.warning(
            "The Airflow connection %s has extras that are unknown and change nothing: %s. Known are %s.",
            shown(connection.conn_id),
            ", ".join(unknown),
            ", ".join(FIELDS),
        )
    names = FIELDS.keys() & extras.keys() - {TEST_PLAN_ID, PLAN_URL}
    return ClientSettings(base_url=_base_url(connection), **{name: extras[name] for name in names})


def asked_plan_id(connection: Any) -> str | None:
    """Return the plan that the test button asks for, if the connection names one."""
    plan_id = _extras(connection).get(TEST_PLAN_ID)
    return check_plan_id(text(TEST_PLAN_ID, plan_id), TEST_PLAN_ID) if is_given(plan_id) else None


def plan_url_template(connection: Any) -> str | None:
    """Return the template of the addresses of plans, if the connection has one: people will open them."""
    value = _extras(connection).get(PLAN_URL)
    if not is_given(value):
        return None
    template = text(PLAN_URL, value)
    if not re.fullmatch(r"https?://[^\s@]+", template) or PLACEHOLDER not in template:
        what = "(it is not shown: it can hold a password)" if "@" in template else shown(template)
        raise AchieveItConfigError(
            f"{PLAN_URL} {what} is not an address that begins with https:// and has {PLACEHOLDER} in it"
        )
    return template


def _extras(connection: Any) -> dict[str, Any]:
    """Read the extras. Airflow's own `extra_dejson` is empty when they can't be read, and defaults would be used."""
    try:
        extras = json.loads(connection.extra or "{}")
    except ValueError:
        extras = None
    if not isinstance(extras, dict):
        raise AchieveItConfigError(
            f"The extra of the Airflow connection {shown(connection.conn_id)} is not a JSON object"
        )
    return extras


def _base_url(connection: Any) -> str:
    """Put the address together from host, schema (as Airflow calls a scheme) and port, whichever are set."""
    host = connection.host or DEFAULT_BASE_URL
    if "://" not in host:
        if host.count(":") > 1 and not host.startswith("["):
            host = f"[{host}]"  # an IPv6 address as Airflow takes it out of a connection's URI
        host = f"{connection.schema or 'https'}://{host}"
    if connection.port:
        parts = urlsplit(host)
        try:
            if parts.port is None:
                host = parts._replace(netloc=f"{parts.netloc}:{connection.port}").geturl()
        except ValueError:
            pass  # a malformed port: the check of the whole address names it
    return host
