"""dlt at its best: a resource of one's own that yields Arrow tables, its pages deferred to dlt's five threads.

Usage: dlt_arrow.py URL PLAN OUT
"""

import sys
from collections.abc import Iterator

import dlt_settings  # isort: skip # before dlt, which reads the environment

import dlt
import pyarrow as pa
from dlt.sources.helpers import requests
from wire import KEY, TAKE, decode


def main(url: str, plan: str, out: str) -> None:
    session = requests.Client().session

    def fetch(skip: int) -> tuple[pa.Table, int]:
        response = session.get(
            f"{url}/exports/plans/{plan}",
            params={"skip": skip, "take": TAKE},
            headers={"Authorization": f"API-KEY {KEY}"},
        )
        response.raise_for_status()
        rows, total = decode(response.content)
        return pa.Table.from_batches([rows]), total

    @dlt.defer
    def page(skip: int) -> pa.Table:
        return fetch(skip)[0]

    @dlt.resource(name="plan_items", write_disposition="replace")
    def plan_items() -> Iterator[pa.Table]:
        first, total = fetch(0)
        yield first
        for skip in range(first.num_rows, total, TAKE):
            yield page(skip)

    with dlt_settings.pipeline(out) as pipeline:
        pipeline.run(plan_items(), loader_file_format="parquet").raise_on_failed_jobs()


if __name__ == "__main__":
    main(*sys.argv[1:])
