"""Writes `constraints/*.txt`: pins of packages that work together, one set for each environment of the Makefile.

Airflow has no upper bounds on most of what it needs, so that an old Airflow with today's packages does not start. Each
older Airflow is therefore resolved as of a day on which it was current. The newest Airflow takes today's packages.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
#: What neither `api` nor `lake` needs, and would hold back or lift other packages.
AIRFLOW = (
    "apache-airflow",
    "apache-airflow-providers-amazon",
    "apache-airflow-providers-apache-iceberg",
    "apache-airflow-providers-openlineage",
)


@dataclass(frozen=True)
class Tested:
    """A set of packages.

    Attributes:
        name: The file's name, without `.txt`.
        requirements: What the set is about.
        as_of: The day of which the newest packages are taken; today without one.
        groups: Groups of pyproject.toml.
        lowest: Whether the package's own requirements get the oldest version that pyproject.toml allows.
        without: Packages that are left out, although others ask for them.
    """

    name: str
    requirements: tuple[str, ...]
    as_of: str | None = None
    groups: tuple[str, ...] = ("smoke",)
    lowest: bool = False
    without: tuple[str, ...] = ()


TESTED = [
    # The oldest Airflow gets the oldest of everything that pyproject.toml promises to work with.
    Tested("airflow-2.11", ("apache-airflow==2.11.2", "pyarrow==16.*", "requests==2.32.*"), "2026-04-01"),
    # 3.0 has no upper bound on universal-pathlib, and its ObjectStoragePath does not work with 0.3. Without its FAB
    # provider it shows nobody's connection form.
    Tested(
        "airflow-3.0",
        ("apache-airflow==3.0.6", "universal-pathlib<0.3", "apache-airflow-providers-fab"),
        "2025-09-10",
    ),
    Tested("airflow-3.1", ("apache-airflow==3.1.8",), "2026-04-01"),
    Tested("airflow-3.2", ("apache-airflow==3.2.2",), "2026-07-01"),
    Tested("airflow-3.3", ("apache-airflow==3.3.2",), groups=("test", "lint", "screenshots")),
    Tested("servers", ("apache-airflow==3.3.2",), groups=("servers",)),
    # pyiceberg needs pyarrow 18; and the package must do without pandas, which pyarrow uses where it is installed.
    Tested("oldest", ("s3fs>=2026",), groups=("test",), lowest=True, without=(*AIRFLOW, "pyiceberg", "pandas")),
    # PySpark says that it does not support pandas 3 yet.
    # Iceberg's runtime for Spark is in the package index for Spark 3.5 alone; its 1.0.3 lacks a library.
    Tested(
        "spark-3.5",
        ("pyspark==3.5.*", "pandas<3", "snowpark-connect-deps-iceberg==1.0.2"),
        groups=("spark",),
        without=AIRFLOW,
    ),
    Tested("spark-4", ("pyspark==4.*", "pandas<3"), groups=("spark",), without=AIRFLOW),
]


def _compile(arguments: list[str], requirements: list[str]) -> list[str]:
    """Resolve requirements with uv; return lines `name==version`, sorted by name, without this project itself."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "-", "--quiet", "--python-version", "3.11"]
    command += ["--no-annotate", "--no-header", "--no-emit-index-url", "--no-emit-find-links", "--no-strip-extras"]
    command += ["--no-emit-package", "airflow-provider-achieveit", *arguments]
    done = subprocess.run(
        command, input="\n".join(requirements), cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE
    )
    lines = (re.sub(r"\[.*?\]", "", line) for line in done.stdout.splitlines())
    return sorted(line for line in lines if re.fullmatch(r"[a-z0-9._-]+==[^\s/@]+", line))


def _own_requirements() -> list[str]:
    """Return what the package itself needs, with Delta."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["delta"]]


def compile_pins(tested: Tested) -> list[str]:
    """Resolve one set; return its pins."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as without:
        without.write("\n".join(tested.without))
        without.flush()
        arguments = ["--excludes", without.name]
        requirements = [f"-e .[{'sandbox' if tested.without else 's3,sandbox'}]", *tested.requirements]
        if tested.lowest:
            oldest = ["--resolution", "lowest-direct", "--no-deps"]
            requirements += _compile([*arguments, *oldest], _own_requirements())
        arguments += [argument for group in tested.groups for argument in ("--group", f"pyproject.toml:{group}")]
        if tested.as_of:
            arguments += ["--exclude-newer", tested.as_of]
        return _compile(arguments, requirements)


def main() -> None:
    """Write all files, or those whose names end as is said on the command line (`3.2`, `oldest`)."""
    wanted = tuple(sys.argv[1:])
    for tested in TESTED:
        if wanted and not tested.name.endswith(wanted):
            continue
        pins = compile_pins(tested)
        path = ROOT / "constraints" / f"{tested.name}.txt"
        path.write_text("\n".join(pins) + "\n")
        print(f"{path.relative_to(ROOT)}: {len(pins)} pins")


if __name__ == "__main__":
    main()
