"""Containers of other libraries around an array, for the tests of what becomes of them."""

from contextlib import contextmanager

import numpy as np
import pytest

import fastact as fa

GRAD = np.random.default_rng(0).normal(size=(6, 10)).astype(np.float32)
Q = (np.random.default_rng(1).random((6, 10)) / 5).astype(np.float32)
X = np.linspace(-2, 2, 60, dtype=np.float32).reshape(6, 10)
AXES = {6: ("row", list("abcdef")), 10: ("class", [f"c{i}" for i in range(10)])}
"""The name and the labels of the axes of that length."""


def axis_of(n, i):
    return AXES.get(n, (f"axis {i}", list(range(n))))


def in_pandas(array):
    pandas = pytest.importorskip("pandas")
    labels = [axis_of(n, i)[1] for i, n in enumerate(array.shape)]
    return pandas.DataFrame(array, *labels) if array.ndim == 2 else pandas.Series(array, *labels)


def in_xarray(array):
    xarray = pytest.importorskip("xarray")
    axes = [axis_of(n, i) for i, n in enumerate(array.shape)]
    return xarray.DataArray(array, axes, attrs={"unit": "nat"}, name="named")


def in_matrix(array):
    return array.view(np.matrix) if array.ndim == 2 else array


def in_dask(array, rows=3):
    """Rows in several blocks, classes in one."""
    dask = pytest.importorskip("dask.array")
    return dask.from_array(array, chunks=(rows, *array.shape[1:]) if len(array) == 6 else -1)


def in_lazy_xarray(array, rows=3):
    return in_xarray(array).copy(data=in_dask(array, rows))


def is_ufunc(call):
    return isinstance(getattr(fa, call.name), np.ufunc)


def check_values(expected, got):
    expected, got = np.asarray(expected), np.asarray(got)
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)  # of pandas, some parameters make float64


@contextmanager
def nothing_computed():
    """Whatever computes a dask array fails."""
    dask = pytest.importorskip("dask")

    def scheduler(graph, keys, **_):
        raise AssertionError(f"computed {keys}")

    with dask.config.set(scheduler=scheduler):
        yield


def draws_by_block(call, wrap):
    return call.variant.random and call.options.get("training", False) and wrap in (in_dask, in_lazy_xarray)


def over_classes(call):
    return call.options.get("axis", -1) == -1


MASK = np.random.default_rng(1).random((6, 10)) < 0.3
MASK[2] = True


def in_masked(array):
    """Arrays of another shape than all others', or of whole multiples of that, have nothing masked."""
    alike = array.ndim == 2 and not (array.shape[0] % 6 or array.shape[1] % 10)
    return np.ma.array(array, mask=np.resize(MASK, array.shape) if alike else np.zeros(array.shape, bool))


def in_masked_rows(array):
    return np.ma.array(array, mask=np.zeros(array.shape, bool))
