"""A plan whose newest update cannot be read is never called unchanged without its content."""

from __future__ import annotations

import logging

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_provider_achieveit.lake.errors import AchieveItUnknownVersionError
from tests.sensors.conftest import MODES, PLAN, Stage, drive


@pytest.fixture
def odd(stage: Stage) -> Stage:
    """A landed plan of ten items whose times are in a form of their own."""
    stage.sandbox.put_plan(PLAN, 10)
    for index in range(10):
        stage.plan.patch(index, lastUpdated="11/20/2026 10:00 AM")
    stage.export(on_drift="rescue")
    return stage


@pytest.mark.parametrize("mode", MODES)
def test_with_a_destination_the_content_is_compared(odd: Stage, mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """Unchanged is unchanged, an edit is a change; one warning quotes the text that is not a time."""
    with pytest.raises(AirflowSensorTimeout):
        drive(odd.sensor(mode, destination=odd.destination, timeout=1))
    odd.plan.edit(3, touch=False, name="Edited")
    assert drive(odd.sensor(mode, destination=odd.destination))["reason"] == "content differs"
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("lastUpdated '11/20/2026 10:00 AM' is not a time" in warning for warning in warnings)


def test_a_sensor_that_pokes_often_warns_once(odd: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Not at each look."""
    with pytest.raises(AirflowSensorTimeout):
        drive(odd.sensor(destination=odd.destination, timeout=1))
    assert odd.requests > 4
    warnings = [record.getMessage() for record in caplog.records if "only its content can tell" in record.getMessage()]
    assert len(warnings) == 1


@pytest.mark.parametrize("mode", MODES)
def test_with_since_it_is_an_error(odd: Stage, mode: str) -> None:
    """There is nothing to compare with, and the message says what to do."""
    with pytest.raises(
        AchieveItUnknownVersionError, match=r"'11/20/2026 10:00 AM' is not a time.*destination"
    ) as raised:
        drive(odd.sensor(mode, since="2026-01-01"))
    assert raised.value.plan_id == PLAN
