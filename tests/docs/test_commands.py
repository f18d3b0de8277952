"""What the documentation tells its readers to type or to write into a file is right."""

from __future__ import annotations

import configparser
import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from airflow.configuration import conf
from airflow.models import Connection
from packaging.requirements import Requirement

from airflow_provider_achieveit.lake import ParquetSink, export_plan

if TYPE_CHECKING:
    from airflow_provider_achieveit.api import AchieveItClient
    from tests.lake.stores import S3Stores

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def blocks(language: str) -> list[str]:
    """All blocks in a language, of all pages."""
    return [block for page in PAGES for block in re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)]


COMMANDS = sorted({tuple(shlex.split(line, comments=True)) for block in blocks("bash") for line in block.splitlines()})


def of(*words: str) -> list[tuple[str, ...]]:
    """The commands that begin with these words."""
    return [command for command in COMMANDS if command[: len(words)] == words]


def test_each_kind_of_command_has_a_test() -> None:
    """`make` in test_pages.py, `curl` and the sandbox in tests/sandbox and test_blocks.py, the others here."""
    sandbox = ("-m", "airflow_provider_achieveit.sandbox")
    known = [*of("make"), *of("curl"), *of("python", *sandbox), *of(".venv/bin/python", *sandbox)]
    here = [*of("pip", "install"), *of("python", "-m", "airflow_provider_achieveit.verify")]
    assert sorted([*known, *here]) == COMMANDS


def test_what_is_to_be_installed_exists() -> None:
    """Our own extras, and packages that the tests have."""
    for command in of("pip", "install"):
        for requirement in map(Requirement, command[2:]):
            if requirement.name == PROJECT["name"]:
                assert requirement.extras <= PROJECT["optional-dependencies"].keys()
            else:
                assert importlib.metadata.version(requirement.name)


def test_the_command_that_verifies_a_lake_runs_as_printed(client: AchieveItClient, running_s3: S3Stores) -> None:
    """With the bucket of the tests."""
    running_s3.empty()
    export_plan(client, ParquetSink(running_s3.store()), "p1")
    [command] = of("python", "-m", "airflow_provider_achieveit.verify")
    assert command[3] == "s3://lake/achieveit"
    done = subprocess.run(
        [sys.executable, *command[1:3], running_s3.uri, *command[4:]],
        env=os.environ | {"AIRFLOW_CONN_AWS_DEFAULT": json.dumps(running_s3.connection)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "0 problems, 0 orphans" in done.stdout


def test_connections_of_stores_are_what_airflow_reads() -> None:
    """The types of Airflow's own providers, and JSON in the places where it belongs."""
    text = "\n".join(page.read_text() for page in PAGES)
    lines = re.findall(r"^AIRFLOW_CONN_\w+='(\{.*\})'$", text, re.MULTILINE)
    types = [Connection.from_json(line).conn_type for line in lines]
    assert set(types) == {"achieveit", "aws", "wasb", "iceberg"}
    assert all(Connection.from_json(line).extra_dejson for line in lines)


@pytest.mark.parametrize("block", blocks("ini"))
def test_settings_of_airflow_exist(block: str) -> None:
    """Each section and option."""
    settings = configparser.ConfigParser()
    settings.read_string(block)
    assert all(conf.has_option(section, option) for section in settings.sections() for option in settings[section])


@pytest.mark.parametrize("block", blocks("json"))
def test_json_is_json(block: str) -> None:
    """Shortened only inside of its texts."""
    json.loads(block)
