"""`make airflow`: a real Airflow with its UI, beside the sandbox, until Ctrl-C."""

import argparse
import sys
import time

from dev.stage import LAKE, ROOT, sandbox_and_airflow

GUIDE = """
  Airflow    {airflow}  (no login)
  Sandbox    {sandbox}  (API key: {key})
  Lake       {lake}

What to look at
  1. Admin > Connections > achieveit_default: the connection to the sandbox, with its form and its Test button.
  2. Dags > achieveit_export > Trigger: the plans and the destination are parameters. The XCom of the task `export`
     is the list of manifests of what landed.
  3. Dags: the other examples are paused; their descriptions say what they wait for.

Ctrl-C stops everything.
"""


def main() -> int:
    """Run until Ctrl-C; returns the exit code."""
    parser = argparse.ArgumentParser(prog="make airflow", description=__doc__)
    parser.add_argument("--port", type=int, default=8080, help="of Airflow's UI (default: %(default)s, or a free one)")
    parser.add_argument("--sandbox-port", type=int, default=8765, help="(default: %(default)s, or a free one)")
    options = parser.parse_args()
    print("Starting the sandbox API and Airflow (half a minute) ...", flush=True)
    try:
        with sandbox_and_airflow(
            ROOT / ".airflow" / "playground",
            ports=(options.sandbox_port, options.port),
            environment={"ACHIEVEIT_EXAMPLE_LAKE": LAKE.as_uri()},
        ) as (sandbox, airflow):
            print(GUIDE.format(airflow=airflow.url, sandbox=sandbox.url, key=sandbox.key, lake=LAKE), flush=True)
            while True:
                time.sleep(1)
                airflow.check()
    except KeyboardInterrupt:
        print("\nStopped.")
        return 0


if __name__ == "__main__":
    sys.exit(main())
