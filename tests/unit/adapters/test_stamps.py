"""Times as text: read exactly, or refused with what to set."""

from datetime import UTC, date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ami_engine.adapters.files.day_in_name import day_in_name
from ami_engine.adapters.tables.stamp_choice import StampRules, choose_reader
from ami_engine.adapters.tables.stamp_patterns import pattern_reader
from ami_engine.adapters.tables.stamps import (
    MAX_NS,
    MIN_NS,
    NS_PER_UNIT,
    date_of,
    decimal_ns,
    epoch_reader,
    iso_reader,
    midnight_reader,
    zone_of,
)
from decision_schema.errors import ConfigError, MarketDataError

BASE = 1_357_077_600 * 10**9  # 2013-01-01T22:00:00Z
NEW_YORK = zone_of("America/New_York")


def is_refused(read, text):
    try:
        read(text)
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    ("text", "unit", "ns"),
    [
        ("34200.004241176", "s", 34_200_004_241_176),
        ("34200.00426064", "s", 34_200_004_260_640),
        ("0.1234567899", "s", 123_456_789),  # finer than a nanosecond is dropped
        ("1399.5", "us", 1_399_500),
        ("1399.5", "ns", 1_399),
        ("1723161256123456789", "ns", 1_723_161_256_123_456_789),
        ("1.723161256123456e+18", "ns", 1_723_161_256_123_456_000),
        (" 12 ", "s", 12 * 10**9),
    ],
)
def test_decimals_are_exact(text, unit, ns):
    assert decimal_ns(text, NS_PER_UNIT[unit]) == ns


@pytest.mark.parametrize("text", ["", ".", "x", "1.2.3", "1_0", "nan", "inf", "1e99", "0x10", "²"])
def test_what_is_no_number_is_refused(text):
    assert is_refused(lambda text: decimal_ns(text, 10**9), text)


@given(st.integers(MIN_NS, MAX_NS - 1))
def test_any_nanosecond_survives_in_every_form(ns):
    seconds, rest = divmod(ns, 10**9)
    assert epoch_reader(1)(str(ns)) == ns
    assert epoch_reader(10**9)(f"{seconds}.{rest:09d}") == ns
    assert epoch_reader(10**6)(f"{ns // 10**6}.{ns % 10**6:06d}") == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("2013-01-01 22:00:00.295000+00:00", BASE + 295_000_000),
        ("2013-01-01T22:00:00.123456789Z", BASE + 123_456_789),
        ("2013-01-01T22:00:00,5Z", BASE + 500_000_000),
        ("2013-01-01 22:00:00 UTC", BASE),
        ("2013-01-01T17:00:00-05:00", BASE),
        ("2013-01-01T17:00:00-0500", BASE),
        ("2013-01-01T17:00-05", BASE),
        ("2013-01-01 17:00:00", BASE),  # of the zone: New York
        ("20130101 17:00:00", BASE),
        ("2013/01/01 17:00:00", BASE),
        ("2013-01-01", BASE - 17 * 3_600 * 10**9),
    ],
)
def test_iso_with_or_without_an_offset(text, ns):
    assert iso_reader(NEW_YORK)(text) == ns


@pytest.mark.parametrize(
    "text",
    ["", "2013-13-01", "2013-02-30", "2013-01-01T25:00", "2013-01-01T22:00:60Z", "2013-01-01T22:00:00+99:00",
     "1970-01-01", "2100-01-01", "01.02.2013 22:00", "2013-01-01T22:00:00.Z", "2013-01-0122:00"],
)  # fmt: skip
def test_what_is_no_iso_time_is_refused(text):
    assert is_refused(iso_reader(UTC), text)


@pytest.mark.parametrize(
    ("time_format", "text"),
    [
        ("%Y%m%d %H%M%S%f", "20130101 220000065"),
        ("%d.%m.%Y %H:%M:%S.%f", "01.01.2013 22:00:00.065"),
        ("%d.%m.%Y %H:%M:%S.%f", "1.1.2013 22:0:0.065"),
        ("%m/%d/%y %I:%M:%S.%f %p", "1/1/13 10:00:00.065 PM"),
        ("%d-%b-%Y %H:%M:%S.%f%z", "01-jan-2013 17:00:00.065-05:00"),
        ("100%% %Y-%m-%dT%H:%M:%S.%fZ", "100% 2013-01-01T22:00:00.065000000Z"),
    ],
)
def test_patterns(time_format, text):
    assert pattern_reader(time_format, UTC)(text) == BASE + 65_000_000


@pytest.mark.parametrize("text", ["2024-03-10 02:00:00", "2024-03-10 02:59:59.999"])
def test_an_hour_that_clocks_leave_out_is_no_time(text):
    """In New York 01:59 is followed by 03:00; an offset in the text, or UTC, knows no such hole."""
    assert is_refused(iso_reader(NEW_YORK), text)
    assert is_refused(pattern_reader("%Y-%m-%d %H:%M:%S", NEW_YORK), text[:19])
    assert iso_reader(NEW_YORK)(text + "-05:00") == iso_reader(UTC)(text) + 5 * 3_600 * 10**9
    before, after = (iso_reader(NEW_YORK)(f"2024-03-10 {clock}") for clock in ("01:59:59", "03:00:00"))
    assert after - before == 10**9


def test_an_hour_that_comes_twice_is_the_first_one():
    assert iso_reader(NEW_YORK)("2024-11-03 01:30:00") == iso_reader(UTC)("2024-11-03 05:30:00")


def test_numbers_that_touch_must_be_whole():
    assert is_refused(pattern_reader("%Y%m%d %H%M%S%f", UTC), "20200101 1700")


def test_a_pattern_without_a_day_takes_the_given_one():
    read = pattern_reader("%H:%M:%S.%f", NEW_YORK, date(2012, 6, 21))
    assert read("09:30:00.004241176") == midnight_reader(date(2012, 6, 21), NEW_YORK, 10**9)(
        "34200.004241176"
    )


def test_midnight_follows_the_clock_on_the_wall():
    day = date(2012, 6, 21)
    assert midnight_reader(day, NEW_YORK, 10**9)("34200.004241176") == 1_340_285_400_004_241_176
    assert midnight_reader(day, zone_of("-05:00"), 10**6)("34200004") == 1_340_289_000_004_000_000
    spring = midnight_reader(date(2024, 3, 10), NEW_YORK, 10**9)  # clocks went forward at 02:00
    assert spring("34200") == iso_reader(UTC)("2024-03-10T13:30:00")
    assert is_refused(spring, "9000")
    for outside in ("86400", "-1"):
        assert is_refused(midnight_reader(day, UTC, 10**9), outside)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: zone_of("Mars/Olympus"), "timezone is 'Mars/Olympus': give one such as UTC, America/New_York or -05:00"),
        (lambda: zone_of("-99:00"), "timezone is '-99:00': give one such as UTC, America/New_York or -05:00"),
        (lambda: zone_of(5), "timezone is 5: give one such as UTC, America/New_York or -05:00"),
        (lambda: date_of("21.6.2012"), "date is '21.6.2012': give a day such as 2012-06-21"),
        (lambda: pattern_reader("%Y-%Q", UTC), ("time_format '%Y-%Q': %Q is twice there, or none of "
         "%Y %y %m %b %d %H %I %M %S %f %p %z %%")),
        (lambda: pattern_reader("%H:%M", UTC), "time_format '%H:%M' names no year: add date"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message


def test_without_a_database_of_zones_the_package_is_named(monkeypatch):
    monkeypatch.setattr("ami_engine.adapters.tables.stamps.available_timezones", set)
    with pytest.raises(ConfigError) as caught:
        zone_of("No/Where")
    assert (
        str(caught.value)
        == "timezone is 'No/Where', but this machine has no time zone database: pip install tzdata"
    )


DAY = date(2014, 5, 6)


@pytest.mark.parametrize(
    ("first", "rules", "ns"),
    [
        ("1357077600", StampRules(), BASE),
        ("1357077600.25", StampRules(), BASE + 250_000_000),
        ("1357077600065", StampRules(), BASE + 65_000_000),
        ("1357077600065001", StampRules("us"), BASE + 65_001_000),
        ("1357077600065001002", StampRules("auto", zone=NEW_YORK, day=DAY), BASE + 65_001_002),
        ("2013-01-01T22:00:00Z", StampRules(), BASE),
        ("20130101220000", StampRules(time_format="%Y%m%d%H%M%S"), BASE),
        ("339", StampRules("ms", day=DAY), 1_399_334_400_339_000_000),
        ("34200.5", StampRules(day=DAY), 1_399_368_600_500_000_000),
        ("34200500", StampRules(day=DAY), 1_399_368_600_500_000_000),
        ("34200500000000", StampRules(day=DAY), 1_399_368_600_500_000_000),
    ],
)
def test_the_first_stamp_tells_its_unit(first, rules, ns):
    assert choose_reader(first, "a.csv", rules)(first) == ns


@pytest.mark.parametrize(
    ("first", "rules", "message"),
    [
        ("1723161256000000", StampRules("ms"),
         "1723161256000000 read as ms is beyond the year 2100: it looks like microseconds: set time_unit = 'us'"),
        ("1723161256000", StampRules("us"),
         "1723161256000 read as us is before the year 1990: it looks like milliseconds: set time_unit = 'ms'"),
        ("1723161256", StampRules("ns"),
         "1723161256 read as ns is before the year 1990: it looks like seconds: set time_unit = 's'"),
        ("1723161256000000000", StampRules("s"),
         "1723161256000000000 read as s is beyond the year 2100: it looks like nanoseconds: set time_unit = 'ns'"),
        ("339", StampRules(),
         "339 looks like milliseconds or seconds since midnight: set time_unit = 'ms' or 's' and date = '2014-05-06'"),
        ("339", StampRules(day=DAY), "339 looks like milliseconds or seconds since midnight: set time_unit = 'ms' or 's'"),
        ("34200500", StampRules(), "34200500 looks like milliseconds since midnight: set date = '2014-05-06' with its day"),
        ("34200.5", StampRules(), "34200.5 looks like seconds since midnight: set date = '2014-05-06' with its day"),
        ("339", StampRules("ms"), "339 looks like milliseconds since midnight: set date = '2014-05-06' with its day"),
        ("20130101220000", StampRules(), "20130101220000 looks like a date: set time_format = '%Y%m%d%H%M%S'"),
        ("20130101", StampRules(day=DAY), "20130101 looks like a date: set time_format = '%Y%m%d'"),
        ("99999999999999999999", StampRules(),
         "99999999999999999999 is no time of 1990 to 2099 in s, ms, us or ns: map ts to another column"),
        ("06.05.2014 10:00", StampRules(),
         "'06.05.2014 10:00' is no time of 1990 to 2099 that is known: set time_format, such as '%d.%m.%Y %H:%M:%S.%f'"),
        ("06.05.2014", StampRules(time_format="%Y"), "'06.05.2014' does not fit time_format = '%Y': correct it"),
    ],
)  # fmt: skip
def test_what_looks_wrong_is_said_with_what_to_set(first, rules, message):
    with pytest.raises(MarketDataError) as caught:
        choose_reader(first, "a.csv: column 'timestamp', row 2", rules)
    assert str(caught.value) == f"a.csv: column 'timestamp', row 2: {message}"


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("fxcm_eurusd_20140506_quote.zip", DAY),
        ("AAPL_2014-05-06_34200000_57600000_message_10.csv", DAY),
        ("eurusd.csv", None),
        ("20140506_20140507.csv", None),
        ("x_20149999.csv", None),
        ("120140506.csv", None),
        ("2014-0506.csv", None),
    ],
)
def test_the_day_in_a_name(name, day):
    assert day_in_name(name) == day
