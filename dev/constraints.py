"""Writes `constraints/airflow-*.txt`: plain pins of a set of packages that works together, one for each Airflow.

Airflow has no upper bounds on most of what it needs, so that an old Airflow with today's packages does not start. Each
older Airflow is therefore resolved as of a day on which it was current. The newest Airflow takes today's packages.
"""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Tested:
    """One Airflow and what it is tested with."""

    airflow: str
    as_of: str | None = None
    groups: tuple[str, ...] = ("smoke",)
    pins: tuple[str, ...] = ()


TESTED = [
    # The oldest Airflow gets the oldest of everything that pyproject.toml promises to work with.
    Tested("2.11.2", "2026-04-01", pins=("pyarrow==16.*", "requests==2.32.*")),
    # 3.0 has no upper bound on universal-pathlib, and its ObjectStoragePath does not work with 0.3. Without its FAB
    # provider it shows nobody's connection form.
    Tested("3.0.6", "2025-09-10", pins=("universal-pathlib<0.3", "apache-airflow-providers-fab")),
    Tested("3.1.8", "2026-04-01"),
    Tested("3.2.2", "2026-07-01"),
    Tested("3.3.2", groups=("test", "lint", "screenshots")),
]


def compile_pins(tested: Tested) -> list[str]:
    """Resolve one set.

    Args:
        tested: The Airflow and the packages to resolve.

    Returns:
        Lines `name==version`, sorted by name, without this project itself.
    """
    requirements = ["-e .[s3,sandbox]", f"apache-airflow=={tested.airflow}", *tested.pins]
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--python-version", "3.11"]
    command += ["--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--no-strip-extras"]
    command += ["--no-emit-package", "airflow-provider-achieveit"]
    command += [argument for group in tested.groups for argument in ("--group", f"pyproject.toml:{group}")]
    if tested.as_of:
        command += ["--exclude-newer", tested.as_of]
    done = subprocess.run(
        command, input="\n".join(requirements), cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE
    )
    lines = (re.sub(r"\[.*?\]", "", line) for line in done.stdout.splitlines())
    return sorted(line for line in lines if re.fullmatch(r"[a-z0-9._-]+==[^\s/@]+", line))


def main() -> None:
    """Write all files, or those of the Airflow versions (`3.2`) that are named on the command line."""
    wanted = sys.argv[1:]
    for tested in TESTED:
        minor = tested.airflow.rpartition(".")[0]
        if wanted and minor not in wanted:
            continue
        pins = compile_pins(tested)
        path = ROOT / "constraints" / f"airflow-{minor}.txt"
        path.write_text("\n".join(pins) + "\n")
        print(f"{path.relative_to(ROOT)}: {len(pins)} pins")


if __name__ == "__main__":
    main()
