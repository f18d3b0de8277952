"""`python -m airflow_provider_achieveit.verify`: is everything in a lake, and is it what the manifests say?"""

# ruff: noqa: T201 - a program for a terminal prints

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_provider_achieveit.api.errors import AchieveItError

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.sinks.base import Sink
    from airflow_provider_achieveit.lake.verify import Finding

_EPILOG = """exit code: 0 where every manifest's tables are there and are what it says; 1 where something is missing, is wrong,
or belongs to no manifest; 2 where it was not possible to look, or
there is no manifest. Notes do not count."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Verify a lake, and print what was found.

    Returns:
        The exit code.
    """
    options = _parser().parse_args(arguments)
    try:
        from airflow_provider_achieveit.lake.verify import verify

        sink = _open(options)
        snapshots = len(sink.manifest_keys())
        findings = verify(sink, grace=timedelta(seconds=options.grace))
        kinds = (_print_json if options.json else _print_table)(options.destination, snapshots, findings)
    except AchieveItError as error:
        if options.json:
            print(json.dumps({"destination": options.destination, "error": str(error)}))
        print(error, file=sys.stderr)
        return 2
    except Exception:  # whatever it is, nobody may take it for a finding
        traceback.print_exc()
        return 2
    return 1 if kinds["problem"] or kinds["orphan"] else 0


def _open(options: argparse.Namespace) -> Sink:
    """Return the sink of the destination, whatever its table format is."""
    from airflow_provider_achieveit._destination import open_manifests, open_sink

    destination, conn_id = options.destination, options.destination_conn_id
    table_format = open_manifests(destination, conn_id).table_format() or "parquet"
    return open_sink(destination, conn_id, table_format, options.iceberg_conn_id, options.iceberg_namespace)


def _print_table(destination: str, snapshots: int, findings: Iterable[Finding]) -> Counter[str]:
    """Print a line for each finding as soon as it is found, and in the end how many there were."""
    kinds: Counter[str] = Counter()
    for finding in findings:
        kinds[finding.kind] += 1
        print(f"{finding.kind:<7}  {_printable(finding.key)}  {_printable(finding.what)}", flush=True)
    counted = ", ".join(_count(kinds[kind], kind) for kind in ("problem", "orphan", "note"))
    print(f"{_count(snapshots, 'snapshot')} in {_printable(destination)}: {counted}")
    return kinds


def _print_json(destination: str, snapshots: int, findings: Iterable[Finding]) -> Counter[str]:
    """Print one JSON object."""
    found = list(findings)
    answer = {"destination": destination, "snapshots": snapshots, "findings": list(map(asdict, found))}
    print(json.dumps(answer, indent=2))
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
    sys.exit(main())
