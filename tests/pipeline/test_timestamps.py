"""Time stamps in the forms that sensors write."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as some

from streamlnn.errors import DecodeError, InputUnavailable
from streamlnn.pipeline.timestamps import parser, rfc3339, slashed_formats

NOON = 1_767_268_800_000_000_000  # 2026-01-01T12:00:00Z


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("unix", 1_767_268_800),
        ("unix", "1767268800.0"),
        ("unix_ms", 1_767_268_800_000),
        ("unix_us", 1_767_268_800_000_000),
        ("unix_ns", NOON),
        ("rfc3339", "2026-01-01T12:00:00Z"),
        ("rfc3339", "2026-01-01 14:00+02:00"),
        ("%d.%m.%y %H:%M", "01.01.26 12:00"),
        ("auto", 1_767_268_800),
        ("auto", 1_767_268_800_000),
        ("auto", "1767268800000"),
        ("auto", NOON),
        ("auto", "2026-01-01 12:00:00"),
        ("auto", "2026/01/01 12:00"),
        ("auto", "2026-01-01 12:00:00 UTC"),
        ("auto", "2026-01-01 12:00:00 GMT"),
    ],
)
def test_a_stamp_is_read_in_every_usual_form(form: str, value: object) -> None:
    assert parser(form)(value) == NOON


def test_a_zone_applies_to_stamps_that_do_not_tell_theirs() -> None:
    berlin = parser("auto", "Europe/Berlin")
    assert berlin("2026-01-01 13:00:00") == NOON
    assert berlin("2026-01-01T12:00:00Z") == NOON


def test_fractions_of_a_second_are_kept_to_the_nanosecond() -> None:
    assert parser("auto")("2026-01-01T12:00:00.123456789Z") == NOON + 123_456_789
    assert parser("unix")("1767268800.000000001") == NOON + 1


@pytest.mark.parametrize("value", ["yesterday", "", None, True, {}, [1], "13/1/2026 12:00", 1e300])
def test_what_is_no_time_is_a_decode_error(value: object) -> None:
    with pytest.raises(DecodeError):
        parser("auto")(value)


@pytest.mark.parametrize("form", ["auto", "unix", "unix_ns"])
@pytest.mark.parametrize("value", ["1e9999999", "-1e9999999", "1e999999999999", "9" * 100_000])
def test_a_number_beyond_all_bounds_is_a_short_decode_error(form: str, value: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parser(form)(value)
    assert len(str(caught.value)) < 200


def test_a_value_of_another_format_says_which_one_was_expected() -> None:
    with pytest.raises(DecodeError, match="does not match the format '%Y'"):
        parser("%Y")("2026-01")


@given(some.integers(-(2**53), 2**62))
def test_what_is_written_is_read_again(nanoseconds: int) -> None:
    text = rfc3339(nanoseconds)
    assert parser("rfc3339")(text) == nanoseconds
    assert datetime.fromisoformat(text).tzinfo == UTC


@pytest.mark.parametrize("value", ["3/4/2026 12:00", "13/03/2026", "03/13/2026", "1/1/2026 12:00"])
def test_a_date_with_slashes_is_refused_with_both_formats_where_nobody_said_which(
    value: str,
) -> None:
    """Also the clear ones: a stream that begins on the 13th would break off at the next month."""
    with pytest.raises(DecodeError, match=r"the day or the month.*%d/%m/%Y.*%m/%d/%Y"):
        parser("auto")(value)


@pytest.mark.parametrize(
    "clock", ["", " 12:00", " 09:05:30", " 12:00:00 AM", " 1:05 pm", " 12:00:01.250"]
)
def test_a_date_with_slashes_is_read_as_its_own_format_would_be(clock: str) -> None:
    text = f"03/04/2026{clock}"
    by_day, by_month = slashed_formats(text)
    assert parser("auto", first="day")(text) == parser(by_day)(text)
    assert parser("auto", first="month")(text) == parser(by_month)(text)
    assert parser(by_day)(text) != parser(by_month)(text)


@pytest.mark.parametrize(("first", "value"), [("month", "13/03/2026"), ("day", "03/13/2026")])
def test_a_thirteenth_month_ends_it(first: Literal["day", "month"], value: str) -> None:
    with pytest.raises(InputUnavailable, match=r"no month 13 .* --time-format"):
        parser("auto", first=first)(value)


@pytest.mark.parametrize("value", ["33/01/2026", "0/1/2026", "30/02/2026", "01/01/2026 25:00"])
def test_a_day_that_never_was_costs_itself(value: str) -> None:
    with pytest.raises(DecodeError, match="is none"):
        parser("auto", first="day")(value)
