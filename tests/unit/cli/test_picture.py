"""The picture of a price: its width, its labels, and that every price is on it."""

import pytest

from ami_engine.adapters.inspecting.course import Bucket, Course
from ami_engine.adapters.inspecting.inspected import Picture
from ami_engine.cli.picture import PRICE_ROWS, SPREAD_ROWS, columns_of, draw

START = 1_723_161_256 * 10**9


def picture_of(prices, step_ns=10**9, spread_bps=2.0):
    course = Course()
    for n, price in enumerate(prices):
        course.add(START + n * step_ns, price, spread_bps)
    return Picture(
        begin_ns=course.begin_ns, end_ns=course.end_ns, width_ns=course.width_ns, buckets=course.buckets
    )


PRICES = {
    "one": [9.5],
    "flat": [9.5] * 50,
    "rising": [float(n) for n in range(1, 400)],
    "jump": [1.0] * 50 + [2.0] * 50,
    "large": [1_234_567_890.5, 1_234_567_891.5],
    "small": [0.000012345, 0.000012346],
    "negative": [-37.5, 5.0],
}


@pytest.mark.parametrize("unicode", [True, False])
@pytest.mark.parametrize("width", [0, 40, 57, 80, 100, 500])
@pytest.mark.parametrize("case", PRICES)
def test_lines_fit(case, width, unicode):
    lines = draw(picture_of(PRICES[case]), width, unicode=unicode)
    assert len(lines) == PRICE_ROWS + SPREAD_ROWS + 1
    assert max(map(len, lines)) <= min(max(width, 40), 100)
    assert lines[0].split()[0] == f"{max(PRICES[case]):.10g}"
    assert lines[PRICE_ROWS - 1].split()[0] == f"{min(PRICES[case]):.10g}"
    assert lines[PRICE_ROWS].split()[:2] == ["2", "bps"]
    assert lines[-2].split()[:2] == ["0", "bps"]
    assert unicode or all(line.isascii() for line in lines)


@pytest.mark.parametrize("unicode", [True, False])
def test_every_column_shows_a_price(unicode):
    lines = draw(picture_of(PRICES["rising"]), 80, unicode=unicode)[:PRICE_ROWS]
    edge = lines[0].index("│" if unicode else "|")
    rows = [line.ljust(80)[edge + 1 :] for line in lines]
    assert all(any(row[x] != " " for row in rows) for x in range(80 - edge - 1))
    assert rows[0][0] == " " != rows[0][-1]
    assert rows[-1][0] != " " == rows[-1][-1]


def test_a_known_picture():
    lines = draw(picture_of([1.0, 4.0, 2.0, 3.0], spread_bps=123.4), 44, unicode=False)
    print("\n".join(lines))
    assert lines[PRICE_ROWS].startswith("   123 bps |####")
    assert lines[-1].endswith("2024-08-08 23:54:16 23:54:19 UTC")


def test_without_spread_there_is_one_chart():
    lines = draw(picture_of([1.0, 2.0], spread_bps=0.0), 60)
    assert len(lines) == PRICE_ROWS + 1


def test_times_of_several_days():
    assert draw(picture_of([1.0, 2.0], 86_400 * 10**9), 80)[-1].split() == [
        "2024-08-08", "23:54:16", "2024-08-09", "23:54:16", "UTC",
    ]  # fmt: skip
    assert draw(picture_of([1.0, 2.0], 86_400 * 10**9), 40)[-1].split() == [
        "08-08",
        "23:54",
        "08-09",
        "23:54",
    ]


def test_a_silence_keeps_the_last_price():
    buckets = [Bucket(1.0, 3.0, 2.0, 4.0, 2), Bucket(), Bucket(), Bucket(5.0, 5.0, 5.0, 1.0, 1)]
    shown = columns_of(buckets, 4)
    assert [column.last for column in shown] == [2.0, 2.0, 2.0, 5.0]
    assert [(column.low, column.high) for column in shown] == [(1.0, 3.0), (2.0, 2.0), (2.0, 2.0), (5.0, 5.0)]
    assert [column.spread_bps for column in shown] == [2.0, 2.0, 2.0, 1.0]
    assert [column.high for column in columns_of(buckets, 2)] == [3.0, 5.0]
    assert [column.last for column in columns_of(buckets, 8)] == [2.0] * 6 + [5.0] * 2
