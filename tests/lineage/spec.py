"""Events of OpenLineage, checked against the JSON schemas of its specification."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

if TYPE_CHECKING:
    from collections.abc import Iterator

SPEC = Path(__file__).parent / "spec"
OURS = "https://openlineage.io/spec/"


@cache
def registry() -> Registry:
    """All schemas by their address; the facets refer to a version of the core by number."""
    schemas = [json.loads(path.read_text()) for path in SPEC.rglob("*.json")]
    return Registry().with_resources([(schema["$id"], Resource.from_contents(schema)) for schema in schemas])


@cache
def address(name: str) -> str:
    """The address of the schema of a facet, or of an event, in the version that lies here."""
    (path,) = SPEC.rglob(f"{name}.json")
    return str(json.loads(path.read_text())["$id"])


def check(value: Any, schema: str, definition: str) -> None:
    """Validate a value against a definition of one of the schemas."""
    validator = Draft202012Validator({"$ref": f"{address(schema)}#/$defs/{definition}"}, registry=registry())
    validator.validate(value)


def facets(value: Any) -> Iterator[dict[str, Any]]:
    """Everything in an event that names a schema of its own."""
    if isinstance(value, dict):
        if "_schemaURL" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from facets(part)


def check_event(event: dict[str, Any]) -> set[str]:
    """Validate an event and all of its facets that the specification knows; return their names."""
    check(event, "OpenLineage", "RunEvent")
    checked = set()
    for facet in facets(event):
        url, _, fragment = facet["_schemaURL"].partition("#/$defs/")
        if url.startswith(f"{OURS}facets/"):
            name = url.rpartition("/")[2].removesuffix(".json")
            check(facet, name, fragment)
            checked.add(name)
    return checked
