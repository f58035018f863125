"""Points from other software: every kind of array, and every kind of nonsense."""

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scorebench.datasets import UsageError
from scorebench.datasets.point_arrays import points_of

PLAIN = np.arange(6.0).reshape(3, 2)


class Exporter:
    """An array that has DLPack alone."""

    def __init__(self, tensor):
        self.tensor = tensor

    def __dlpack__(self, **options):
        return self.tensor.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.tensor.__dlpack_device__()


@pytest.mark.parametrize(
    "value",
    [
        PLAIN,
        PLAIN.astype(np.float32),
        PLAIN.astype(int),
        np.asfortranarray(PLAIN),
        PLAIN.tolist(),
        torch.tensor(PLAIN, requires_grad=True),
        jnp.array(PLAIN),
        pd.DataFrame(PLAIN, columns=["x", "y"]),
        pd.DataFrame(PLAIN.astype(int)).astype("Int64"),
        Exporter(torch.tensor(PLAIN)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_arrays_of_every_library(value):
    points = points_of(value)
    assert points.dtype == torch.float64
    assert points.is_contiguous()
    np.testing.assert_array_equal(points.numpy(), PLAIN)


def test_points_are_copied():
    value = PLAIN.copy()
    points_of(value)[0] = 7
    np.testing.assert_array_equal(value, PLAIN)


def test_one_axis_is_one_dimension():
    assert points_of([1.0, 2.0]).shape == (2, 1)
    with pytest.raises(UsageError, match=r"shape \(2,\), where \(n, 2\) is right"):
        points_of([1.0, 2.0], dim=2)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "None: give an array"),
        ("points.npy", "type str"),
        ({"x": 1}, "type dict"),
        (3, r"shape \(\)"),
        ([[1, 2], [3]], "no array"),
        (PLAIN[:1], "1 in number: at least 2"),
        (PLAIN[:0], "0 in number"),
        (PLAIN.T, r"shape \(2, 3\), where \(n, 2\) is right; its transpose"),
        (np.zeros((3, 0)), r"shape \(3, 0\)"),
        (np.zeros((3, 2, 1)), r"shape \(3, 2, 1\)"),
        (PLAIN + 1j, "complex numbers"),
        (PLAIN.astype(object), "dtype object"),
        (np.array([["a", "b"], ["c", "d"]]), "hold text"),
        (PLAIN > 1, "true or false"),
        (np.ma.masked_less(PLAIN, 2), "masked array .2 values are masked"),
        (np.array([(1.0, 2.0)], dtype=[("x", float), ("y", float)]), "structured array"),
        (np.array(["2026-01-01"], dtype="M8[D]"), "dates"),
        (pd.DataFrame({"x": [1.0, 2.0], "kind": ["a", "b"]}), "column 'kind'"),
        (pd.DataFrame({"x": [1, None], "y": [1, 2]}).astype("Int64"), "1 of 2 points hold NaN"),
        (np.where(PLAIN == 3, np.nan, PLAIN), "1 of 3 points hold NaN .* row 1"),
        (np.where(PLAIN == 3, np.inf, PLAIN), "1 of 3 points hold NaN or infinity"),
        (object(), r"dtype object|no array|shape \(\)"),
    ],
)
def test_other_values_are_refused_in_one_line(value, message):
    with pytest.raises(UsageError, match=message) as caught:
        points_of(value, dim=2)
    assert "\n" not in str(caught.value)


@given(
    arrays(
        st.sampled_from([np.float64, np.float32, np.int16, np.bool_, np.complex64, "U2", object]),
        array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    )
)
def test_any_array_is_points_or_a_usage_error(value):
    message = ""
    try:
        points = points_of(value)
    except UsageError as error:
        message = str(error)
    else:
        assert points.ndim == 2
        assert len(points) >= 2
        assert points.isfinite().all()
    assert "\n" not in message
