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


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_pandas(call):
    pandas = pytest.importorskip("pandas")
    kinds = {2: pandas.DataFrame, 1: pandas.Series}
    for expected, got in zip(call.results(), call.results(in_pandas), strict=True):
        check_values(expected, got)
        if not np.ndim(expected):
            assert isinstance(got, np.generic)
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
            expected = np.expand_dims(expected, along)
        elif np.ndim(expected) == 2:
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


<<<<<<< HEAD
=======
@contextmanager
def nothing_computed():
    """Whatever computes a dask array fails."""
    dask = pytest.importorskip("dask")

    def scheduler(graph, keys, **_):
        raise AssertionError(f"computed {keys}")

    with dask.config.set(scheduler=scheduler):
        yield


def draws_by_block(call, wrap):
    return call.options.get("training", False) and wrap in (in_dask, in_lazy_xarray)


def over_classes(call):
    return call.options.get("axis", -1) == -1


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_dask(call):
    """All results are lazy, and computed by blocks of rows, or, where other axes are summed over, from one block."""
    array = pytest.importorskip("dask.array")
    with nothing_computed():
        results = call.results(in_dask if over_classes(call) else partial(in_dask, rows=-1))
    for expected, got in zip(call.results(), results, strict=True):
        assert type(got) is array.Array
        assert got.dtype == expected.dtype
        assert got.shape == np.shape(expected)
        if got.ndim and got.shape[0] == 6 and over_classes(call):
            assert got.numblocks[0] == 2
        computed = got.compute(scheduler="synchronous")
        if draws_by_block(call, in_dask):
            assert len(np.unique(computed)) > 50
        else:
            check_values(expected, computed)


MASK = np.random.default_rng(1).random((6, 10)) < 0.3
MASK[2] = True


def in_masked(array):
    """Arrays of another shape than all others', or of whole multiples of that, have nothing masked."""
    alike = array.ndim == 2 and not (array.shape[0] % 6 or array.shape[1] % 10)
    return np.ma.array(array, mask=np.resize(MASK, array.shape) if alike else np.zeros(array.shape, bool))


def in_masked_rows(array):
    return np.ma.array(array, mask=np.zeros(array.shape, bool))


def halved(mask, axis):
    either = np.logical_or(*np.split(mask, 2, axis))
    return np.concatenate([either, either], axis)


def groups(mask, k, axis):
    split = np.moveaxis(mask, axis, -1)
    return np.moveaxis(split.reshape(*split.shape[:-1], -1, k).all(-1), -1, axis)


MASKS = {
    "glu": lambda call, axis, mask: np.logical_or(*np.split(mask, 2, axis)),
    "glu_backward": lambda call, axis, mask: (
        halved(in_masked(call.arrays[1]).mask, axis) | np.concatenate([mask] * 2, axis)
    ),
    "maxout": lambda call, axis, mask: groups(mask, call.options["num_pieces"], axis),
    "maxout_with_index": lambda call, axis, mask: groups(mask, call.options["num_pieces"], axis),
    "maxout_backward": lambda call, axis, mask: np.repeat(mask, call.options["num_pieces"], axis),
}
"""The masks of results that are not masked as their first operands are."""


@pytest.mark.parametrize("call", [call for call in CALLS if "entropy" not in call.name], ids=str)
def test_masked(call):
    """What counts for an element of the result is not masked; the results know nothing of what is under the mask."""
    axis = call.options.get("axis", -1)
    if not call.record.masked:
        with pytest.raises(TypeError, match="must not be a masked array"):
            call.results(in_masked)
        return
    for k, (got, other) in enumerate(zip(call.results(in_masked), call.results(in_masked_garbage), strict=True)):
        plain = np.asarray(call.results()[k])
        if plain.shape == () or call.name == "logsumexp":
            mask = MASK.all(axis=axis, keepdims=call.options.get("keepdims", False))
        elif call.name == "prelu_backward" and k == 1:
            mask = MASK.all(0)
        else:
            mask = MASKS.get(call.name, lambda call, axis, mask: mask)(call, axis, in_masked(call.arrays[0]).mask)
        np.testing.assert_array_equal(np.ma.getmaskarray(got), mask)
        np.testing.assert_array_equal(np.ma.filled(got, 0), np.ma.filled(other, 0))
        if call.name in fa.ops or (call.record.op and k == 0):
            np.testing.assert_array_equal(got.data[~mask], plain[~mask])
    if call.name.startswith("glu"):
        np.testing.assert_array_equal(got.data[~mask], plain[~mask])


def in_masked_garbage(array):
    masked = in_masked(array.copy())
    masked.data[masked.mask] = np.nan if array.dtype.kind == "f" else 1
    return masked


def test_masked_gradients_of_maxout_and_glu_into_out():
    x, grad = in_masked(X), np.ma.array(np.ones((6, 5), np.float32), mask=MASK[:, :5])
    which = np.zeros((6, 5), np.int32)
    calls = [partial(fa.glu, x), partial(fa.maxout, x, 2), partial(fa.glu_backward, grad, x)]
    for call in [*calls, partial(fa.maxout_backward, grad, which, 2)]:
        expected = call()
        out, plain = np.ma.zeros(expected.shape, np.float32), np.zeros(expected.shape, np.float32)
        assert call(out=out) is out
        np.testing.assert_array_equal(out.mask, expected.mask)
        np.testing.assert_array_equal(out.compressed(), expected.compressed())
        assert call(out=plain) is plain
        np.testing.assert_array_equal(plain[~expected.mask], expected.compressed())


def test_masked_elements_count_in_no_gradient_of_a_slope():
    """However their gradient, their place or their slope is masked."""
    x, grad, weight = -np.ones((4, 3)), np.ones((4, 3)), np.full(3, 0.5)
    mask = np.zeros((4, 3), bool)
    mask[0, 0] = mask[:, 2] = True
    out = np.ma.zeros(3)
    for operands in (
        (np.ma.array(grad, mask=mask), x, weight),
        (grad, np.ma.array(x, mask=mask), weight),
        (grad, x, np.ma.array(np.broadcast_to(weight, (4, 3)), mask=mask)),
    ):
        by_x, by_weight = fa.prelu_backward(*operands)
        assert by_x.tolist() == [[None, 0.5, None], *[[0.5, 0.5, None]] * 3]
        assert by_weight.sum(axis=0).tolist() == [-3, -4, None] if by_weight.ndim == 2 else [-3, -4, None]
    fa.prelu_backward(grad, np.ma.array(x, mask=mask), weight, out=(None, out))
    assert out.tolist() == [-3, -4, None]


@pytest.mark.parametrize("name", [f"{name}_backward" for name, op in fa.ops.items() if op.gradients > 1])
def test_masks_of_several_gradients(name):
    """Where an operand is masked, at the shape of each result, which hides a sum if it hides all of its terms."""
    shapes = [(2, 3), (3,), (2, 1), ()]
    for given in itertools.product(shapes, repeat=3):
        if np.broadcast_shapes(*given) != (2, 3):
            continue
        for hiding in itertools.product([False, True], repeat=3):
            masks = [np.zeros(shape, bool) for shape in given]
            for mask, hides in zip(masks, hiding, strict=True):
                mask.flat[:1] = hides
            operands = [np.full(shape, value) for shape, value in zip(given, (1.0, -1.0, 0.5), strict=True)]
            together = zip(operands, masks, hiding, strict=True)
            with np.errstate(all="raise"):
                results = getattr(fa, name)(*(np.ma.array(x, mask=m) if hides else x for x, m, hides in together))
            either = np.logical_or.reduce(np.broadcast_arrays(*masks))
            for result, shape in zip(results, given[1:], strict=True):
                expected = either
                if name == "prelu_backward":
                    summed = broadcast_axes((2, 3), shape)
                    expected = either.all(axis=summed, keepdims=True).reshape(shape) if summed else either
                np.testing.assert_array_equal(np.ma.getmaskarray(result), expected)


def test_masked_parameters_mask_the_whole_result():
    """Where they alone are masked, and of less than the full shape."""
    x, parameter = np.ones((2, 3)), np.ma.array([0.1, 0.2, 0.3], mask=[1, 0, 0])
    for got in (
        fa.leaky_relu(x, parameter),
        fa.leaky_relu_backward(x, x, parameter),
        fa.rrelu(x, 0.1, parameter),
        fa.rrelu_backward(x, x, 0.1, parameter),
        fa.rrelu_backward(x, x, parameter, 0.5),
        fa.rrelu_backward(x, x, slopes=parameter),
    ):
        assert got.mask.tolist() == [[True, False, False]] * 2


ROWS = {
    "softmax": fa.softmax,
    "softmin": fa.softmin,
    "log_softmax": fa.log_softmax,
    "softmax_backward": lambda x, **axis: fa.softmax_backward(x, x, **axis),
    "log_softmax_backward": lambda x, **axis: fa.log_softmax_backward(x, x, **axis),
    "logsumexp": fa.logsumexp,
}


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i4"])
@pytest.mark.parametrize("axis", [0, -1, None, (0, 1)])
@pytest.mark.parametrize("call", ROWS)
def test_masked_elements_count_in_no_row(call, axis, dtype, same_bits):
    """Each row is computed as if they were not there."""
    rng = np.random.default_rng(0)
    masked = np.ma.masked_array((X * 3).astype(dtype), rng.random(X.shape) < 0.3)
    masked[3] = np.ma.masked
    got = ROWS[call](masked, axis=axis)
    lines = [(masked, got)]
    if axis in (0, -1):
        lines = zip(*(a.T if axis == 0 else a for a in (masked, got)), strict=True)
    for line, result in lines:
        if call == "logsumexp":
            assert (result is np.ma.masked) == bool(line.mask.all())
        else:
            np.testing.assert_array_equal(result.mask, line.mask)
        if not line.mask.all():
            left = result.compressed() if np.ndim(result) else np.asarray(result)
            np.testing.assert_allclose(
                left, ROWS[call](line.compressed()), rtol=2e-3 if dtype == "f2" else 1e-5, atol=1e-4
            )
    if np.ndim(got):
        out = np.ma.zeros(got.shape, got.dtype)
        assert ROWS[call](masked, axis=axis, out=out) is out
        same_bits(out.compressed(), got.compressed())
        np.testing.assert_array_equal(out.mask, got.mask)


def test_masked_pieces_are_never_the_largest():
    x = np.ma.array([[1.0, 9.0, 2.0, 3.0], [5.0, 6.0, 7.0, 8.0]], mask=[[0, 1, 0, 0], [1, 1, 0, 0]])
    for got in (fa.maxout(x, 2), fa.maxout_with_index(x, 2)[0]):
        assert got.tolist() == [[1.0, 3.0], [None, 8.0]]
    assert fa.maxout_with_index(x, 2)[1].tolist() == [[0, 1], [None, 1]]
    assert fa.maxout(x.T, 2, axis=0).tolist() == fa.maxout(x, 2).T.tolist()


def test_a_masked_piece_is_not_chosen_among_infinite_ones():
    x = np.ma.array([[5.0, -np.inf], [-np.inf, 5.0], [np.nan, 1.0], [1.0, 2.0]], mask=[[1, 0], [0, 1], [0, 1], [1, 1]])
    out = np.zeros((4, 1)), np.zeros((4, 1), np.int32)
    fa.maxout_with_index(x, 2, out=out)
    for which in (fa.maxout_with_index(x, 2)[1], fa.maxout_with_index(x.T, 2, axis=0)[1].T, out[1]):
        assert which[:3].tolist() == [[1], [0], [0]]
    middle = np.ma.array([1.0, -np.inf, -np.inf], mask=[1, 1, 0])
    assert fa.maxout_with_index(middle, 3)[1].tolist() == [2]


INTO = {
    "softmax": (fa.softmax, (2, 4)),
    "softmax of all": (partial(fa.softmax, axis=None), (2, 4)),
    "softmax_backward": (lambda x, out: fa.softmax_backward(x, x, out=out), (2, 4)),
    "broadcast gradient": (lambda x, out: fa.softmax_backward(1.0, x, out=out), (2, 4)),
    "logsumexp": (fa.logsumexp, (2,)),
    "logsumexp of all": (partial(fa.logsumexp, axis=None), ()),
    "cross_entropy_with_grad": (lambda x, out: fa.cross_entropy_with_grad(x, [0, 1], out=out)[1], (2, 4)),
    "in a tuple": (lambda x, out: fa.cross_entropy_with_grad(x, [0, 1], out=(out,))[1], (2, 4)),
    "mostly ignored": (lambda x, out: fa.cross_entropy_with_grad(x, [-100, -100], out=out)[1], (2, 4)),
    "maxout": (lambda x, out: fa.maxout(x, 2, out=out), (2, 2)),
    "maxout_with_index": (lambda x, out: fa.maxout_with_index(x, 2, out=(out, None))[0], (2, 2)),
    "maxout_backward": (lambda x, out: fa.maxout_backward(x, np.zeros((2, 4), int), 2, out=out), (2, 8)),
    "glu": (fa.glu, (2, 2)),
    "glu_backward": (lambda x, out: fa.glu_backward(x[:, :2], x, out=out), (2, 4)),
}


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("call", INTO)
def test_the_mask_of_out_is_written_as_by_ufuncs(call, hard):
    """As one of its own: not what it has shared, hard or not, nor what was masked before."""
    function, shape = INTO[call]
    x = np.arange(8.0).reshape(2, 4)
    for given in (x, np.ma.array(x), np.ma.array(x, mask=[[False] * 4, [True] * 4])):
        before = np.ones(shape, bool)
        out = np.ma.array(np.zeros(shape), mask=before, hard_mask=hard, copy=False)
        other = np.ma.array(np.zeros(shape), mask=before, copy=False)
        view = out[...]
        with np.errstate(all="raise"):
            assert function(given, out=out) is out
        masks = np.ma.getmaskarray(given).all() if not shape else np.zeros(shape, bool)
        if shape and np.ma.is_masked(given):
            masks[1] = True
        np.testing.assert_array_equal(out.mask, masks)
        assert out.mask.shape == shape
        assert before.all()
        assert other.mask.all()
        assert view.mask.all()
        if given is x:
            plain = np.zeros(shape)
            np.testing.assert_array_equal(out.data, function(x, out=plain))
        assert not np.may_share_memory(out.mask, np.ma.getmaskarray(given))


def test_masked_results_keep_the_rest_of_what_they_are_made_of():
    """As those of ``np.exp``."""

    class Own(np.ma.MaskedArray):
        pass

    x = np.ma.array(np.ones((2, 4)), mask=np.eye(2, 4), fill_value=7.0).view(Own)
    for got in (
        fa.softmax(x),
        fa.log_softmax_backward(1.0, x),
        fa.logsumexp(x),
        fa.glu(x),
        fa.glu_backward(1.0, x),
        fa.maxout(x, 2),
        fa.maxout_with_index(x, 2)[0],
        fa.cross_entropy_with_grad(x, [3, 3])[1],
    ):
        assert type(got) is type(np.exp(x)) is Own
        assert got.fill_value == np.exp(x).fill_value == 7.0
        assert not np.may_share_memory(got.mask, x.mask)


>>>>>>> main
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
