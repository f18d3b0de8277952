"""One virtual environment for each list of packages in `environments/`, under `build/bench/`."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
BUILD = PROJECT / "build" / "bench"


def python_of(name: str) -> Path:
    """Return the interpreter of an environment, made now unless it is there with the same list."""
    requirements = HERE / "environments" / f"{name}.txt"
    environment = BUILD / name
    python = environment / "bin" / "python"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    stamp = environment / "made-from"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Making {environment.relative_to(PROJECT)}", flush=True)
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, environment], check=True)
        install = [uv, "pip", "install", "--quiet", "--python", python, "--requirements", requirements]
        subprocess.run(install, check=True, cwd=PROJECT)
        stamp.write_text(wanted)
    return python
