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
    np.testing.assert_array_equal(got.data[~masked.mask], SAME_SHAPE[call](X)[~masked.mask])
    if call != "softmax, all axes":
        np.testing.assert_array_equal(got.mask, masked.mask)


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
