"""What moved between Airflow 2.11 and 3.3: the only module that knows.

Airflow's own `common.compat.sdk` is newer than the constraints of Airflow 3.0, so it can't be asked for.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import (
        Asset,
        AssetAlias,
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        Context,
        ObjectStoragePath,
    )
    from airflow.sdk.bases.sensor import PokeReturnValue
    from airflow.sdk.configuration import conf
    from airflow.sdk.definitions.retry_policy import RetryDecision, RetryPolicy
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSkipException,
    )
    from airflow.sdk.io import get_fs
    from airflow.triggers.base import BaseEventTrigger
else:
    try:  # 3.0
        from airflow.sdk import (
            Asset,
            AssetAlias,
            BaseOperator,
            BaseOperatorLink,
            BaseSensorOperator,
            Context,
            ObjectStoragePath,
        )
        from airflow.sdk.bases.sensor import PokeReturnValue
    except ImportError:
        from airflow.datasets import Dataset as Asset
        from airflow.datasets import DatasetAlias as AssetAlias
        from airflow.io.path import ObjectStoragePath
        from airflow.models import BaseOperator
        from airflow.models.baseoperatorlink import BaseOperatorLink
        from airflow.sensors.base import BaseSensorOperator, PokeReturnValue
        from airflow.utils.context import Context
    try:  # 3.0
        from airflow.triggers.base import BaseEventTrigger
    except ImportError:
        from airflow.triggers.base import BaseTrigger as BaseEventTrigger
    try:  # 3.1
        from airflow.sdk import BaseHook
    except ImportError:
        from airflow.hooks.base import BaseHook
    try:  # 3.2
        from airflow.sdk.configuration import conf
        from airflow.sdk.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSkipException,
        )
    except ImportError:
        from airflow.configuration import conf
        from airflow.exceptions import (
            AirflowException,
            AirflowFailException,
            AirflowNotFoundException,
            AirflowSkipException,
        )
    try:  # 3.0
        from airflow.sdk.io import get_fs
    except ImportError:
        from airflow.io import get_fs
    try:  # 3.3
        from airflow.sdk import RetryDecision, RetryPolicy
    except ImportError:
        RetryDecision, RetryPolicy = None, object

AIRFLOW_VERSION = tuple(map(int, __version__.split(".")[:2]))

__all__ = [
    "AIRFLOW_VERSION",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowSkipException",
    "Asset",
    "AssetAlias",
    "BaseEventTrigger",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "Context",
    "ObjectStoragePath",
    "PokeReturnValue",
    "RetryDecision",
    "RetryPolicy",
    "alias_extra",
    "conf",
    "get_fs",
    "get_xcom",
]


def get_xcom(ti_key: Any, key: str) -> Any:
    """Return the value of an XCom, or None if there is none; for a link, so it is imported only then."""
    module = import_module("airflow.sdk.execution_time.xcom" if AIRFLOW_VERSION >= (3, 0) else "airflow.models.xcom")
    return module.XCom.get_value(ti_key=ti_key, key=key)


def alias_extra(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an asset alias's event can carry: before 3.1 Airflow hashes the values: nested ones go as JSON."""
    if AIRFLOW_VERSION >= (3, 1):
        return dict(extra)
    return {key: json.dumps(value) if isinstance(value, dict | list) else value for key, value in extra.items()}
