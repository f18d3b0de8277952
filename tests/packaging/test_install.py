"""The wheel in an empty environment beside Airflow: what Airflow sees of it, and what importing it costs."""

import json

import pytest

from airflow_provider_achieveit import __version__
from tests.packaging.conftest import ROOT, Environment, uv

pytestmark = pytest.mark.slow

CONNECTION_TYPE = "achieveit"
HOOK = "airflow_provider_achieveit.hooks.achieveit.AchieveItHook"

# Prints which of the packages that are slow to import came with a module, and which network calls that made. What the
# modules of the first argument bring along is Airflow's own doing.
IMPORT_PROBE = """
import importlib, json, sys
calls = []
sys.addaudithook(lambda event, _: calls.append(event) if event.startswith("socket.") else None)
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
known, calls[:] = set(sys.modules), []
importlib.import_module(sys.argv[2])
slow = {"airflow", "fsspec", "numpy", "pandas", "pyarrow", "requests", "starlette", "uvicorn"}
print(json.dumps({"imported": sorted(slow & (set(sys.modules) - known)), "calls": calls}))
"""
AIRFLOW = ["airflow.sdk", "airflow.triggers.base", "airflow.providers.standard.operators.empty"]


def probe(environment: Environment, module: str, *before: str) -> dict[str, list[str]]:
    """Import a module in a new interpreter, after others, and say what came along."""
    output = environment.run_python(IMPORT_PROBE, json.dumps(before), module)
    found: dict[str, list[str]] = json.loads(output.splitlines()[-1])
    return found


def test_depends_on_what_fits_together(environment: Environment) -> None:
    """What the wheel brought along has no conflicts, and holds none of the optional packages."""
    uv("pip", "check", "--python", environment.python)
    for package in ("s3fs", "moto", "pytest"):
        environment.run_python(f"import importlib.util as u, sys; sys.exit(u.find_spec({package!r}) is not None)")


def test_airflow_lists_the_provider(environment: Environment) -> None:
    """`airflow providers list` shows the distribution with its version."""
    rows = json.loads(environment.run("airflow", "providers", "list", "--output", "json"))
    versions = {row["package_name"]: row["version"] for row in rows}
    assert versions.get("airflow-provider-achieveit") == __version__


def test_airflow_lists_the_hook(environment: Environment) -> None:
    """`airflow providers hooks` shows the connection type with a hook that can be imported."""
    rows = json.loads(environment.run("airflow", "providers", "hooks", "--output", "json"))
    (row,) = (row for row in rows if row["connection_type"] == CONNECTION_TYPE)
    assert row["class"] == HOOK


def test_provider_info_is_what_airflow_expects(environment: Environment) -> None:
    """The provider's description keeps to Airflow's schemas, the form of the connection to the strict one."""
    environment.run_python(
        """
import json, pathlib, airflow, jsonschema
from airflow_provider_achieveit.get_provider_info import get_provider_info
info, folder = get_provider_info(), pathlib.Path(airflow.__file__).parent
jsonschema.validate(info, json.loads((folder / "provider_info.schema.json").read_text()))
strict = json.loads((folder / "provider.yaml.schema.json").read_text())
for key in info.keys() & strict["properties"].keys():
    part = {"definitions": strict.get("definitions", {}), "$defs": strict.get("$defs", {}), **strict["properties"][key]}
    jsonschema.validate(info[key], part)
"""
    )


def test_provider_info_imports_nothing(environment: Environment) -> None:
    """Airflow calls every provider's entry point at every start: ours imports neither Airflow nor anything slow."""
    found = probe(environment, "airflow_provider_achieveit.get_provider_info")
    assert found == {"imported": [], "calls": []}


@pytest.mark.parametrize("module", ["hooks", "operators", "sensors", "triggers"])
def test_importing_what_dags_import_is_cheap(environment: Environment, module: str) -> None:
    """What DAG files import brings no pyarrow, no requests and no connection beyond what Airflow itself brings."""
    found = probe(environment, f"airflow_provider_achieveit.{module}.achieveit", *AIRFLOW)
    assert found == {"imported": [], "calls": []}


@pytest.mark.parametrize(
    ("room", "forbidden"), [("api", {"airflow", "pyarrow", "fsspec"}), ("lake", {"airflow"}), ("sandbox", {"airflow"})]
)
def test_rooms_depend_only_on_those_below(environment: Environment, room: str, forbidden: set[str]) -> None:
    """`api`, `lake` and `sandbox` are used without Airflow; `api` without pyarrow as well."""
    modules = [path.stem for path in (ROOT / "airflow_provider_achieveit" / room).glob("*.py") if path.stem[0] != "_"]
    program = f"import airflow_provider_achieveit.{room}, sys\n"
    program += "".join(f"import airflow_provider_achieveit.{room}.{module}\n" for module in modules)
    program += "print(*{name.split('.')[0] for name in sys.modules})"
    assert forbidden.isdisjoint(environment.run_python(program).split())
