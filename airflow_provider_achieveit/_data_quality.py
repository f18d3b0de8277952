"""What an export knows of the quality of a plan that it has read, as assertions of OpenLineage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attr
from openlineage.client.facet_v2 import data_quality_assertions_dataset

from airflow_provider_achieveit.api.errors import AchieveItError
from airflow_provider_achieveit.lake.errors import (
    AchieveItDriftError,
    AchieveItGuardError,
    AchieveItInconsistentError,
    AchieveItPagingError,
)
from airflow_provider_achieveit.lake.manifest import Manifest
from airflow_provider_achieveit.lake.options import ExportOptions

#: Characters of an error that an assertion quotes.
_REASON = 500
Assertions = data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet
#: The assertion that each error of one plan refutes.
_REFUTED: dict[type[AchieveItError], str] = {
    AchieveItInconsistentError: "consistent",
    AchieveItPagingError: "consistent",
    AchieveItDriftError: "values_fit",
    AchieveItGuardError: "guards",
}


def quality(manifest: Manifest, options: ExportOptions) -> Assertions:
    """Return what was checked before a plan landed."""
    return _facet(_assertions(manifest, options))


def refuted(error: AchieveItError) -> Assertions | None:
    """Return the check that stopped a plan, if one of them did."""
    tests = [
        {"assertion": assertion, "success": False, "severity": "error", "actual": f"{error.what:.{_REASON}}"}
        for kind, assertion in _REFUTED.items()
        if isinstance(error, kind)
    ]
    return _facet(tests) if tests else None


def _assertions(manifest: Manifest, options: ExportOptions) -> Iterator[dict[str, Any]]:
    """Say what was checked before a plan landed."""
    rows, total = manifest["rows"], manifest["version"]["total_count"]
    consistent = manifest["consistent"]
    yield {
        "assertion": "consistent",
        "success": consistent,
        "severity": "error" if options.on_inconsistent == "fail" else "warn",
        "description": "The plan stood still while it was read, and its pages join without a gap or a repeat.",
    }
    if consistent:  # else nobody looked
        yield {"assertion": "unique", "column": "id", "success": True, "severity": "error"}
    yield {
        "assertion": "row_count",
        "success": rows == total,
        "severity": "error" if options.on_inconsistent == "fail" else "warn",
        "description": "There are as many items as the API counts.",
        "expected": str(total),
        "actual": str(rows),
    }
    yield {
        "assertion": "values_fit",
        "success": not manifest["rescued_values"],
        "severity": "error" if options.on_drift == "fail" else "warn",
        "description": "All values fit the types of their columns; those that do not are in _rescued_data.",
        "expected": "0",
        "actual": str(manifest["rescued_values"]),
    }
    if limits := [
        f"{name}={getattr(options, name)}" for name in ("min_rows", "max_shrink") if getattr(options, name) is not None
    ]:
        yield {
            "assertion": "guards",
            "success": True,
            "severity": "error",
            "description": "There are as many rows as the guards ask for.",
            "expected": ", ".join(limits),
            "actual": str(rows),
        }


def _facet(tests: Iterable[dict[str, Any]]) -> Assertions:
    assertion = data_quality_assertions_dataset.Assertion
    known = attr.fields_dict(assertion)  # older clients do not know all of them
    return Assertions([assertion(**{key: value for key, value in test.items() if key in known}) for test in tests])
