"""The AchieveIt hook: an Airflow connection turned into a client."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_provider_achieveit._compat import AirflowException, BaseHook
from airflow_provider_achieveit._connection import PLACEHOLDER, asked_plan_id, client_settings, plan_url_template
from airflow_provider_achieveit.api.errors import (
    AchieveItConfigError,
    AchieveItError,
    AchieveItForbiddenError,
    AchieveItNotFoundError,
)
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.api.validate import shown
from airflow_provider_achieveit.exceptions import as_task_errors
from airflow_provider_achieveit.get_provider_info import (
    UI_FIELD_BEHAVIOUR,
    conn_fields,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.api.plan_version import PlanVersion

log = logging.getLogger(__name__)

#: Asked for by the connection test where the connection names no plan. Nobody's plan has this id.
_NO_PLAN = "00000000-0000-0000-0000-000000000000"
_UNSURE = (
    "Whether the key is valid can't be told without a plan: set the extra test_plan_id to one that its user can view."
)


class AchieveItHook(BaseHook):
    """Reads the items of AchieveIt plans through an Airflow connection of type `achieveit`.

    An error that another try can't help, such as a refused key, is also an `AirflowFailException`: it fails a task that
    uses the hook at once, whatever its `retries`.

    Args:
        achieveit_conn_id: Id of the connection: its password is the API key, its host the base URL.
    """

    conn_name_attr = "achieveit_conn_id"
    default_conn_name = "achieveit_default"
    conn_type = "achieveit"
    hook_name = "AchieveIt"

    def __init__(self, achieveit_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.achieveit_conn_id = achieveit_conn_id

    def get_conn(self) -> AchieveItClient:
        """Return the API client of the connection, which works without Airflow from then on.

        Raises:
            AchieveItConfigError: There is no such connection, or a field of it can't be used.
        """
        with as_task_errors():
            return self._client

    @cached_property
    def _client(self) -> AchieveItClient:
        from airflow_provider_achieveit.api.client import AchieveItClient

        return AchieveItClient(*self._client_arguments())

    def _client_arguments(self) -> tuple[str, ClientSettings]:
        """Return what the connection says: the API key and the settings. Equal ones can share a client.

        Raises:
            AchieveItConfigError: There is no such connection, or a field of it can't be used.
        """
        connection = self._connection()
        return connection.password, client_settings(connection)

    def _connection(self) -> Any:
        try:
            return self.get_connection(self.achieveit_conn_id)
        except AirflowException as error:
            what = f"The Airflow connection {shown(self.achieveit_conn_id)} can't be used ({shown(str(error))})"
            raise AchieveItConfigError(what) from error

    def get_plan_items(
        self, plan_id: str, *, sort_key: str = "sequenceId", sort_direction: str = "asc"
    ) -> Iterator[dict[str, Any]]:
        """Iterate lazily over the items of a plan, as the API spells them.

        People may edit the plan between two pages; `get_plan_table` proves that they did not.

        Args:
            plan_id: Id of the plan.
            sort_key: One of the 22 documented sort keys.
            sort_direction: `asc` or `desc`.

        Raises:
            AchieveItConfigError: A bad argument, before any request.
            AchieveItError: As in `api.errors`.
        """
        with as_task_errors():
            items = self.get_conn().plan(plan_id).items(sort_key=sort_key, sort_direction=sort_direction)
        return _decided(items)

    def get_plan_version(self, plan_id: str) -> PlanVersion:
        """Ask for the number of items and the newest update, with one tiny request.

        Raises:
            AchieveItError: As in `api.errors`.
        """
        with as_task_errors():
            return self.get_conn().plan(plan_id).version()

    def get_plan_table(self, plan_id: str) -> pa.Table:
        """Return a plan as a typed, consistent Arrow table with the columns of `plan_items`.

        Raises:
            AchieveItInconsistentError: The plan changed during every attempt to read it.
            AchieveItError: As in `api.errors`.
        """
        from airflow_provider_achieveit.lake.read.snapshot import read_table

        with as_task_errors():
            return read_table(self.get_conn().plan(plan_id))

    def plan_url(self, plan_id: str) -> str | None:
        """Return the address of a plan in AchieveIt's own UI; None where the connection has no template for it.

        Raises:
            AchieveItConfigError: There is no such connection, or the template can't be used.
        """
        template = plan_url_template(self._connection())
        return None if template is None else template.replace(PLACEHOLDER, plan_id)

    def test_connection(self) -> tuple[bool, str]:
        """Make one read-only request, and say how much it could verify.

        Returns:
            Whether the connection works as far as that can be told, and a sentence.
        """
        from airflow_provider_achieveit.api.client import AchieveItClient

        try:
            connection = self._connection()
            settings = replace(client_settings(connection), max_retry_seconds=0)
            plan_id = asked_plan_id(connection)
            plan_url_template(connection)
            with AchieveItClient(connection.password, settings) as client:
                version = client.plan(plan_id or _NO_PLAN).version()
        except AchieveItForbiddenError as error:
            if plan_id:
                return False, str(error)
            return True, f"{settings.base_url} answers 403 for a plan that does not exist, as AchieveIt does. {_UNSURE}"
        except AchieveItNotFoundError as error:
            if plan_id:
                return False, str(error)
            return False, f"{settings.base_url} answers 404, as any web server does that is not AchieveIt. {_UNSURE}"
        except AchieveItError as error:
            return False, str(error)
        return True, f"The key's user sees {version.total_count} items of plan {plan_id or _NO_PLAN}."

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return the connection form's changes to the standard fields, for Airflow 2.11 to 3.1."""
        return {key.replace("-", "_"): value for key, value in UI_FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the connection form's own fields, for Airflow 2.11 to 3.1."""
        from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
        from wtforms import StringField

        # Text for numbers as well: a form's number field does not take an empty value.
        return {
            name: StringField(field["label"], description=field["description"], widget=BS3TextFieldWidget())
            for name, field in conn_fields().items()
        }


def _decided(items: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    with as_task_errors():
        yield from items
