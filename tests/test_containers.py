"""Containers of other libraries: their type, names, index and mask are kept, lazy arrays stay lazy, and the values are right."""

import itertools
import warnings
from contextlib import contextmanager, nullcontext
from functools import partial

import numpy as np
import pytest

import fastact as fa
from fastact.calls.layout import broadcast_axes
from tests.calls import CALLS
from tests.combinations import covering

GRAD = np.random.default_rng(0).normal(size=(6, 10)).astype(np.float32)
Q = (np.random.default_rng(1).random((6, 10)) / 5).astype(np.float32)
X = np.linspace(-2, 2, 60, dtype=np.float32).reshape(6, 10)


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


def test_masked_classes_and_labels_count_nothing():
    x = np.ma.array([[0.0, 1.0, 2.0, 5.0], [1.0, 2.0, 3.0, 4.0]], mask=[[0, 0, 0, 1], [0, 1, 0, 0]])
    rows = [fa.cross_entropy([[0.0, 1.0, 2.0]], [0]), fa.cross_entropy([[1.0, 3.0, 4.0]], [1])]
    loss, grad = fa.cross_entropy_with_grad(x, [0, 2])
    assert loss == fa.cross_entropy(x, [0, 2]) == pytest.approx(sum(rows) / 2)
    np.testing.assert_array_equal(grad.mask, x.mask)
    assert np.ma.sum(grad, axis=1).tolist() == pytest.approx([0, 0])
    assert fa.cross_entropy(x, [0, 1]) == pytest.approx(rows[0])  # the second row's label is masked
    assert fa.cross_entropy(x, np.ma.array([0, 2], mask=[0, 1])) == pytest.approx(rows[0])
    assert fa.cross_entropy(x.T, [0, 2], axis=0) == pytest.approx(sum(rows) / 2)
    q = np.ma.array(np.eye(4)[[0, 2]], mask=x.mask)
    assert fa.cross_entropy(x, q) == pytest.approx(sum(rows) / 2)


MASKED_LOSSES = {
    "labels": {},
    "weights": {"weight": np.linspace(0.5, 2, 10)},
    "smoothing": {"label_smoothing": 0.2},
    "smoothing and weights": {"label_smoothing": 0.2, "weight": np.linspace(0.5, 2, 10), "z_loss": 0.01},
    "capped": {"softcap": 2.0},
    "all": {"softcap": 3.0, "label_smoothing": 0.3, "z_loss": 0.1},
}


LOSSES = {"options": MASKED_LOSSES, "dense": [False, True], "axis": [0, -1], "reduction": ["none", "sum", "mean"]}


@pytest.mark.parametrize(tuple(LOSSES), [tuple(row.values()) for row in covering(3, LOSSES)], ids=str)
def test_masked_losses_are_those_of_what_is_left(options, dense, axis, reduction):
    """Row by row, as if masked classes were not there; no row with a masked label counts."""
    options = dict(MASKED_LOSSES[options])
    rng = np.random.default_rng(3)
    x, mask = rng.normal(size=(6, 10)), rng.random((6, 10)) < 0.3
    mask[2], mask[3, 4], mask[4, 1] = True, True, False
    labels = np.ma.array([0, 1, 2, 4, 1, -100], mask=[1, 0, 0, 0, 0, 0])
    mask[1, 1] = False
    q = np.ma.array(rng.random((6, 10)), mask=rng.random((6, 10)) < 0.2)
    q[5] = np.ma.masked
    losses, off, grad, lse = np.zeros(6), np.zeros(6, bool), np.zeros((6, 10)), np.zeros(6)
    weights = np.zeros(6)
    for i in range(6):
        left = np.flatnonzero(~mask[i])
        off[i] = (mask[i] | q.mask[i]).all() if dense else labels.mask[i] or (labels[i] >= 0 and mask[i, labels[i]])
        if off[i] or (not dense and labels[i] < 0):
            continue
        target = q[i, left].filled(0)[None] if dense else [list(left).index(labels[i])]
        given = options | ({"weight": options["weight"][left]} if "weight" in options else {})
        loss, gradient, sums = fa.cross_entropy_with_grad(
            x[i, left][None], target, **given, reduction="none", return_lse=True
        )
        losses[i], grad[i, left], lse[i] = loss.item(), gradient, sums.item()
        weights[i] = 1 if dense or "weight" not in options else options["weight"][labels[i]]
    scale = 1 / weights.sum() if reduction == "mean" else 1
    turned = (lambda a: a.T) if axis == 0 else (lambda a: a)
    given = turned(np.ma.array(x, mask=mask)), turned(q) if dense else labels
    got = fa.cross_entropy_with_grad(*given, axis=axis, reduction=reduction, return_lse=True, **options)
    alone = fa.cross_entropy(*given, axis=axis, reduction=reduction, **options)
    out = np.empty_like(given[0].data)
    fa.cross_entropy_with_grad(*given, axis=axis, reduction=reduction, out=out, **options)
    expected = losses if reduction == "none" else losses.sum() * scale
    np.testing.assert_allclose(np.ma.filled(got[0], 0), expected, rtol=1e-12)
    np.testing.assert_allclose(np.ma.filled(alone, 0), expected, rtol=1e-12)
    np.testing.assert_allclose(turned(got[1]).filled(0), grad * scale, rtol=1e-11, atol=1e-14)
    np.testing.assert_array_equal(turned(got[1]).mask, mask)
    np.testing.assert_allclose(turned(out)[~mask], (grad * scale)[~mask], rtol=1e-11, atol=1e-14)
    np.testing.assert_array_equal(got[2].mask, off)
    np.testing.assert_allclose(got[2].filled(0), lse, rtol=1e-12)
    if reduction == "none":
        np.testing.assert_array_equal(got[0].mask, off)
        np.testing.assert_array_equal(alone.mask, off)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_masked_layers_count_as_zeros_and_masked_rows_not_at_all(reduction):
    rng = np.random.default_rng(0)
    hidden = np.ma.array(rng.normal(size=(6, 4)), mask=rng.random((6, 4)) < 0.2)
    hidden[1] = np.ma.masked
    weight = np.ma.array(rng.normal(size=(5, 4)), mask=rng.random((5, 4)) < 0.2)
    bias = np.ma.array(rng.normal(size=5), mask=[1, 0, 0, 0, 0])
    labels = np.ma.array([0, 1, 2, 3, 4, 0], mask=[0, 0, 0, 1, 0, 0])
    off = np.array([0, 1, 0, 1, 0, 0], bool)
    loss, *gradients = fa.linear_cross_entropy_with_grad(hidden, weight, labels, bias=bias, reduction=reduction)
    left = hidden.filled(0)[~off], weight.filled(0), labels.data[~off]
    expected, *right = fa.linear_cross_entropy_with_grad(*left, bias=bias.filled(0), reduction=reduction)
    alone = fa.linear_cross_entropy(hidden, weight, labels, bias=bias, reduction=reduction)
    for got in (loss, alone):
        np.testing.assert_allclose(got.compressed() if reduction == "none" else got, expected, rtol=1e-12)
        if reduction == "none":
            np.testing.assert_array_equal(got.mask, off)
    assert not gradients[0][off].filled(0).any()
    for got, wanted, operand in zip(
        (gradients[0][~off], *gradients[1:]), right, (hidden[~off], weight, bias), strict=True
    ):
        np.testing.assert_array_equal(got.mask, operand.mask)
        np.testing.assert_allclose(got.compressed(), wanted[~operand.mask], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u4", "i8", "u8"])
def test_masked_labels_of_any_dtype(dtype):
    """The index to ignore need not fit theirs, nor the number of classes."""
    x = np.random.default_rng(0).normal(size=(3, 300))
    labels = np.ma.array([0, 1, 2], mask=[0, 1, 0], dtype=dtype)
    assert fa.cross_entropy(x, labels) == fa.cross_entropy(x[::2], [0, 2])
    assert fa.cross_entropy(np.ma.array(x, mask=x > 9), labels) == fa.cross_entropy(x[::2], [0, 2])


def test_masked_targets_are_checked_as_others_are():
    x = np.ma.array(np.eye(3), mask=np.eye(3) == 5)
    for mask in (np.ma.nomask, np.eye(3) == 1):
        with pytest.raises(TypeError, match="target must hold integers"):
            fa.cross_entropy(x, np.ma.array(np.eye(3, dtype=bool), mask=mask))
    with pytest.raises(IndexError, match="out of range for 3 classes"):
        fa.cross_entropy(x, np.ma.array([0, 1, 2**64 - 100], mask=[0, 1, 0], dtype="u8"))


def test_a_class_axis_in_several_chunks_is_an_error():
    array = pytest.importorskip("dask.array")
    with pytest.raises(ValueError, match="multiple chunks"):
        fa.softmax(array.from_array(X, chunks=(3, 5)))


def of_unknown_lengths(array):
    """The array's rows but the first, in several blocks whose lengths dask does not know."""
    dask = pytest.importorskip("dask.array")
    rows = dask.from_array(array, chunks=(2, *array.shape[1:]))
    return rows[dask.from_array(np.arange(len(array)), chunks=2) > 0]


UNKNOWN = {
    "softmax": (fa.softmax, X),
    "log_softmax": (fa.log_softmax, X),
    "logsumexp": (fa.logsumexp, X),
    "softmax_backward": (fa.softmax_backward, X, X),
    "one row": (lambda x: fa.softmax_backward(X[0], x), X),
    "one column": (lambda x: fa.softmax_backward(X[:1, :1], x), X),
    "a number": (lambda x: fa.log_softmax_backward(x, 1.0), X),
    "glu_backward": (fa.glu_backward, X[:, :5], X),
    "maxout_backward": (partial(fa.maxout_backward, num_pieces=2), X, np.ones((6, 10), np.int32)),
    "prelu_backward": (lambda x: fa.prelu_backward(x, x, X[0])[1], X),
    "cross_entropy": (fa.cross_entropy, X, np.arange(6)),
    "rows' losses": (partial(fa.cross_entropy, reduction="none"), X, np.arange(6)),
    "gradient": (lambda x, y: fa.cross_entropy_with_grad(x, y)[1], X, np.arange(6)),
    "probabilities": (fa.cross_entropy, X, abs(X)),
    "layer": (lambda x, y: fa.linear_cross_entropy(x, X, y), X, np.arange(6)),
    "layer's gradient": (lambda x, y: fa.linear_cross_entropy_with_grad(x, X, y)[1], X, np.arange(6)),
}


@pytest.mark.parametrize("call", UNKNOWN)
def test_dask_arrays_of_unknown_lengths(call):
    function, *arrays = UNKNOWN[call]
    with nothing_computed():
        got = function(*map(of_unknown_lengths, arrays))
    check_values(function(*(array[1:] for array in arrays)), got.compute(scheduler="synchronous"))


def test_lengths_that_must_be_known_are_asked_for():
    x, labels = of_unknown_lengths(X), np.arange(5)
    for call in (
        partial(fa.softmax, x, axis=0),
        partial(fa.logsumexp, x, axis=None),
        partial(fa.softmax_backward, x, X[1:]),
        partial(fa.softmax_backward, x, in_dask(X)),
        partial(fa.cross_entropy, x, labels),
        partial(fa.linear_cross_entropy_with_grad, x, X, labels),
        partial(fa.rrelu, x, training=True),
    ):
        with pytest.raises(ValueError, match=r"unknown length along axis 0: call its compute_chunk_sizes\(\)"):
            call()


def test_errors_of_dask_arrays_name_the_argument():
    dask = pytest.importorskip("dask.array")
    lazy, labels = in_dask(X), np.zeros(6, int)
    with nothing_computed():
        for function, first, name in (
            (fa.cross_entropy, (lazy,), "weight"),
            (fa.cross_entropy_with_grad, (lazy,), "weight"),
            (fa.linear_cross_entropy, (lazy, np.eye(10)), "class_weight"),
            (fa.linear_cross_entropy_with_grad, (lazy, np.eye(10)), "class_weight"),
        ):
            with pytest.raises(ValueError, match=f"^{name} must have one element for each of the 10 classes"):
                function(*first, labels, **{name: np.ones(4)})
            for wrong in (labels[:5], labels[:1], labels[:, None]):
                with pytest.raises(ValueError, match=r"^target .*must have shape \(6,\)"):
                    function(*first, wrong)
            if function is not fa.linear_cross_entropy_with_grad:
                with pytest.raises(ValueError, match=f"^{name} consists of multiple chunks.*rechunk"):
                    function(*first, labels, **{name: dask.ones(10, chunks=5)})
        with pytest.raises(ValueError, match=r"grad of shape \(4, 10\) and output of shape \(3, 10\) do not broadcast"):
            fa.softmax_backward(lazy[:4], lazy[:3])
        with pytest.raises(ValueError, match=r"grad must broadcast to the shape \(3, 10\), got \(4, 10\)"):
            fa.glu_backward(lazy[:4], np.ones((3, 20)))
    half = {"class_weight": dask.ones(10, chunks=5)}
    loss = fa.linear_cross_entropy_with_grad(lazy, np.eye(10), labels, **half)[0]
    assert float(loss.compute(scheduler="synchronous")) == pytest.approx(fa.cross_entropy(X, labels))


@pytest.mark.parametrize("wrap", [lambda a: a, np.ma.array, in_masked_rows, partial(in_dask, rows=2)])
@pytest.mark.parametrize("dtype", [None, "f4"])
def test_losses_of_halves_are_rounded_once(wrap, dtype):
    """A row's loss is too large for them, the mean is not."""
    x, labels = np.zeros((6, 2), np.float16), np.array([1, 0, 0, 0, 0, 0])
    x[0] = [6e4, -6e4]
    expected = (12e4 + 5 * np.log(2)) / 6
    for function in (fa.cross_entropy, fa.cross_entropy_with_grad):
        got = function(wrap(x), labels, dtype=dtype)
        loss = got[0] if isinstance(got, tuple) else got
        assert np.asarray(loss).dtype == (dtype or "f2")
        assert float(loss) == pytest.approx(expected, rel=1e-3 if dtype is None else 1e-6)
    lse = fa.cross_entropy_with_grad(wrap(x), labels, dtype=dtype, return_lse=True)[2]
    assert lse.dtype == (dtype or "f2")
    layer = fa.linear_cross_entropy_with_grad(wrap(x), np.eye(2, dtype=np.float16), labels, dtype=dtype)[0]
    assert np.asarray(layer).dtype == (dtype or "f2")
    assert float(layer) == pytest.approx(expected, rel=1e-3 if dtype is None else 1e-6)


def test_gradients_of_halves_are_rounded_once():
    """The sum of a block's is too large for them, the mean is not."""
    hidden, weight = np.full((200, 1), 6e3, np.float16), np.zeros((2, 1), np.float16)
    expected = fa.linear_cross_entropy_with_grad(hidden, weight, np.zeros(200, int))
    lazy = pytest.importorskip("dask.array").from_array(hidden, chunks=(50, 1))
    for wanted, got in zip(expected, fa.linear_cross_entropy_with_grad(lazy, weight, np.zeros(200, int)), strict=True):
        assert got.dtype == np.float16
        np.testing.assert_allclose(got.compute(scheduler="synchronous"), wanted, rtol=1e-3)


def test_the_gradient_of_masked_logits_is_masked():
    """Where nothing is, too."""
    for mask in (np.ma.nomask, np.zeros((2, 3), bool)):
        loss, grad = fa.cross_entropy_with_grad(np.ma.array(np.ones((2, 3)), mask=mask), [0, 1], reduction="none")
        assert type(loss) is type(grad) is np.ma.MaskedArray
    assert type(fa.cross_entropy_with_grad(np.ones((2, 3)), np.ma.array([0, 1]))[1]) is np.ndarray


def test_masked_labels_are_named_as_they_were_given():
    labels = np.ma.array([0, 1, 2**64 - 3], mask=[1, 0, 0], dtype="u8")
    for x in (np.ma.array(np.eye(3)), np.eye(3)):
        with pytest.raises(IndexError, match="label 18446744073709551613 at position 2 is out of range"):
            fa.cross_entropy(x, labels)


def test_missing_labels_are_said_to_be_missing():
    pandas = pytest.importorskip("pandas")
    for kind in (pandas.Series, pandas.Index, pandas.array):
        with pytest.raises(ValueError, match="target has missing values"):
            fa.cross_entropy(np.ones((2, 3)), kind([0, None], dtype="Int64"))
        with pytest.raises(ValueError, match="target has missing values"):
            fa.linear_cross_entropy(np.ones((2, 3)), np.eye(3), kind([0, None], dtype="Int64"))


def test_dask_arrays_are_not_written_to():
    lazy = in_dask(X)
    for call in (
        partial(fa.softmax, lazy),
        partial(fa.glu, lazy),
        partial(fa.maxout, lazy, 2),
        partial(fa.cross_entropy_with_grad, lazy, np.zeros(6, int)),
    ):
        with pytest.raises(TypeError, match="out must be None where an operand is a dask array"):
            call(out=X.copy())


def test_what_is_wrong_with_a_dask_array_is_said_at_the_call():
    lazy = in_dask(X)
    with nothing_computed():
        with pytest.raises(ValueError, match="num_pieces must divide the length of axis"):
            fa.maxout(lazy, 3)
        with pytest.raises(ValueError, match="reduction must be one of"):
            fa.cross_entropy(lazy, np.zeros(6, int), reduction="nothing")
        with pytest.raises(np.exceptions.AxisError):
            fa.softmax(lazy, axis=2)
        with pytest.raises(TypeError, match="not supported for the input types"):
            fa.softmax(lazy + 1j)
        loss = fa.cross_entropy(lazy, np.full(6, 99))
    with pytest.raises(IndexError, match="label 99 at position 0 is out of range"):
        loss.compute(scheduler="synchronous")


def test_dask_arrays_of_any_number_of_axes_and_plain_ones_with_them():
    rng = np.random.default_rng(0)
    dask = pytest.importorskip("dask.array")
    hidden, weight = rng.normal(size=(4, 6, 3)), rng.normal(size=(5, 3))
    labels = rng.integers(0, 5, (4, 6))
    lazy = dask.from_array(hidden, chunks=(2, 4, 3))
    for reduction in ("mean", "sum", "none"):
        expected = fa.linear_cross_entropy_with_grad(hidden, weight, labels, reduction=reduction)
        got = fa.linear_cross_entropy_with_grad(lazy, weight, labels, reduction=reduction)
        for e, g in zip(expected, got, strict=True):
            assert isinstance(g, dask.Array)
            np.testing.assert_allclose(g.compute(scheduler="synchronous"), e, rtol=1e-12, atol=1e-15)
    grad = rng.normal(size=(4, 6, 3))
    for call in (
        lambda x: fa.softmax_backward(x, grad),
        lambda x: fa.softmax_backward(grad, x, axis=2),
        lambda x: fa.glu_backward(1.0, x[..., :2]),
        lambda x: fa.cross_entropy(x, labels % 3, ignore_index=1, empty=0.0),
        lambda x: fa.cross_entropy(x, np.full((4, 6), 1), ignore_index=1, empty=7.0),
        lambda x: fa.softmax(x[0, 0, 0]),
    ):
        with nothing_computed():
            got = call(lazy)
        assert isinstance(got, dask.Array)
        np.testing.assert_allclose(got.compute(scheduler="synchronous"), call(hidden), rtol=1e-12, atol=1e-15)


def test_pandas_columns_that_may_hold_nothing():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": pandas.array([1.0, None], "Float32"), "b": pandas.array([3, 4], "Int64")})
    got = fa.softmax(frame)
    assert list(got.columns) == ["a", "b"]
    np.testing.assert_array_equal(got, fa.softmax(np.array([[1.0, 3.0], [np.nan, 4.0]])))
    assert fa.cross_entropy(frame, pandas.Series([1, 0], dtype="Int64"), reduction="none")[0] == fa.cross_entropy(
        [1.0, 3.0], 1
    )


CLUSTER = """
import resource
import numpy as np, fastact as fa
import dask, dask.array as da
from dask.distributed import Client, LocalCluster

def losses(block):
    return fa.cross_entropy(block, np.zeros(len(block), int), reduction="none")

def largest_memory():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

if __name__ == "__main__":
    rows, classes, chunk = {rows}, 100, {chunk}
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster, Client(cluster) as client:
        x = da.random.default_rng(0).standard_normal((rows, classes), chunks=(chunk, classes), dtype=np.float32)
        tiny = x[:2].persist()  # whatever a worker imports and compiles
        dask.compute(fa.softmax(fa.gelu(tiny)).sum(), da.map_blocks(losses, tiny, drop_axis=1, dtype=np.float32).sum())
        before = client.run(largest_memory)
        p = fa.softmax(fa.gelu(x))
        assert isinstance(p, da.Array)
        ones, loss = dask.compute(p.sum(), da.map_blocks(losses, x, drop_axis=1, dtype=np.float32).sum())
        after = client.run(largest_memory)
    assert abs(float(ones) / rows - 1) < 1e-4, ones
    assert 4.9 < float(loss) / rows < 5.3, loss
    grown = max(after[worker] - before[worker] for worker in after)
    print("grown by", round(grown / (chunk * classes * 4), 1))
"""


def test_a_cluster_of_processes(python, tmp_path):
    """1e8 elements, 400 MB: a worker's memory grows with its chunks, not with the array."""
    pytest.importorskip("distributed")
    rows, chunk = 1_000_000, 10_000
    script = tmp_path / "script.py"
    script.write_text(CLUSTER.format(rows=rows, chunk=chunk))
    chunks = float(python("", script=script, flags=["-W", "ignore"]).split()[-1])
    assert chunks < rows / chunk / 2, (
        f"a worker's memory grew by {chunks} chunks of 4 MB; the array has {rows // chunk}"
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
