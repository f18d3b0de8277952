from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_achieveit.api.retry import backoff, parse_retry_after

DAY = 86_400


@pytest.mark.parametrize(("text", "seconds"), [("0", 0), ("7", 7), (" 120 ", 120), ("9" * 400, DAY)])
def test_seconds_are_read(text: str, seconds: int) -> None:
    """A number of seconds, where more than a day can only be a mistake."""
    assert parse_retry_after(text) == seconds


def test_a_date_is_read() -> None:
    """An HTTP-date says how long to wait from now; one in the past says not to."""
    now = datetime.now(UTC)
    assert parse_retry_after(format_datetime(now + timedelta(hours=1), usegmt=True)) == pytest.approx(3600, abs=60)
    assert parse_retry_after(format_datetime(now - timedelta(hours=1), usegmt=True)) == 0
    assert parse_retry_after("Fri, 31 Dec 9999 23:59:59 GMT") == DAY


def test_a_date_of_another_zone_is_read() -> None:
    """An HTTP-date is in GMT; a server that says something else, or "-0000" (no zone is known), is understood."""
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    elsewhere = in_an_hour.astimezone(timezone(timedelta(hours=-5)))
    for moment in (elsewhere, in_an_hour.replace(tzinfo=None)):
        assert parse_retry_after(format_datetime(moment)) == pytest.approx(3600, abs=60)


@pytest.mark.parametrize("text", [None, "", " ", "soon", "-5", "1.5", "1e3", "²", "Wed, 99 Foo 2026 25:61:61 GMT"])
def test_what_says_nothing_is_ignored(text: str | None) -> None:
    """Whatever is neither leaves the client to its own delays."""
    assert parse_retry_after(text) is None


@given(st.text() | st.from_regex(r"\A[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} \d+:\d+(:\d+)? .*\Z"))
def test_no_text_breaks_it(text: str) -> None:
    """A header comes from outside: any text gives a delay that a clock can count, or none."""
    seconds = parse_retry_after(text)
    assert seconds is None or 0 <= seconds <= DAY


def test_own_delays_double_up_to_a_minute_and_vary() -> None:
    """Exponential backoff with jitter: half to the whole of 0.5, 1, 2 ... 60 seconds."""
    for tries, longest in ((1, 0.5), (2, 1.0), (5, 8.0), (8, 60.0), (1000, 60.0)):
        delays = {backoff(tries) for _ in range(50)}
        assert longest / 2 <= min(delays) <= max(delays) <= longest
        assert len(delays) > 1
