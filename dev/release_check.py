"""`make release-check`: what must hold before a release, from a checkout without changes.

Two builds of the last commit give the same bytes. Metadata and README are what a package index takes. The wheel has a
valid bill of materials. It installs into empty environments, beside the oldest packages that are promised and beside
the newest, exports there, and the demo runs from it.
"""

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dev.processes import clean_environment

ROOT = Path(__file__).parent.parent
PLAN = "8b7d2e94-0c1f-4a63-b5e8-47a9c3d81f02"
EXPORT = f"""
import json, os, sys
from airflow_provider_achieveit.sandbox import DEMO_PLANS, Sandbox
with Sandbox(DEMO_PLANS) as sandbox:
    connection = {{"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key}}
    os.environ["AIRFLOW_CONN_ACHIEVEIT_DEFAULT"] = json.dumps(connection)
    from airflow import __version__ as airflow
    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    export = AchieveItExportOperator(task_id="export", plan_id="{PLAN}", destination=sys.argv[1])
    manifest = export.execute({{}})
    assert manifest["rows"] == DEMO_PLANS["{PLAN}"] and manifest["consistent"], manifest
    print("  exported", manifest["rows"], "items on Airflow", airflow)
"""


def main() -> int:
    """Check everything; returns the exit code."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        dist = [build(work / "first"), build(work / "second")]
        same(*dist)
        files = sorted(dist[0].iterdir())
        run(sys.executable, "-m", "twine", "check", "--strict", *files)
        (wheel,) = (path for path in files if path.suffix == ".whl")
        check_bill_of_materials(wheel)
        oldest = install(work / "oldest", wheel, "--constraint", ROOT / "constraints" / "airflow-2.11.txt")
        run(oldest, "-c", EXPORT, work / "lake-oldest", home=work / "home-oldest")
        newest = install(work / "newest", wheel, "duckdb")
        run(newest, "-c", EXPORT, work / "lake-newest", home=work / "home-newest")
        demo(newest, work / "demo")
        for path in files:
            print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
            shutil.copy(path, (ROOT / "dist"))
    return 0


def run(*command: str | Path, cwd: Path | None = None, home: Path | None = None) -> None:
    """Run a program to its end, away from the checkout unless told otherwise.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    settings = {"AIRFLOW__CORE__LOAD_EXAMPLES": "False"} | ({"AIRFLOW_HOME": str(home)} if home else {})
    subprocess.run(
        list(map(str, command)), check=True, cwd=cwd or tempfile.gettempdir(), env=clean_environment(**settings)
    )


def build(folder: Path) -> Path:
    """Build source distribution and wheel of the last commit, in a folder of its own, and return where they are."""
    source = folder / "source"
    run("git", "clone", "--quiet", "--no-hardlinks", ROOT, source)
    run(sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", folder / "dist", source)
    for path in (folder / "dist").glob(".*"):  # uv's own
        path.unlink()
    return folder / "dist"


def same(first: Path, second: Path) -> None:
    """Compare two builds byte by byte."""
    names = sorted(path.name for path in first.iterdir())
    assert len(names) == 2, names  # noqa: S101
    for name in names:
        assert (first / name).read_bytes() == (second / name).read_bytes(), f"two builds of {name} differ"  # noqa: S101
    print("Two builds are the same:", ", ".join(names), flush=True)


def check_bill_of_materials(wheel: Path) -> None:
    """Compare the wheel's bill of materials with CycloneDX's own schema."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if ".dist-info/sboms/" in name)
        error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(archive.read(name).decode())
    assert error is None, error  # noqa: S101
    print("The bill of materials is valid:", name, flush=True)


def install(environment: Path, wheel: Path, *more: str | Path) -> Path:
    """Install the wheel into an empty environment and return its interpreter."""
    print("Installing the wheel", *(getattr(part, "name", part) for part in more), flush=True)
    python = environment / "bin" / "python"
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, environment)
    run(sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python, wheel, *more)
    run(sys.executable, "-m", "uv", "pip", "check", "--quiet", "--python", python)
    return python


def demo(python: Path, folder: Path) -> None:
    """Run the demo with the package of the wheel: what is beside it is copied, the package is not."""
    for name in ("dev", "example_dags"):
        shutil.copytree(ROOT / name, folder / name)
    run(python, "-m", "dev.demo", cwd=folder)


if __name__ == "__main__":
    sys.exit(main())
