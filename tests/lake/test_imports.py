"""What an export leaves alone: pandas costs over a second and 50 MB to import, and pyarrow does so in passing."""

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from tests.support.faulty_sandbox import Sandbox

PROGRAM = """
import sys
from fsspec.implementations.local import LocalFileSystem
import pyarrow as pa
from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake.portfolio import export_plan
from airflow_provider_achieveit.lake.read.snapshot import read_table
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink

url, lake = sys.argv[1:]
sink = ParquetSink(Store(LocalFileSystem(), lake))
client = AchieveItClient("sandbox-key", ClientSettings(base_url=url, page_size=10))
assert export_plan(client, sink, "clean")["rows"] == 30
assert export_plan(client, sink, "odd")["rescued_values"] == 1
assert read_table(client.plan("clean")).num_rows == 30
print("pandas" in sys.modules)
pa.array(["anything"])
print("pandas" in sys.modules)
"""


@pytest.mark.skipif(
    int(pa.__version__.partition(".")[0]) < 18, reason="older pyarrow imports pandas for every array of Python values"
)
def test_an_export_does_not_import_pandas(tmp_path: Path) -> None:
    """On either path of a page. That pyarrow would import it where it can is seen after the export."""
    (tmp_path / "pandas.py").write_text("__version__ = '0'\n")
    with Sandbox({"clean": 30, "odd": 30}) as sandbox:
        sandbox.plan("odd").patch(3, status="late")
        command = [sys.executable, "-c", PROGRAM, sandbox.url, str(tmp_path / "lake")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr
