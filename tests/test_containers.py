"""Containers of other libraries: their type, names, index and mask are kept, lazy arrays stay lazy, and the values are right."""

import numpy as np
import pytest

import fastact as fa

X = np.linspace(-2, 2, 60, dtype=np.float32).reshape(6, 10)
NAMES = list("abcdef")

SAME_SHAPE = {
    "gelu": fa.gelu,
    "leaky_relu": lambda x: fa.leaky_relu(x, 0.2),
    "leaky_relu, default": fa.leaky_relu,
    "gelu_backward": lambda x: fa.gelu_backward(x, x),
    "swiglu": lambda x: fa.swiglu(x, x),
    "softmax": fa.softmax,
    "softmax, first axis": lambda x: fa.softmax(x, axis=0),
    "softmax, all axes": lambda x: fa.softmax(x, axis=None),
    "softmin": fa.softmin,
    "log_softmax": fa.log_softmax,
    "softmax_backward": lambda x: fa.softmax_backward(x, x),
}
ELEMENTWISE = ("gelu", "leaky_relu", "leaky_relu, default", "gelu_backward", "swiglu")
OTHER_SHAPE = {
    "logsumexp": fa.logsumexp,
    "logsumexp, all axes": lambda x: fa.logsumexp(x, axis=None, keepdims=True),
    "maxout": lambda x: fa.maxout(x, 2),
    "maxout_backward": lambda x: fa.maxout_backward(x, np.zeros(x.shape, np.int32), 2),
    "glu": fa.glu,
    "glu_backward": lambda x: fa.glu_backward(x[:, :5], x),
    "the gradient of cross_entropy": lambda x: fa.cross_entropy_with_grad(x, np.zeros(6, int))[1],
}


def check(expected, got, kind):
    assert type(got) is kind
    np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-6, atol=0)  # pandas makes float64 of a parameter


@pytest.mark.parametrize("call", SAME_SHAPE)
def test_pandas_keeps_the_index(call):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, index=NAMES, columns=[f"c{i}" for i in range(10)])
    got = SAME_SHAPE[call](frame)
    check(SAME_SHAPE[call](X), got, pandas.DataFrame)
    assert list(got.index) == NAMES
    assert list(got.columns) == list(frame.columns)
    if "axis" not in call:
        got = SAME_SHAPE[call](pandas.Series(X[0], index=list("klmnopqrst")))
        check(SAME_SHAPE[call](X[0]), got, pandas.Series)
        assert list(got.index) == list("klmnopqrst")
    integers = pandas.DataFrame({"i": [1, 2], "j": [3, 5]})
    check(SAME_SHAPE[call](integers.to_numpy()), SAME_SHAPE[call](integers), pandas.DataFrame)


@pytest.mark.parametrize("call", SAME_SHAPE)
def test_xarray_keeps_names_and_coordinates(call):
    xarray = pytest.importorskip("xarray")
    given = xarray.DataArray(X, dims=("row", "class"), coords={"row": NAMES}, name="logits", attrs={"unit": "nat"})
    got = SAME_SHAPE[call](given)
    check(SAME_SHAPE[call](X), got, xarray.DataArray)
    assert got.dims == given.dims
    assert list(got.row.values) == NAMES


@pytest.mark.parametrize("call", SAME_SHAPE)
def test_masked_arrays_keep_the_mask(call):
    masked = np.ma.masked_array(X, X > 1)
    got = SAME_SHAPE[call](masked)
    assert isinstance(got, np.ma.MaskedArray)
    np.testing.assert_array_equal(got.mask, masked.mask)
    if call in ELEMENTWISE:
        np.testing.assert_array_equal(got.compressed(), SAME_SHAPE[call](X)[~masked.mask])


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


@pytest.mark.filterwarnings("ignore:__array_wrap__ must accept:DeprecationWarning")  # NumPy of PyTorch
@pytest.mark.parametrize("call", SAME_SHAPE | OTHER_SHAPE)
def test_tensors_come_back_as_tensors(call):
    torch = pytest.importorskip("torch")
    function = (SAME_SHAPE | OTHER_SHAPE)[call]
    check(function(X), function(torch.from_numpy(X)), torch.Tensor)


@pytest.mark.parametrize("call", OTHER_SHAPE)
def test_results_of_another_shape_are_arrays(call):
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    if call != "glu_backward":  # which is given a slice of it
        check(OTHER_SHAPE[call](X), np.asarray(OTHER_SHAPE[call](pandas.DataFrame(X))), np.ndarray)
    check(OTHER_SHAPE[call](X), np.asarray(OTHER_SHAPE[call](xarray.DataArray(X))), np.ndarray)


@pytest.mark.parametrize("call", [name for name in SAME_SHAPE if "axis" not in name and "axes" not in name])
def test_dask_arrays_stay_lazy(call):
    array = pytest.importorskip("dask.array")
    given = array.from_array(X, chunks=(3, 10))
    got = SAME_SHAPE[call](given)
    assert isinstance(got, array.Array)
    assert got.chunks == given.chunks
    np.testing.assert_array_equal(got.compute(scheduler="threads", num_workers=4), SAME_SHAPE[call](X))


def test_a_class_axis_in_several_chunks_is_daskss_error():
    array = pytest.importorskip("dask.array")
    with pytest.raises(ValueError, match="multiple chunks"):
        fa.softmax(array.from_array(X, chunks=(3, 5)))


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
