"""`python -m airflow_provider_achieveit.verify`: is everything in a lake, and is it what the manifests say?"""

# ruff: noqa: T201 - a program for a terminal prints

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, TextIO

from airflow_provider_achieveit.api.errors import AchieveItError

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.options import TableFormat
    from airflow_provider_achieveit.lake.sinks.base import Sink
    from airflow_provider_achieveit.lake.verify import Finding

_EPILOG = """exit code: 0 where every manifest's tables are there and are what it says;
1 where something is missing, is wrong, or belongs to no manifest;
2 where it was not possible to look, or there is no manifest. Notes do not count."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify a lake, and print what was found.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    stdout = sys.stdout
    with redirect_stdout(sys.stderr):  # Airflow logs to stdout
        try:
            kinds = _verify(options, stdout)
        except AchieveItError as error:
            if options.json:
                print(json.dumps({"destination": options.destination, "error": str(error)}), file=stdout)
            print(error, file=sys.stderr)
            return 2
        except Exception:  # whatever it is, nobody may take it for a finding
            traceback.print_exc()
            return 2
    return 1 if kinds["problem"] or kinds["orphan"] else 0


def _verify(options: argparse.Namespace, stdout: TextIO) -> Counter[str]:
    from airflow_provider_achieveit.lake.verify import verify

    names = ("destination", "destination_conn_id", "iceberg_conn_id", "iceberg_namespace")
    sink = open_lake(*(getattr(options, name) for name in names))
    snapshots = len(sink.manifest_keys())
    findings = verify(sink, grace=timedelta(seconds=options.grace))
    return (_print_json if options.json else _print_lines)(options.destination, snapshots, findings, stdout)


def open_lake(
    destination: str,
    destination_conn_id: str | None = None,
    iceberg_conn_id: str = "iceberg_default",
    iceberg_namespace: str = "achieveit",
    table_format: TableFormat | None = None,
) -> Sink:
    """Return the sink of a destination, whose own note says which table format it has.

    Args:
        destination: A URI, or an absolute path.
        destination_conn_id: The Airflow connection of the store.
        iceberg_conn_id: The Airflow connection of the catalog, for Iceberg.
        iceberg_namespace: The namespace of the tables, for Iceberg.
        table_format: The format of a destination in which nothing has landed yet; None for what its note says.

    Raises:
        AchieveItConfigError: The destination or a connection can't be used, or a package is missing.
        AchieveItStoreError: The store or the catalog can't be opened now.
    """
    from airflow_provider_achieveit._destination import open_manifests, open_sink

    if table_format is None:
        table_format = open_manifests(destination, destination_conn_id).table_format() or "parquet"
    return open_sink(destination, destination_conn_id, table_format, iceberg_conn_id, iceberg_namespace)


def _print_lines(destination: str, snapshots: int, findings: Iterable[Finding], stdout: TextIO) -> Counter[str]:
    """Print a line for each finding as soon as it is found, and in the end how many there were."""
    kinds: Counter[str] = Counter()
    for finding in findings:
        kinds[finding.kind] += 1
        print(f"{finding.kind:<7}  {_printable(finding.key)}  {_printable(finding.what)}", file=stdout, flush=True)
    counted = ", ".join(_count(kinds[kind], kind) for kind in ("problem", "orphan", "note"))
    print(f"{_count(snapshots, 'snapshot')} in {_printable(destination)}: {counted}", file=stdout)
    return kinds


def _print_json(destination: str, snapshots: int, findings: Iterable[Finding], stdout: TextIO) -> Counter[str]:
    """Print one JSON object."""
    found = list(findings)
    answer = {"destination": destination, "snapshots": snapshots, "findings": list(map(asdict, found))}
    print(json.dumps(answer, indent=2), file=stdout)
    return Counter(finding.kind for finding in found)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _printable(text: str) -> str:
    """Escape what could steer a terminal: others may have written into the store."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_achieveit.verify",
        description="Verify a lake: every table is there and is what its manifest says, and nothing else is.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("destination", metavar="DESTINATION", help="as the operator's: file:///…, s3://…, gs://…, abfs://…, or a path")
    add("--json", action="store_true", help="print one JSON object instead of lines")
    add("--destination-conn-id", metavar="ID", help="Airflow connection of the store")
    add("--iceberg-conn-id", metavar="ID", default="iceberg_default", help="of the catalog (default: %(default)s)")
    add("--iceberg-namespace", metavar="NAME", default="achieveit", help="of the tables (default: %(default)s)")
    add("--grace", type=_seconds, default=3600.0, metavar="SECONDS", help="age of an orphan (default: %(default)g)")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 10**9:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 to 1000000000, not {text!r}")
    return seconds


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads of Arrow and deltalake can still be ending. Python's own exit destroys what they use, which aborts the
    # process now and then, and the exit code is lost.
    os._exit(code)
