"""A secrets backend that takes its time, as a vault far away does."""

from __future__ import annotations

import os
import time
from typing import Any

from airflow.sdk.definitions.connection import Connection
from airflow.secrets import BaseSecretsBackend


class SlowSecrets(BaseSecretsBackend):
    """Answers after a second."""

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Any:
        """Return the connection that the environment names for tests."""
        time.sleep(1)
        return Connection.from_json(os.environ["SLOW_SECRETS_CONNECTION"], conn_id=conn_id)
