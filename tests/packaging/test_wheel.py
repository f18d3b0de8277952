"""What is in the wheel, and what it says about itself."""

import json
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import airflow_provider_achieveit

PACKAGE = Path(airflow_provider_achieveit.__file__).parent


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    """Return the paths of all files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def read(wheel: Path, name: str) -> str:
    """Return a file of the wheel's metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (path for path in archive.namelist() if path.endswith(f".dist-info/{name}"))
        return archive.read(path).decode()


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    """Return what the wheel says about itself."""
    return Parser().parsestr(read(wheel, "METADATA"))


def test_holds_our_package_and_nothing_else(names: set[str]) -> None:
    """The wheel has one package at its top: no `airflow` namespace, no tests, no examples."""
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"airflow_provider_achieveit"}


def test_holds_every_module(names: set[str]) -> None:
    """Every file of the package, the type marker included, is in the wheel."""
    files = {str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob("*.py")}
    assert files | {"airflow_provider_achieveit/py.typed"} <= names


def test_has_the_data_contract(names: set[str]) -> None:
    """For tools that check a lake against it."""
    assert "airflow_provider_achieveit/achieveit.odcs.yaml" in names


def test_has_the_licence(wheel: Path, metadata: Message) -> None:
    """The wheel carries the Apache licence and names it."""
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "Apache License" in read(wheel, "licenses/LICENSE")


def test_has_the_airflow_classifiers(metadata: Message) -> None:
    """Both classifiers by which Airflow providers are found are there."""
    classifiers = metadata.get_all("Classifier", [])
    assert {"Framework :: Apache Airflow", "Framework :: Apache Airflow :: Provider"} <= set(classifiers)


def test_has_the_provider_entry_point(wheel: Path) -> None:
    """Airflow finds the provider by its entry point."""
    lines = read(wheel, "entry_points.txt").split("\n")
    assert "[apache_airflow_provider]" in lines
    assert "provider_info = airflow_provider_achieveit.get_provider_info:get_provider_info" in lines


def test_bounds_no_dependency_from_above(metadata: Message) -> None:
    """The wheel installs beside whatever else lives in an Airflow: it only says what is too old."""
    requirements = [Requirement(line) for line in metadata.get_all("Requires-Dist", [])]
    assert {"apache-airflow", "pyarrow", "requests"} == {r.name for r in requirements if r.marker is None}
    assert {specifier.operator for r in requirements for specifier in r.specifier} == {">="}


def test_says_what_it_depends_on(wheel: Path, metadata: Message) -> None:
    """In a bill of materials, from the same source as its metadata (PEP 770); `make release-check` validates it."""
    bill = json.loads(read(wheel, "sboms/sbom.cdx.json"))
    assert bill["metadata"]["component"]["version"] == metadata["Version"]
    (package,) = bill["dependencies"]
    assert sorted(package["dependsOn"]) == ["apache-airflow", "pyarrow", "requests"]


def test_has_the_version_of_the_package(metadata: Message) -> None:
    """The distribution's version is the package's."""
    assert metadata["Version"] == airflow_provider_achieveit.__version__
