"""The rooms of the package: which of them may import which, as docs/architecture.md draws them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import airflow_provider_achieveit

PACKAGE = Path(airflow_provider_achieveit.__file__).parent
NAME = PACKAGE.name

#: For each room, the rooms that it may import; its own modules always.
ALLOWED = {
    "api": set(),
    "sandbox": set(),
    "lake/read": {"api", "lake"},
    "lake/tables": {"lake"},
    "lake/sinks": {"api", "lake", "lake/tables"},
    "lake": {"api", "lake/read", "lake/tables", "lake/sinks"},
}
#: What stands below the three rooms of `lake`: none of these may know a room.
GROUND = [
    "column_type",
    "column_types",
    "errors",
    "json_check",
    "layout",
    "manifest",
    "options",
    "schema",
    "scratch",
    "table_file",
]


def room_of(module: str) -> str:
    """Return the room of a module of the package, by its dotted name below the package."""
    parts = module.split(".")
    for depth in (2, 1):
        room = "/".join(parts[:depth])
        if room in ALLOWED:
            return room
    return "airflow"


def imports(path: Path) -> set[str]:
    """Return the modules of the package that a module imports, by their dotted names below the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(NAME):
            base = node.module.removeprefix(NAME).lstrip(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".lstrip(".")
                is_module = (PACKAGE / f"{inner.replace('.', '/')}.py").exists()
                found.add(inner if is_module else base)
    return found - {""}


def modules(room: str) -> list[Path]:
    """Return the modules that lie directly in a room."""
    return sorted(path for path in (PACKAGE / room).glob("*.py") if path.name != "__init__.py")


@pytest.mark.parametrize("path", [path for room in ALLOWED for path in modules(room)], ids=lambda path: path.stem)
def test_a_room_imports_only_what_lies_below_it(path: Path) -> None:
    """`api` knows nothing of the lake, the lake nothing of Airflow, and the three rooms of the lake not each other."""
    room = path.parent.relative_to(PACKAGE).as_posix()
    # The old home of four errors: found there only when somebody asks for them.
    lazily = {"lake"} if (room, path.stem) == ("api", "errors") else set()
    rooms = {room_of(module) for module in imports(path)} - {room}
    assert rooms <= ALLOWED[room] | lazily


@pytest.mark.parametrize("name", GROUND)
def test_the_ground_floor_of_the_lake_knows_no_room(name: str) -> None:
    """Layout, manifests, schema and the like are used by all rooms."""
    rooms = {room_of(module) for module in imports(PACKAGE / "lake" / f"{name}.py")}
    assert rooms <= {"api", "lake"}


@pytest.mark.parametrize("room", ["api", "lake", "lake/read", "lake/tables", "lake/sinks", "sandbox"])
def test_no_room_below_the_top_imports_airflow(room: str) -> None:
    """They are used from a notebook as well."""
    for path in modules(room):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.split(".")[0] == "airflow" for name in names), path
