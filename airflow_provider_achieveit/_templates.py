"""The values of templated arguments, the same for operator, sensor and trigger.

A template field is kept as it was given until Airflow has rendered it. What it renders to is text, or with
`render_template_as_native_obj` a Python value. `None`, the text `None` and empty text mean that nothing was given:
the default applies where there is one. The functions here take the argument's name and its rendered value.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import PurePath
from typing import Any

from airflow_provider_achieveit._compat import ObjectStoragePath
from airflow_provider_achieveit.api import validate
from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.validate import check_plan_id, is_given, shown

#: Bad plan ids that one message names.
_NAMED = 20

#: A number that has more digits than an id may have.
_TOO_LARGE = 10**64


def is_template(value: object) -> bool:
    """Return whether a value is known only when the task runs: Jinja, the output of another task, a DAG's parameter."""
    if isinstance(value, list | tuple):
        return any(map(_is_template, value))
    return _is_template(value)


def _is_template(value: object) -> bool:
    if isinstance(value, str):
        return "{{" in value or "{%" in value
    if isinstance(value, Mapping):
        return _is_template(value.get("plan_id"))
    # XComArg and DagParam, whose modules differ from one Airflow to the next.
    return hasattr(value, "resolve") and hasattr(value, "iter_references")


def rendered(name: str, value: Any) -> Any:
    """Return a value that needs no more rendering, or None if nothing was given.

    Raises:
        AchieveItConfigError: It is still a template.
    """
    if _is_template(value):
        raise AchieveItConfigError(f"{name} {shown(value)} is a template that was not rendered")
    return value if is_given(value) else None


def text(name: str, value: Any, default: str | None = None) -> str:
    """Return an argument that is text.

    Raises:
        AchieveItConfigError: It is not text, or nothing was given and there is no default.
    """
    value = rendered(name, value)
    if value is None:
        if default is None:
            raise AchieveItConfigError(f"{name} is not given, or its template rendered to nothing")
        return default
    return validate.text(name, value)


def choice(name: str, value: Any, choices: Sequence[str], default: str) -> str:
    """Return an argument that is one of some words.

    Raises:
        AchieveItConfigError: It is none of them.
    """
    return validate.choice(name, text(name, value, default), choices)


def optional_text(name: str, value: Any) -> str | None:
    """Return an argument that is text, or None if nothing was given.

    Raises:
        AchieveItConfigError: It is not text.
    """
    value = rendered(name, value)
    return None if value is None else validate.text(name, value)


def destination(value: Any) -> Any:
    """Return a destination as it can be kept until it is rendered: a path becomes text, everything else stays.

    Copies of an `ObjectStoragePath` drop its connection; its text has it, as in `s3://connection@bucket/key`.

    Raises:
        AchieveItConfigError: The connection cannot stand in the text, or the path is a template without a scheme.
    """
    if not isinstance(value, ObjectStoragePath):
        return str(value) if isinstance(value, PurePath) else value
    path = str(value)
    conn_id = getattr(value, "conn_id", None) or value.storage_options.get("conn_id")  # 3.2 and later; before
    if "://" not in path and (conn_id is not None or is_template(path)):
        raise AchieveItConfigError(
            f"destination {shown(path)} is an ObjectStoragePath without a scheme, which loses its connection: "
            "give the text of the path, and its connection as destination_conn_id"
        )
    return path


def destination_conn_id(value: Any, *, given: bool) -> str | None:
    """Return the store's connection; None stands for the store's own default credentials.

    Args:
        value: The rendered argument.
        given: Whether the argument was given before it was rendered. Then it must not vanish: another identity would
            write.

    Raises:
        AchieveItConfigError: It is not text, or it was given and is now nothing.
    """
    conn_id = optional_text("destination_conn_id", value)
    if conn_id is None and given:
        raise AchieveItConfigError(
            f"destination_conn_id was given and rendered to {shown(value)}: without it another identity would write"
        )
    return conn_id


def since(value: Any) -> str:
    """Return a `since` that was given, as ISO 8601 text; empty text is the beginning of time.

    Raises:
        AchieveItConfigError: It is neither text nor a time.
    """
    value = rendered("since", value)
    if value is None:
        return ""
    if isinstance(value, date):
        return value.isoformat()
    if not isinstance(value, str):
        raise AchieveItConfigError(f"since {shown(value)} is not an ISO 8601 date or time")
    return validate.text("since", value)


def plan_id(value: Any) -> str:
    """Return the id of one plan; a whole number is one.

    Raises:
        AchieveItConfigError: Nothing was given, or it is not an id.
    """
    return check_plan_id(text("plan_id", value) if not isinstance(value, float) else value)


def plan_ids(value: Any) -> list[str]:
    """Return the ids of many plans, each once, in the order given; the list can be empty.

    Args:
        value: A list of ids, or of changes as the sensor returns them (objects with `plan_id`); or text: such a list as
            JSON or as Python writes it, or ids separated by commas, blanks or line breaks. One id or change is a list
            of one.

    Raises:
        AchieveItConfigError: Nothing was given, it is none of these, or some ids are bad, which are named together.
    """
    value = rendered("plan_ids", value)
    if value is None:
        raise AchieveItConfigError("plan_ids is not given, or its template rendered to nothing")
    if isinstance(value, str):
        value = _parsed(value)
    if isinstance(value, Mapping | str | int):
        value = [value]
    # Airflow's lazy sequences, the output of a mapped task, are no lists.
    if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray):
        raise AchieveItConfigError(f"plan_ids {shown(value)} is not a list of plan ids")
    ids: dict[str, None] = {}
    bad: dict[str, None] = {}
    for entry in value:
        try:
            ids[check_plan_id(_id_of(entry))] = None
        except AchieveItConfigError:
            bad[shown(entry)] = None
    if bad:
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        raise AchieveItConfigError(
            f"plan_ids holds {', '.join(list(bad)[:_NAMED])}{more}: a plan id is 1 to 64 letters, digits and hyphens"
        )
    return list(ids)


def _id_of(entry: Any) -> Any:
    """Return the id within an entry: of a change it is its plan's, and a whole number is an id as well."""
    if isinstance(entry, Mapping):
        entry = entry.get("plan_id")
    is_number = isinstance(entry, int) and not isinstance(entry, bool)
    return str(entry) if is_number and 0 <= entry < _TOO_LARGE else entry


def _parsed(value: str) -> Any:
    """Read text: a list or object as JSON or as Python writes it, else ids with something between them."""
    if value.lstrip()[:1] not in ("[", "(", "{", '"', "'"):
        return [entry for entry in re.split(r"[,\s]+", value) if entry]
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    raise AchieveItConfigError(f"plan_ids {shown(value)} is neither JSON nor a Python list nor plan ids")
