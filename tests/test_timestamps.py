from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.timestamps import iso_timestamp, parse_timestamp

SECOND = 1_000_000_000


def test_the_epoch_is_zero():
    assert parse_timestamp("1970-01-01T00:00:00Z") == 0


def test_an_offset_names_the_same_instant_as_z():
    assert parse_timestamp("2016-12-05T21:29:29Z") == parse_timestamp("2016-12-05T22:29:29+01:00")
    assert parse_timestamp("2016-12-05T21:29:29Z") == parse_timestamp("2016-12-05T13:59:29-07:30")
    assert parse_timestamp("2016-12-05T21:29:29Z") == parse_timestamp("2016-12-05T21:29:29-00:00")


def test_an_offset_can_cross_midnight():
    assert parse_timestamp("1970-01-01T01:00:00+02:00") == -3600 * SECOND


@pytest.mark.parametrize(
    ("fraction", "nanoseconds"),
    [(".5", 500_000_000), (".123", 123_000_000), (".000001", 1_000), (".123456789", 123_456_789), ("", 0)],
)
def test_a_fraction_has_up_to_nine_digits(fraction, nanoseconds):
    assert parse_timestamp(f"1970-01-01T00:00:01{fraction}Z") == SECOND + nanoseconds


def test_a_leap_day_exists_only_in_a_leap_year():
    assert parse_timestamp("2024-02-29T00:00:00Z") is not None
    assert parse_timestamp("2023-02-29T00:00:00Z") is None


@pytest.mark.parametrize(
    "text",
    [
        "05-12-2016T21:29:29Z",
        "2016-12-05 21:29:29Z",
        "2016-12-05T21:29:29",
        "2016-12-05t21:29:29Z",
        "2016-12-05T21:29:29z",
        "2016-12-05T25:29:29Z",
        "2016-12-05T24:00:00Z",
        "2016-12-05T21:60:29Z",
        "2016-12-05T21:29:60Z",
        "2016-13-05T21:29:29Z",
        "2016-00-05T21:29:29Z",
        "2016-12-32T21:29:29Z",
        "2016-12-05T21:29Z",
        "2016-12-05T21:29:29.Z",
        "2016-12-05T21:29:29.1234567890Z",
        "2016-12-05T21:29:29,5Z",
        "2016-12-05T21:29:29+0100",
        "2016-12-05T21:29:29+01",
        "2016-12-05T21:29:29+18:01",
        "2016-12-05T21:29:29+19:00",
        "2016-12-05T21:29:29+01:60",
        "2016-12-05",
        "2016-12-05T21:29:29Z\n",
        " 2016-12-05T21:29:29Z",
        "２016-12-05T21:29:29Z",
        "2023-02-24 12:15:56.832957",
        "0000-01-01T00:00:00Z",
        "date",
        "",
    ],
)
def test_what_aws_does_not_accept_is_no_timestamp(text):
    assert parse_timestamp(text) is None


def test_a_printed_timestamp_has_three_digits_of_fraction():
    assert iso_timestamp(0) == "1970-01-01T00:00:00.000Z"
    assert iso_timestamp(1_704_164_645_678) == "2024-01-02T03:04:05.678Z"
    assert iso_timestamp(1_704_164_645_007) == "2024-01-02T03:04:05.007Z"
    assert iso_timestamp(-1) == "1969-12-31T23:59:59.999Z"


@given(st.integers(min_value=-62_135_596_800_000, max_value=253_402_300_799_999))
def test_what_is_printed_is_the_time_and_can_be_read_back(ms):
    printed = iso_timestamp(ms)
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    assert datetime.fromisoformat(printed) == moment
    assert parse_timestamp(printed) == ms * 1_000_000
