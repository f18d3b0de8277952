"""The sets of packages that the environments of the Makefile are made of."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: All that `make test-oldest` installs of what the package needs.
NEEDED = [
    requirement
    for requirement in map(Requirement, [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["delta"]])
    if requirement.name != "apache-airflow"
]


@pytest.mark.parametrize("requirement", NEEDED, ids=lambda requirement: requirement.name)
def test_the_oldest_set_has_the_oldest_that_is_allowed(requirement: Requirement) -> None:
    """No package of the tests has lifted it: `pyarrow>=16` is tested with 16.0."""
    lines = (ROOT / "constraints" / "oldest.txt").read_text().split()
    pins = {name: Version(version) for name, _, version in (line.partition("==") for line in lines)}
    [lowest] = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
    pin = pins[requirement.name].release
    assert pin[: len(lowest.release)] == lowest.release
    # A first release can have been withdrawn, as requests 2.32.0 was.
    assert len(lowest.release) == 3 or pin[len(lowest.release) : 2] in ((), (0,))
