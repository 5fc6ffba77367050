"""Containers of other libraries: their type, names and index are kept, lazy arrays stay lazy, and the values are right."""

import warnings
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest

import fastact as fa
from tests.calls import CALLS
from tests.containers import (
    GRAD,
    Q,
    axis_of,
    check_values,
    draws_by_block,
    in_dask,
    in_lazy_xarray,
    in_masked,
    in_matrix,
    in_pandas,
    in_xarray,
    is_ufunc,
    nothing_computed,
    over_classes,
)


class Tensor:
    """What NumPy sees of PyTorch's tensors; ``__array_wrap__`` takes one argument, of which NumPy warns."""

    __array_priority__ = 1000

    def __init__(self, array):
        self.array = np.asarray(array)

    def __array__(self, dtype=None):
        return self.array if dtype is None else self.array.astype(dtype, copy=False)

    def __array_wrap__(self, array):
        assert isinstance(array, np.ndarray), "as torch.from_numpy"
        return Tensor(array)

    def __len__(self):
        return len(self.array)

    shape = property(lambda self: self.array.shape)
    ndim = property(lambda self: self.array.ndim)


def has_new_axis(call):
    """Whether results have an axis that no operand has, and so no container a name for."""
    return call.record.name == "one_hot"


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_pandas(call):
    pandas = pytest.importorskip("pandas")
    kinds = {2: pandas.DataFrame, 1: pandas.Series}
    for expected, got in zip(call.results(), call.results(in_pandas), strict=True):
        check_values(expected, got)
        if not np.ndim(expected):
            assert isinstance(got, np.generic)
            continue
        if has_new_axis(call):
            assert type(got) is np.ndarray
            continue
        assert type(got) is kinds[np.ndim(expected)]
        for k, n in enumerate(np.shape(expected)):
            assert list(got.axes[k]) == (axis_of(n, k)[1] if n in call.lengths else list(range(n)))


@pytest.mark.parametrize("call", CALLS, ids=str)
@pytest.mark.parametrize("wrap", [in_xarray, in_lazy_xarray])
def test_xarray(call, wrap):
    xarray = pytest.importorskip("xarray")
    rows = 3 if over_classes(call) else -1
    with nothing_computed():
        results = call.results(partial(wrap, rows=rows) if wrap is in_lazy_xarray else wrap)
    for i, (expected, got) in enumerate(zip(call.results(), results, strict=True)):
        if has_new_axis(call):
            assert not isinstance(got, xarray.DataArray)
            check_values(expected, got)
            continue
        assert type(got) is xarray.DataArray
        assert (got.chunks is None) == (wrap is in_xarray)
        if not draws_by_block(call, wrap):
            check_values(expected, got)
        assert got.shape == np.shape(expected)
        for k, n in enumerate(np.shape(expected)):
            if n in call.lengths:
                name, labels = axis_of(n, k)
                assert list(got.coords[name].values) == labels
            else:
                assert got.dims[k] not in got.coords, "labels of an axis of another length"
        assert got.name == "named" or is_ufunc(call) or i


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_matrices(call):
    for expected, got in zip(call.results(), call.results(in_matrix), strict=True):
        if np.ndim(expected) == 1 and type(got) is np.matrix:
            along = call.options.get("axis", -1)
            if call.record.whole:  # it has the axis that others are reduced along
                along = ~along
            expected = np.expand_dims(expected, along)
        elif np.ndim(expected) == 2 and not has_new_axis(call):
            assert type(got) is np.matrix
        check_values(expected, got)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_tensors(call):
    """As results of other functions than ufuncs they are given back without NumPy's warning."""
    warned = pytest.warns(DeprecationWarning, match="__array_wrap__ must accept") if is_ufunc(call) else nullcontext()
    with warned:
        results = call.results(Tensor)
    for expected, got in zip(call.results(), results, strict=True):
        assert type(got) is Tensor
        check_values(expected, got)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_torch(call):
    torch = pytest.importorskip("torch")
    with warnings.catch_warnings():
        if is_ufunc(call):
            warnings.simplefilter("ignore", DeprecationWarning)
        results = call.results(torch.from_numpy)
    for expected, got in zip(call.results(), results, strict=True):
        assert type(got) is torch.Tensor
        check_values(expected, got)


class Sub(np.ndarray):
    """Nothing but a subclass."""


@pytest.mark.parametrize("kind", [np.matrix, Sub, np.ma.MaskedArray])
def test_results_over_rows_are_no_subclass_if_none_is_asked_for(kind):
    x = np.ones((2, 3)).view(kind)
    for function in (
        fa.softmax,
        fa.log_softmax,
        fa.softmin,
        fa.logsumexp,
        partial(fa.logsumexp, axis=(0, 1), keepdims=True),
        partial(fa.softmax, axis=None),
        partial(fa.softmax_backward, np.ones((2, 3))),
        partial(fa.softmax_backward, 1.0),
    ):
        got = function(x, subok=False)
        assert type(got) is np.ndarray
        np.testing.assert_array_equal(got, function(np.ones((2, 3))))
        assert type(function(x)) is kind


def test_pandas_indices_and_bare_arrays_are_plain_arrays():
    pandas = pytest.importorskip("pandas")
    x = np.arange(6.0).reshape(2, 3)
    frame = pandas.DataFrame(x)
    for labels in (
        pandas.Index([0, 2]),
        pandas.RangeIndex(2),
        pandas.array([0, 2]),
        pandas.Index([0, 2], dtype="Int64"),
    ):
        values = np.asarray(labels, np.int64)
        for logits in (x, np.ma.array(x)):
            assert fa.cross_entropy(logits, labels) == fa.cross_entropy(x, values)
        assert fa.linear_cross_entropy(x, np.eye(3), labels) == fa.linear_cross_entropy(x, np.eye(3), values)
        rows = fa.cross_entropy(frame, labels, reduction="none")
        assert type(rows) is pandas.Series
        np.testing.assert_array_equal(rows, fa.cross_entropy(x, values, reduction="none"))
        for function in (fa.softmax, fa.logsumexp, fa.glu, partial(fa.maxout, num_pieces=2)):
            got = function(labels)
            assert isinstance(got, np.ndarray | np.generic)
            np.testing.assert_array_equal(got, function(values))


def test_missing_labels_are_said_to_be_missing():
    pandas = pytest.importorskip("pandas")
    for kind in (pandas.Series, pandas.Index, pandas.array):
        with pytest.raises(ValueError, match="target has missing values"):
            fa.cross_entropy(np.ones((2, 3)), kind([0, None], dtype="Int64"))
        with pytest.raises(ValueError, match="target has missing values"):
            fa.linear_cross_entropy(np.ones((2, 3)), np.eye(3), kind([0, None], dtype="Int64"))


def test_pandas_columns_that_may_hold_nothing():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": pandas.array([1.0, None], "Float32"), "b": pandas.array([3, 4], "Int64")})
    got = fa.softmax(frame)
    assert list(got.columns) == ["a", "b"]
    np.testing.assert_array_equal(got, fa.softmax(np.array([[1.0, 3.0], [np.nan, 4.0]])))
    assert fa.cross_entropy(frame, pandas.Series([1, 0], dtype="Int64"), reduction="none")[0] == fa.cross_entropy(
        [1.0, 3.0], 1
    )


BROADCASTING = {
    "softmax_backward": (GRAD, Q),
    "log_softmax_backward": (GRAD, -Q),
    "glu_backward": (GRAD[:, :5], Q),
    "maxout_backward": (GRAD[:, :5], np.tile(np.int32([0, 1, 0, 1, 1]), (6, 1))),
}
PARTS = {
    "along the axis": lambda a: a[:, :1],
    "one row": lambda a: a[:1],
    "a row": lambda a: a[0],
    "one element": lambda a: a[:1, :1],
}


@pytest.mark.parametrize("name", BROADCASTING)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("wrap", [in_dask, in_masked, in_matrix, in_pandas, in_xarray, in_lazy_xarray])
def test_gradients_that_broadcast(name, part, wrap):
    """The result is in the container that has all axes, and of these values it was told all."""
    function = getattr(fa, name)
    options = {"num_pieces": 2} if name == "maxout_backward" else {}
    for axis in (-1, 1, 0):
        grad, other = (a.T if name == "glu_backward" and axis == 0 else a for a in BROADCASTING[name])
        less = np.ascontiguousarray(PARTS[part](grad))
        full = np.array(np.broadcast_to(less, grad.shape))
        whole = wrap if wrap not in (in_dask, in_lazy_xarray) else partial(wrap, rows=-1 if axis == 0 else 3)
        wrapped = whole(np.ascontiguousarray(other))
        calls = [(less, wrapped, full)]
        if wrap in (in_dask, in_masked):
            calls.append((whole(less), wrapped, full))
        if name.endswith("softmax_backward"):
            calls.append((wrapped, less, full))
        for first, second, whole_one in calls:
            same = (whole_one, second) if second is wrapped else (first, whole_one)
            expected = function(*same, axis=axis, **options)
            got = function(first, second, axis=axis, **options)
            assert type(got) is type(expected) is type(wrapped)
            np.testing.assert_array_equal(np.ma.getmaskarray(got), np.ma.getmaskarray(expected))
            np.testing.assert_array_equal(np.asarray(got), np.asarray(expected))
