"""The wheel, and a virtual environment that holds nothing but what the wheel asks for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev.processes import clean_environment

ROOT = Path(__file__).parents[2]


def uv(*arguments: str | Path) -> None:
    """Run uv; its output shows when it fails."""
    done = subprocess.run([sys.executable, "-m", "uv", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


class Environment:
    """A virtual environment to run programs in, with an AIRFLOW_HOME of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.variables = clean_environment(AIRFLOW_HOME=str(folder / "airflow"), AIRFLOW__CORE__LOAD_EXAMPLES="False")
        self.variables["PATH"] = f"{folder / 'bin'}{os.pathsep}{self.variables['PATH']}"
        # Nothing of the checkout may be imported by accident.
        self.variables.pop("PYTHONPATH", None)

    def run(self, *command: str | Path) -> str:
        """Run a program outside the checkout and return its standard output."""
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, env=self.variables, cwd=self.folder
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def run_python(self, program: str, *arguments: str | Path) -> str:
        """Run Python source and return its standard output."""
        return self.run(self.python, "-c", program, *arguments)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution as a release is."""
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--out-dir", folder, ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment into which only the wheel was installed, with the tested versions of what it needs."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    uv("venv", "--quiet", "--python", sys.executable, folder)
    constraints = ROOT / "constraints" / "airflow-3.3.txt"
    uv("pip", "install", "--quiet", "--python", folder / "bin" / "python", "--constraint", constraints, wheel)
    return Environment(folder)
