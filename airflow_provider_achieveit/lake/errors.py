"""Exceptions of reading, checking and landing a plan.

AchieveItDataError                      see `api.errors`
AchieveItInconsistentError          the plan changed while it was read
AchieveItPagingError                the plan stood still, but its pages do not fit together
AchieveItUnknownVersionError        the newest update is unknown
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


class AchieveItPagingError(AchieveItDataError):
    """The plan stood still during every attempt to read it, but its pages do not fit together."""

    situation = "the plan stood still, but its pages do not fit together"
    advice = (
        "Raise page_size of the connection if it is below 1500, compare totalCount with the items that the key's user "
        'sees, and ask the support of AchieveIt; on_inconsistent="accept" publishes what was read, unproven.'
    )


class AchieveItUnknownVersionError(AchieveItDataError):
    """The plan version is unknown, and there is only a time to compare with."""

    situation = "the plan version is unknown, with since"
    advice = "Give destination instead of since: then the content is compared."


class AchieveItDriftError(AchieveItDataError):
    """Every value of a column does not fit it (`on_drift="auto"`), or any value does not (`on_drift="fail"`)."""

    situation = 'values that do not fit: all of a column (on_drift="auto"), or any (on_drift="fail")'
    retry_task = False
    advice = 'Look at the fields that are named; on_drift="rescue" never fails, and keeps such values in _rescued_data.'


class AchieveItGuardError(AchieveItDataError):
    """The snapshot has fewer rows than `min_rows` or `max_shrink` allow; nothing was published."""

    situation = "fewer rows than min_rows or max_shrink allow"
    retry_task = False
    advice = "Check what the key's user can still see; if the plan really shrank, loosen the guard for one run."


class AchieveItStoreError(AchieveItError):
    """The object store refused."""

    ends_task = True
    situation = "the object store refused"
    advice = "Check the destination and its Airflow connection."


class AchieveItManifestError(AchieveItStoreError):
    """The latest manifest is not one that this package wrote."""

    ends_task = False
    situation = "latest.json is not a manifest of this package"
    advice = "An export without max_shrink and if_unchanged replaces it; or put the right file back."


class AchieveItContendedError(AchieveItStoreError):
    """Another export kept overwriting the same snapshot."""

    ends_task = False
    situation = "two exports of one snapshot kept overwriting each other"
    advice = "Let one task at a time write one snapshot (max_active_tis_per_dag=1, a pool), or give each its own label."


class AchieveItOutdatedError(AchieveItStoreError):
    """Another export read the plan later, and its snapshot is there: this one must not replace it."""

    ends_task = False
    situation = "another export has read the plan later, and landed first"
    advice = "Nothing needs to be done: the destination holds the later state of the plan."


class AchieveItScratchError(AchieveItError):
    """The temporary directory is full, or not writable."""

    ends_task = True
    situation = "the temporary directory is full or not writable"
    advice = "Make room there, or let TMPDIR name a larger directory: it has to hold the Parquet files of one plan."


class AchieveItPortfolioError(AchieveItError):
    """Some plans of a task failed, at least one of them in a way that another try can mend."""

    situation = "some of many plans failed, and another try can help one of them at least"
    advice = "Another try of the task exports the plans that failed; those that landed stay as they are."


class AchieveItPortfolioFinalError(AchieveItError):
    """Some plans of a task failed, and another try can help none of them."""

    situation = "some of many plans failed, and another try can help none of them"
    retry_task = False
    advice = (
        "Correct what is named, then clear the task: within 24 hours it goes on with the plans that failed. "
        'on_plan_failure="warn" lets the task succeed with the others.'
    )
