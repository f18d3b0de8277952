"""Unpacks Debian packages into a folder: `python -m dev.debian FOLDER PACKAGE…`.

Nothing is installed into the system, and no right is needed but to read its package lists (`apt-get update`, as root,
makes those). What the packages need and the system has already is taken from there.
"""

import os
import subprocess
import sys
from pathlib import Path


def unpack(folder: Path, packages: list[str]) -> None:
    """Download packages and what they need, and unpack them.

    Args:
        folder: Where to; it becomes the packages' `/`.
        packages: Their names.
    """
    archives = (folder / "archives").resolve()
    (archives / "partial").mkdir(parents=True, exist_ok=True)
    options = [f"Dir::Cache::archives={archives}", "APT::Sandbox::User=root", "Debug::NoLocking=1"]
    command = ["apt-get", "install", "--quiet=2", "--no-install-recommends", "--reinstall", "--download-only"]
    command += [f"--option={option}" for option in options]
    subprocess.run([*command, *packages], check=True, stdout=subprocess.DEVNULL)
    for archive in sorted(archives.glob("*.deb")):
        subprocess.run(["dpkg", "-x", archive, folder], check=True)
        archive.unlink()


def environment(folder: Path) -> dict[str, str]:
    """Return the environment variables with which programs of an unpacked folder find theirs.

    Args:
        folder: What `unpack` was given.

    Returns:
        `PATH`, `LD_LIBRARY_PATH` and `PYTHONPATH`; the system's own folders come after the unpacked ones.
    """
    root = folder.resolve()
    programs = [root / "usr/bin", root / "usr/sbin", *sorted(root.glob("usr/lib/postgresql/*/bin"))]
    programs += sorted(Path("/").glob("usr/lib/postgresql/*/bin"))
    libraries = [*root.glob("usr/lib/*-linux-gnu"), *root.glob("usr/lib/*-linux-gnu/ceph"), root / "usr/lib"]
    libraries += [*root.glob("lib/*-linux-gnu"), root / "lib"]
    return {
        "PATH": os.pathsep.join([*map(str, programs), os.environ.get("PATH", "")]),
        "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
        "PYTHONPATH": str(root / "usr/lib/python3/dist-packages"),
    }


if __name__ == "__main__":
    unpack(Path(sys.argv[1]), sys.argv[2:])
