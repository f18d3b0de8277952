"""Spark, and a lake for it. Only `make test-spark` has pyspark, which is therefore imported here and in no module."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.readable_lake import make_readable_lake

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """Spark in this process's JVM, on loopback, with times in UTC."""
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if "JAVA_HOME" in os.environ else shutil.which("java")
    if java is None or not Path(java).exists():
        pytest.fail("Spark needs Java 17: install it (Debian: openjdk-17-jre-headless), or set JAVA_HOME to it.")
    from pyspark.sql import SparkSession

    iceberg = find_spec("snowpark_connect_deps_iceberg")
    jars = [] if iceberg is None else Path(str(iceberg.origin)).parent.glob("jars/iceberg-spark-runtime-3.5_2.12-*.jar")
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    builder = SparkSession.builder.master("local[1]")
    for name, value in {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.jars": ",".join(map(str, jars)),
        "spark.ui.enabled": "false",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
        # As docs/labels.md advises.
        "spark.sql.sources.partitionColumnTypeInference.enabled": "false",
    }.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    yield session
    session.stop()


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake that other readers are tested with as well."""
    return make_readable_lake(tmp_path_factory.mktemp("readers") / "lake")
