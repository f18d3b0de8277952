"""Exceptions of reading, checking and landing a plan.

AchieveItDataError                      see `api.errors`
AchieveItInconsistentError          the plan changed while it was read
AchieveItDriftError                 values that do not fit the schema
AchieveItGuardError                 fewer rows than the guards allow
AchieveItStoreError                     the object store refused
AchieveItManifestError              latest.json is not a manifest
AchieveItContendedError             two exports of one snapshot overwrote each other
AchieveItOutdatedError              the destination holds a later state of the plan
AchieveItScratchError                   the temporary directory is full
"""

from __future__ import annotations

from airflow_provider_achieveit.api.errors import AchieveItDataError, AchieveItError


class AchieveItInconsistentError(AchieveItDataError):
    """The plan changed during every attempt to read it, so no snapshot could be proven."""

    situation = "the plan changed during every attempt to read it"
    advice = 'Try again when fewer people edit the plan, or set on_inconsistent="accept".'


class AchieveItDriftError(AchieveItDataError):
    """Values or fields do not fit the declared columns, and `on_drift="fail"` was asked for."""

    situation = 'values or fields that the schema does not know, with on_drift="fail"'
    retry_task = False
    advice = 'Look at the fields that are named; on_drift="rescue" keeps such values in _rescued_data.'


class AchieveItGuardError(AchieveItDataError):
    """The snapshot has fewer rows than `min_rows` or `max_shrink` allow; nothing was published."""

    situation = "fewer rows than min_rows or max_shrink allow"
    retry_task = False
    advice = "Check what the key's user can still see; if the plan really shrank, loosen the guard for one run."


class AchieveItStoreError(AchieveItError):
    """The object store refused."""

    situation = "the object store refused"
    advice = "Check the destination and its Airflow connection."


class AchieveItManifestError(AchieveItStoreError):
    """The latest manifest is not one that this package wrote."""

    situation = "latest.json is not a manifest of this package"
    advice = "An export without max_shrink and if_unchanged replaces it; or put the right file back."


class AchieveItContendedError(AchieveItStoreError):
    """Another export kept overwriting the same snapshot."""

    situation = "two exports of one snapshot kept overwriting each other"
    advice = "Let one task at a time write one snapshot (max_active_tis_per_dag=1, a pool), or give each its own label."


class AchieveItOutdatedError(AchieveItStoreError):
    """Another export read the plan later, and its snapshot is there: this one must not replace it."""

    situation = "another export has read the plan later, and landed first"
    advice = "Nothing needs to be done: the destination holds the later state of the plan."


class AchieveItScratchError(AchieveItError):
    """The temporary directory is full, or not writable."""

    situation = "the temporary directory is full or not writable"
    advice = "Make room there, or let TMPDIR name a larger directory: it has to hold the Parquet files of one plan."
