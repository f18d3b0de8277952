"""`make screenshots`: the pictures of the documentation, made of a real Airflow in a headless Chromium.

Needs the package `playwright` and a Chromium (`apt-get install chromium`; another path in the variable CHROMIUM).
Whoever makes them looks at each: the script only fails where it does not find what it looks for.
"""

import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import boto3
from moto.server import ThreadedMotoServer
from playwright.sync_api import Locator, Page, expect, sync_playwright

from dev.local_airflow import LocalAirflow
from dev.stage import EXAMPLE_DAGS, ROOT, sandbox_and_airflow

IMAGES = ROOT / "docs" / "images"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
WIDTH, HEIGHT = 1280, 720
#: The pictures are stored beside the text: none may be larger.
MAX_BYTES = 150_000
#: Milliseconds for what slides into its place.
SETTLE_MS = 2_000
PLAN_URL = "https://app.achieveit.example/plans/{plan_id}"
#: A name that the console's links are for; the requests go to a server on this machine, by way of a proxy.
S3 = "http://s3.eu-west-1.amazonaws.com"
CONSOLE = re.compile("^https://console.aws.amazon.com/s3/buckets/strategy")


def main() -> int:
    """Make all pictures; returns the exit code."""
    IMAGES.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="achieveit-") as folder,
        stage(Path(folder)) as airflow,
        sync_playwright() as playwright,
    ):
        runs = run_everything(airflow)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(base_url=airflow.url, color_scheme="light")
        page.set_default_timeout(60_000)
        expect.set_options(timeout=60_000)
        Pictures(page, runs).take_all()
        browser.close()
    return 0


@contextmanager
def stage(folder: Path) -> Iterator[LocalAirflow]:
    """Run sandbox, S3 and Airflow, with the example DAGs and one that is mapped."""
    dags = Path(shutil.copytree(EXAMPLE_DAGS, folder / "dags"))
    shutil.copytree(Path(__file__).parent / "screenshot_dags", dags, dirs_exist_ok=True)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        keys = {"aws_access_key_id": "someone", "aws_secret_access_key": "secret", "region_name": "eu-west-1"}
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys)
        client.create_bucket(Bucket="strategy", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        environment = {"ACHIEVEIT_EXAMPLE_LAKE": (folder / "lake").as_uri()}
        with sandbox_and_airflow(folder / "airflow", dags_folder=dags, environment=environment) as (sandbox, airflow):
            extra = {"test_plan_id": next(iter(sandbox.plans)), "plan_url": PLAN_URL}
            airflow.api(
                "PATCH",
                "connections/achieveit_default",
                params={"update_mask": "extra"},
                json={"connection_id": "achieveit_default", "conn_type": "achieveit", "extra": json.dumps(extra)},
            )
            proxies = {"config_kwargs": {"proxies": {"http": f"http://{host}:{port}"}}, "endpoint_url": S3}
            airflow.add_connection(
                "aws_lake",
                "aws",
                login="someone",
                password=sandbox.key,
                extra=json.dumps(proxies),
            )
            yield airflow
    finally:
        server.stop()


def run_everything(airflow: LocalAirflow) -> dict[str, str]:
    """Run the DAGs that are shown, and return the id of each one's run."""
    for dag_id in ("achieveit_report", "achieveit_export", "plans_to_lake"):
        airflow.unpause(dag_id)
    runs = {"plans_to_lake": airflow.trigger("plans_to_lake")}
    for dag_id in ("achieveit_export", "achieveit_report"):
        (run, *_) = airflow.wait_until(lambda dag_id=dag_id: airflow.runs(dag_id), f"a run of {dag_id}")  # type: ignore[misc]
        runs[dag_id] = run["dag_run_id"]
    for dag_id, run_id in runs.items():
        state = airflow.wait_for_run(dag_id, run_id)
        if state != "success":
            raise RuntimeError(f"{dag_id}: {state}")
    return runs


class Pictures:
    """The pictures, each a method that leads the browser there.

    Args:
        page: A page of the browser.
        runs: The ids of the runs, by their DAGs.
    """

    def __init__(self, page: Page, runs: dict[str, str]) -> None:
        self._page = page
        self._runs = runs

    def take_all(self) -> None:
        """Make all of them."""
        for take in (self.connection, self.params, self.mapped, self.links, self.log, self.asset):
            print(f"- {take.__name__}", flush=True)
            take()

    def connection(self) -> None:
        """The form of a new connection. The saved one has to pass its test."""
        page = self._open("/connections", height=1750)
        page.get_by_role("button", name="Add Connection").click()
        form = page.get_by_role("dialog")
        form.get_by_role("combobox").click()
        page.get_by_role("option", name="AchieveIt").click()
        form.get_by_text("Extra Fields", exact=True).click()
        expect(form.get_by_text("Plan that the")).to_be_visible()
        self._save(form, "connection")

        page = self._open("/connections")
        row = page.get_by_role("row").filter(has_text="achieveit_default")
        with page.expect_response("**/connections/test") as answer:
            row.get_by_role("button", name="Test Connection").click()
        if not answer.value.json()["status"]:
            raise RuntimeError(answer.value.text())

    def params(self) -> None:
        """The parameters of the example DAG, before a run is started by hand."""
        page = self._open("/dags/achieveit_export", height=960)
        page.get_by_role("button", name="Trigger").click()
        expect(page.get_by_text("Ids of the plans to export")).to_be_visible()
        self._save(page, "params")

    def mapped(self) -> None:
        """A mapped export, each task named after its plan."""
        page = self._open(f"{self._task('plans_to_lake')}/mapped")
        expect(page.get_by_role("link", name="Plan: Strategic Plan 2026")).to_be_visible()
        self._save(page, "mapped")

    def links(self) -> None:
        """The two links of a task."""
        page = self._open(f"{self._task('plans_to_lake')}/mapped/0/details")
        expect(page.get_by_role("link", name="Landed snapshot")).to_have_attribute("href", CONSOLE)
        expect(page.get_by_role("link", name="Plan in AchieveIt")).to_be_visible()
        self._save(page, "links")

    def log(self) -> None:
        """The log of an export of many plans, with the group of those that landed open."""
        page = self._open(self._task("achieveit_export"))
        page.get_by_text("Landed plans").click()
        expect(page.get_by_text("rows, last updated").first).to_be_visible()
        self._save(page, "log")

    def asset(self) -> None:
        """The asset of a plan: who makes it, who waits for it, and its event with the manifest."""
        page = self._open("/assets")
        page.get_by_role("link", name=re.compile("^file:.*plan=3f0a6c1e")).click()
        expect(page.get_by_text("1 Asset Event").first).to_be_visible()
        expect(page.get_by_text("achieveit_landed_plans").first).to_be_visible()
        self._save(page, "asset")

    def _open(self, path: str, height: int = HEIGHT) -> Page:
        self._page.set_viewport_size({"width": WIDTH, "height": height})
        self._page.goto(path)
        return self._page

    def _task(self, dag_id: str) -> str:
        return f"/dags/{dag_id}/runs/{quote(self._runs[dag_id], safe='')}/tasks/export"

    def _save(self, what: Page | Locator, name: str) -> None:
        self._page.wait_for_load_state("networkidle")
        self._page.wait_for_timeout(SETTLE_MS)
        path = IMAGES / f"{name}.png"
        what.screenshot(path=path, animations="disabled")
        if path.stat().st_size > MAX_BYTES:
            raise RuntimeError(f"{path} has {path.stat().st_size} bytes, more than {MAX_BYTES}")


if __name__ == "__main__":
    sys.exit(main())
