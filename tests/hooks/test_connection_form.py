"""The connection form has one source, whichever way an Airflow asks for it."""

import json
import sys
from dataclasses import fields
from importlib import resources
from types import ModuleType
from typing import Any

import jsonschema
import pytest

from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.get_provider_info import conn_fields, get_provider_info
from airflow_provider_achieveit.hooks.achieveit import AchieveItHook

CONTRACT = {
    "page_size": 1500,
    "max_concurrency": 4,
    "connect_timeout": 10,
    "read_timeout": 60,
    "max_retry_seconds": 300,
    "requests_per_second": 0,
    "verify": None,
    "proxy": None,
    "plan_url": None,
    "test_plan_id": None,
}


def connection_type() -> dict[str, Any]:
    """What Airflow is told about connections."""
    (declared,) = get_provider_info()["connection-types"]
    return declared


def test_the_provider_info_is_what_airflow_wants() -> None:
    """Airflow's own schema accepts it."""
    schema = json.loads(resources.files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)
    json.dumps(get_provider_info())


def test_the_form_has_every_extra_of_the_contract() -> None:
    """Names, order and defaults of the fields, each with a label and a description."""
    form = connection_type()["conn-fields"]
    assert {name: field["schema"].get("default") for name, field in form.items()} == CONTRACT
    assert all(field["label"] and field["description"] for field in form.values())


def test_the_form_agrees_with_the_client() -> None:
    """Defaults and limits of the form are those that the client applies."""
    form = connection_type()["conn-fields"]
    settings = {field.name: field for field in fields(ClientSettings) if field.name in form}
    assert set(form) - set(settings) == {"test_plan_id", "plan_url"}
    for name, field in settings.items():
        if "default" in form[name]["schema"]:
            assert form[name]["schema"]["default"] == field.default
        for limit in ("minimum", "maximum"):
            if limit in form[name]["schema"]:
                ClientSettings(**{name: form[name]["schema"][limit]})


@pytest.mark.parametrize("extras", [{}, {"page_size": 2}, dict.fromkeys(CONTRACT), {"verify": "false", "proxy": ""}])
def test_what_the_form_accepts_the_client_accepts(extras: dict[str, Any]) -> None:
    """The UI checks values against the declared schemas, and the client takes what passes."""
    for name, value in extras.items():
        jsonschema.validate(value, conn_fields()[name]["schema"])
    ClientSettings(**{name: value for name, value in extras.items() if name not in ("test_plan_id", "plan_url")})


def test_the_form_hides_and_renames_the_standard_fields() -> None:
    """Login and schema are hidden; password is the API key, host the base URL."""
    behaviour = connection_type()["ui-field-behaviour"]
    assert behaviour["hidden-fields"] == ["login", "schema"]
    assert behaviour["relabeling"] == {"password": "API key", "host": "Base URL"}
    assert behaviour["placeholders"]["host"] == "https://api.achieveit.com"


def test_the_classic_behaviour_is_the_same() -> None:
    """Airflow 2.11 to 3.1 ask the hook and get what newer ones read from the provider info."""
    behaviour = {key.replace("_", "-"): value for key, value in AchieveItHook.get_ui_field_behaviour().items()}
    assert behaviour == connection_type()["ui-field-behaviour"]


def test_the_classic_widgets_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text field for each declared one, with its label and description."""
    try:
        import wtforms  # noqa: F401
    except ImportError:  # Airflow 3 puts modules of its own in the place of these as well
        stand_in(monkeypatch)
    widgets = AchieveItHook.get_connection_form_widgets()
    assert list(widgets) == list(CONTRACT)
    for name, field in connection_type()["conn-fields"].items():
        assert widgets[name].args == (field["label"],)
        assert widgets[name].kwargs["description"] == field["description"]


def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put modules where those that draw forms would be; a field keeps its arguments, as an unbound one of wtforms."""

    class StringField:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self.args, self.kwargs = args, kwargs

    modules = {name: ModuleType(name) for name in ("wtforms", "flask_appbuilder", "flask_appbuilder.fieldwidgets")}
    modules["wtforms"].StringField = StringField  # type: ignore[attr-defined]
    modules["flask_appbuilder.fieldwidgets"].BS3TextFieldWidget = object  # type: ignore[attr-defined]
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)


def test_the_hook_class_is_where_the_provider_info_says() -> None:
    """Airflow imports it by this name."""
    declared = connection_type()
    assert declared["hook-class-name"] == f"{AchieveItHook.__module__}.{AchieveItHook.__qualname__}"
    assert declared["connection-type"] == AchieveItHook.conn_type
    assert declared["hook-name"] == AchieveItHook.hook_name
