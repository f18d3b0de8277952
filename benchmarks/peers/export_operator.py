"""This package's operator, in a Python process with Airflow.

Usage: export_operator.py URL PLAN OUT          PLAN "-" only imports what an export needs
"""

import os
import sys


def main(url: str, plan: str, out: str) -> None:
    os.environ["AIRFLOW_CONN_ACHIEVEIT_DEFAULT"] = (
        f'{{"conn_type": "achieveit", "host": "{url}", "password": "sandbox-key"}}'
    )
    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

    if plan == "-":
        import airflow_provider_achieveit._destination
        import airflow_provider_achieveit.api.client
        import airflow_provider_achieveit.lake.export  # noqa: F401

        return
    AchieveItExportOperator(task_id="export", plan_id=plan, destination=f"file://{out}").execute({})


if __name__ == "__main__":
    main(*sys.argv[1:])
