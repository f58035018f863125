"""Numbers as people read them."""

import math

import pytest
from scorebench.reports import text


@pytest.mark.parametrize(
    ("value", "half", "expected"),
    [
        (0.21513, 0.0122, "0.215 ± 0.012"),
        (0.21719, 0.00993, "0.217 ± 0.010"),
        (0.3411, 0.0463, "0.34 ± 0.05"),
        (12.345, 3.1, "12.3 ± 3.1"),
        (12345.6, 420.0, "12346 ± 420"),
        (6.23e-5, 1.12e-5, "6.2e-05 ± 1.1e-05"),
        (-6.23e-5, 1.12e-5, "-6.2e-05 ± 1.1e-05"),
        (1.23e-5, 6.2e-5, "1e-05 ± 6e-05"),
        (0.5, 0.0, "0.500 ± 0"),
        (0.999999999999998, 2.3e-14, "1 ± 2.30e-14"),
        (-3e5, 1e-10, "-300000 ± 1.00e-10"),
        (2.5e-7, 1e-22, "2.50e-07 ± 1.00e-22"),
        (0.5, math.nan, "0.500"),
        (math.inf, math.nan, "failed"),
        (math.nan, math.nan, "–"),
    ],
)
def test_value_and_error_have_the_digits_of_the_error(value: float, half: float, expected: str):
    assert text.measured(value, half) == expected


def test_interval():
    assert text.spanned(0.24111, 0.21021, 0.29134) == "0.24 (0.21 … 0.29)"
    assert text.spanned(0.24111, math.nan, math.nan) == "0.241"
    assert text.interval(0.28413, 0.34739) == "0.284 … 0.347"
    assert text.interval(-0.00015, -0.000001) == "-0.00015 … 0.00000"
    assert text.interval(math.nan, math.nan) == "–"
    assert text.interval(0.999999999999998, 1.000000000000003) == "1 … 1"


@pytest.mark.parametrize(
    ("value", "expected"),
    [(2.16e-5, "2.16e-05"), (3, "3"), (3.0, "3"), (0.04029, "0.0403"), (123.456, "123"),
     (0.000216, "0.000216"),
     (1.5e7, "1.50e+07"), (math.inf, "failed"), (math.nan, "–"), (None, "–"), (True, "True"),
     ("rademacher", "rademacher"), (0.0, "0"), (-0.00231, "-0.00231")],
)  # fmt: skip
def test_number(value: object, expected: str):
    assert text.number(value) == expected


def test_words():
    assert text.listed([]) == ""
    assert text.listed(["a"]) == "a"
    assert text.listed(["a", "b", "c"]) == "a, b and c"
    assert text.plural(1, "seed") == "1 seed"
    assert text.percent(0.004) == "<1 %"
    assert text.percent(0.999) == ">99 %"
    assert text.percent(0.0) == "0 %"
    assert text.percent(0.643) == "64 %"
    assert text.ranks((1, 2)) == "1–2"
    assert text.ranks((3, 3)) == "3"
    assert text.ranks(None) == "–"
    assert text.seconds(4.04) == "4.0 s"
    assert text.seconds(600) == "10 min"
    assert text.seconds(7200) == "2.0 h"
    assert text.count(800_000) == "800 k"
    assert text.count(2_500_000) == "2.5 M"


def test_numbers_of_further_restarts():
    assert text.further(math.nan) == text.MISSING
    assert text.further(math.inf) == "over 1000"
    assert text.further(41.6) == "42"
