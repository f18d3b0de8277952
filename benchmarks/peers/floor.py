"""The floor: download, pyarrow.json into a declared schema, streaming zstd Parquet. Nothing is checked.

Usage: floor.py URL PLAN OUT [THREADS]
"""

import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import urllib3
from wire import DICTIONARY, ITEM, KEY, TAKE, decode


def main(url: str, plan: str, out: str, threads: str = "1") -> None:
    ahead = int(threads)
    http = urllib3.PoolManager(maxsize=ahead)

    def page(skip: int) -> tuple[pa.RecordBatch, int]:
        target = f"{url}/exports/plans/{plan}?skip={skip}&take={TAKE}"
        return decode(http.request("GET", target, headers={"Authorization": f"API-KEY {KEY}"}).data)

    schema = pa.schema(list(ITEM))
    path = Path(out) / "plan_items.parquet"
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=DICTIONARY) as writer:
        batches, total = [], None

        def add(batch: pa.RecordBatch) -> None:
            batches.append(batch)
            if len(batches) == 10:  # row groups of 15,000 rows are cheaper than one per page
                flush()

        def flush() -> None:
            if batches:
                writer.write_table(pa.Table.from_batches(batches), row_group_size=TAKE * 10)
                batches.clear()

        first, total = page(0)
        add(first)
        skips = range(first.num_rows, total, TAKE)
        if ahead == 1:
            for skip in skips:
                add(page(skip)[0])
        else:
            with ThreadPoolExecutor(ahead) as pool:
                waiting: deque = deque()
                for skip in skips:
                    if len(waiting) == ahead:
                        add(waiting.popleft().result()[0])
                    waiting.append(pool.submit(page, skip))
                while waiting:
                    add(waiting.popleft().result()[0])
        flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
