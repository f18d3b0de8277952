"""What the dlt programs share: no telemetry, zstd like everybody here, and a working folder of their own."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
os.environ["DATA_WRITER__COMPRESSION"] = "zstd"

import dlt


@contextmanager
def pipeline(out: str) -> Iterator[dlt.Pipeline]:
    """A pipeline that writes Parquet files below OUT and remembers nothing."""
    with tempfile.TemporaryDirectory() as working:
        yield dlt.pipeline(
            "peer",
            pipelines_dir=working,
            destination=dlt.destinations.filesystem(bucket_url=Path(out).absolute().as_uri()),
            dataset_name="lake",
        )
