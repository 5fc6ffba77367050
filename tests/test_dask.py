"""Arrays of dask: results stay lazy, are computed by blocks, and errors that need no values are raised at the call."""

from functools import partial

import numpy as np
import pytest

import fastact as fa
from tests.calls import CALLS
from tests.containers import X, check_values, draws_by_block, in_dask, nothing_computed, over_classes


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


def test_gradients_of_halves_are_rounded_once():
    """The sum of a block's is too large for them, the mean is not."""
    hidden, weight = np.full((200, 1), 6e3, np.float16), np.zeros((2, 1), np.float16)
    expected = fa.linear_cross_entropy_with_grad(hidden, weight, np.zeros(200, int))
    lazy = pytest.importorskip("dask.array").from_array(hidden, chunks=(50, 1))
    for wanted, got in zip(expected, fa.linear_cross_entropy_with_grad(lazy, weight, np.zeros(200, int)), strict=True):
        assert got.dtype == np.float16
        np.testing.assert_allclose(got.compute(scheduler="synchronous"), wanted, rtol=1e-3)


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
        with pytest.raises(TypeError, match="x must be float16, float32 or float64, got complex64"):
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
