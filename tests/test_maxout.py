"""Maxout against plain NumPy: every number of pieces, axis, dtype and layout, ties, NaN, errors, outputs and threads."""

import re

import numpy as np
import pytest

import fastact as fa
from fastact import reference
from fastact.kinds.maxout import PieceKernel
from tests.conftest import DTYPES

PIECES = [*range(1, 10), 12, 16, 17, 40]
PIECES_OF_DTYPES = [(k, dtype) for k in PIECES for dtype in DTYPES if dtype == "float32" or k in (3, 12, 40)]
"""Each is a kernel to compile: most numbers of pieces are taken in one dtype only, but few and many in each."""
IN_COLUMNS = (2, 3, 8, 9, 12, 40)
"""Numbers of pieces that are compared side by side, too: there, one more piece is one more comparison."""
SHAPES = {  # groups, and where the axis with `k` times as many channels is
    "one group": ((1,), 0),
    "short": ((7,), 0),
    "odd": ((331,), -1),
    "last": ((3, 41), -1),
    "short rows": ((40, 2), 1),
    "first": ((5, 70), 0),
    "middle": ((2, 3, 37), 1),
    "images": ((2, 3, 5, 9), -3),
    "few columns": ((4, 3, 2, 5), 2),
}
SIDE_BY_SIDE = ("first", "middle", "images", "few columns")
LAYOUTS = {
    "contiguous": lambda a: a,
    "Fortran order": np.asfortranarray,
    "every second": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "rows apart": lambda a: np.repeat(a, 2, 0)[::2],
    "reversed": lambda a: a[..., ::-1].copy()[..., ::-1],
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
}


def channels(groups, axis, k, dtype, seed=0):
    """Small integers with ties, zeros of both signs, infinities and some NaN."""
    rng = np.random.default_rng(seed)
    shape = list(groups)
    shape[axis] *= k
    x = rng.integers(-2, 3, size=shape) * rng.choice([-1.0, 1.0], size=shape)
    for special in (np.nan, np.inf, -np.inf):
        x[rng.random(shape) < 0.04] = special
    return x.astype(dtype)


@pytest.mark.parametrize(("k", "dtype"), PIECES_OF_DTYPES)
@pytest.mark.parametrize("where", SHAPES)
def test_matches_the_reference(k, where, dtype, same_bits):
    groups, axis = SHAPES[where]
    if where in SIDE_BY_SIDE and k not in IN_COLUMNS:
        return
    x = channels(groups, axis, k, dtype)
    y, which = reference.maxout_with_index(x, k, axis)
    grad = np.random.default_rng(1).normal(size=y.shape).astype(dtype)
    grad_x = reference.maxout_backward(grad, which, k, axis)
    assert y.shape == groups
    for name, layout in LAYOUTS.items():
        laid_out = layout(x)
        same_bits(fa.maxout(laid_out, k, axis), y, name)
        got = fa.maxout_with_index(laid_out, k, axis)
        same_bits(got[0], y, f"{name}, with index")
        assert got[1].dtype == np.int32
        np.testing.assert_array_equal(got[1], which, name)
        same_bits(fa.maxout_backward(layout(grad), layout(which), k, axis), grad_x, f"{name}, backward")


@pytest.mark.parametrize("k", [2, 3, 5, 8, 11])
def test_the_reference_is_right(k, dtype):
    x = channels((4, 6), 1, k, dtype)
    pieces = x.reshape(4, 6, k)
    np.testing.assert_array_equal(reference.maxout(x, k), pieces.max(-1))
    np.testing.assert_array_equal(reference.maxout_with_index(x, k)[1], pieces.argmax(-1))
    y, which = reference.maxout_with_index(x, k)
    scattered = np.zeros_like(pieces)
    np.put_along_axis(scattered, which[..., None].astype(int), y[..., None], -1)
    np.testing.assert_array_equal(reference.maxout_backward(y, which, k), scattered.reshape(x.shape))


@pytest.mark.parametrize(("k", "dtype"), PIECES_OF_DTYPES)
def test_ties_go_to_the_first_and_nan_is_the_largest(k, dtype):
    rows = np.zeros((40, k), dtype)
    assert (fa.maxout_with_index(rows, k)[1] == 0).all()
    assert (fa.maxout_with_index(np.full((40, k), -np.inf, dtype), k)[1] == 0).all()
    for j in range(k):
        tied = rows.copy()
        tied[:, j:] = 3
        assert (fa.maxout_with_index(tied, k)[1] == j).all()
        tied[:, j:] = np.nan
        tied[:, :j] = np.inf
        y, which = fa.maxout_with_index(tied, k)
        assert np.isnan(y).all()
        assert (which == j).all()
        for other in range(j + 1, k):
            tied[:, j + 1 :] = np.inf
            tied[:, other] = np.nan
            assert (fa.maxout_with_index(tied, k)[1] == j).all()
    zeros = np.zeros((40, k), dtype)
    zeros[:, 0] = -0.0
    assert np.signbit(fa.maxout(zeros, k)).all(), "zeros of either sign are equal, so the first one is taken"


def test_gradient_matches_differences():
    dtype = np.float32
    rng = np.random.default_rng(2)
    x = rng.permutation(60).reshape(3, 20).astype(dtype)  # no two so near that a step changes their order
    grad = rng.integers(-4, 5, size=(3, 5)).astype(dtype)
    _, which = fa.maxout_with_index(x, 4)
    got = fa.maxout_backward(grad, which, 4)
    for at in np.ndindex(x.shape):
        moved = x.copy()
        moved[at] += 0.25
        assert got[at] == ((fa.maxout(moved, 4) - fa.maxout(x, 4)) * grad).sum() * 4


@pytest.mark.parametrize(
    ("k", "dtype"), [(1, "float32"), (2, "float32"), (3, "float64"), (9, "float16"), (30, "float32")]
)
@pytest.mark.parametrize("where", ["last", "middle", "odd"])
def test_out(k, where, dtype, same_bits):
    groups, axis = SHAPES[where]
    x = channels(groups, axis, k, dtype)
    y, which = fa.maxout_with_index(x, k, axis)
    grad_x = fa.maxout_backward(y, which, k, axis)
    for layout in (lambda a: a, lambda a: np.repeat(a, 3, -1)[..., ::3], lambda a: a[..., ::-1], np.asfortranarray):
        out, places, back = layout(np.full_like(y, 7)), layout(np.full_like(which, 7)), layout(np.full_like(x, 7))
        assert fa.maxout(x, k, axis, out=out) is out
        same_bits(out, y)
        out[...] = 7
        got = fa.maxout_with_index(x, k, axis, out=(out, places))
        assert got[0] is out
        assert got[1] is places
        same_bits(out, y)
        np.testing.assert_array_equal(places, which)
        assert fa.maxout_backward(y, which, k, axis, out=back) is back
        same_bits(back, grad_x)


def test_out_that_overlaps(same_bits):
    for k in (2, 3, 9):
        x = channels((3, 50), 1, k, "float32")
        expected = fa.maxout(x, k)
        for start in (0, 1, x.shape[1] - 50):
            buffer = x.copy()
            out = buffer[:, start : start + 50]
            fa.maxout(buffer, k, out=out)
            same_bits(out.copy(), expected)
        grad = np.random.default_rng(0).normal(size=(3, 50)).astype("float32")
        _, which = fa.maxout_with_index(x, k)
        expected = fa.maxout_backward(grad, which, k)
        buffer = np.zeros_like(x)
        buffer[:, :50] = grad
        same_bits(fa.maxout_backward(buffer[:, :50], which, k, out=buffer), expected)


@pytest.mark.parametrize(("k", "dtype"), [(2, "float32"), (3, "float64"), (8, "float32"), (9, "float16")])
def test_threads_change_nothing(k, dtype, threads, same_bits):
    shapes = [((200_003 // k,), 0), ((301, 331), 1), ((301, 331), 0), ((3, 100_001), 0), ((2, 40, 1003), 1)]
    for groups, axis in shapes:
        x = channels(groups, axis, k, dtype)
        y, which = reference.maxout_with_index(x, k, axis)
        back = reference.maxout_backward(y, which, k, axis)
        for n in (1, 2, 3):
            with threads(n):
                same_bits(fa.maxout(x, k, axis), y, f"{n} threads")
                np.testing.assert_array_equal(fa.maxout_with_index(x, k, axis)[1], which)
                same_bits(fa.maxout_backward(y, which, k, axis), back, f"{n} threads")
                same_bits(fa.maxout(np.asfortranarray(x), k, axis), y, f"{n} threads, Fortran order")


@pytest.mark.parametrize(("shape", "axis"), [((0,), 0), ((3, 0), 1), ((0, 6), 1), ((6, 0), 0), ((2, 6, 0), 1)])
def test_empty(shape, axis, dtype):
    x = np.zeros(shape, dtype)
    y, which = fa.maxout_with_index(x, 3, axis)
    assert y.shape == which.shape == tuple(n // 3 if i == axis else n for i, n in enumerate(shape))
    assert y.dtype == np.dtype(dtype)
    assert fa.maxout_backward(y, which, 3, axis).shape == shape


def test_dtypes_convert_as_in_numpy():
    for code in "?bBhHiIlLqQ":
        x = np.array([1, 0, 0, 1], code)
        y = fa.maxout(x, 2)
        assert y.dtype == np.exp(x).dtype
        np.testing.assert_array_equal(y, [1, 1])
    assert fa.maxout([[1, 2], [4, 3]], 2).tolist() == [[2.0], [4.0]]
    assert fa.maxout_backward(1.0, [1, 0], 2).tolist() == [0.0, 1.0, 1.0, 0.0]
    assert fa.maxout_backward(np.float32(2), np.array([0], np.uint8), 2).dtype == np.float32


def test_indices_that_are_none_write_nothing(dtype):
    for k in (2, 5, 11) if dtype == "float32" else (3, 11):
        which = np.tile(np.array([-1, k, 2**31 - 1, -(2**31), 0], np.int32), 30)
        guard = np.full(which.size * k + 200, 7, dtype)
        out = guard[100:-100]
        fa.maxout_backward(np.ones(which.size, dtype), which, k, out=out)
        expected = np.zeros((which.size, k))
        expected[4::5, 0] = 1
        np.testing.assert_array_equal(out.reshape(-1, k), expected)
        assert (guard[:100] == 7).all()
        assert (guard[-100:] == 7).all()


@pytest.mark.parametrize("function", [fa.maxout, fa.maxout_with_index])
def test_wrong_arguments(function):
    x = np.ones((4, 6), np.float32)
    with pytest.raises(
        ValueError, match=r"num_pieces must divide the length of axis -1, 6, got 4; allowed are 1, 2, 3, 6"
    ):
        function(x, 4)
    for wrong in (0, -2):
        with pytest.raises(ValueError, match=f"num_pieces must be a positive integer, got {wrong}"):
            function(x, wrong)
    for wrong in (2.0, "2", None):
        with pytest.raises(TypeError, match="num_pieces must be a positive integer"):
            function(x, wrong)
    with pytest.raises(np.exceptions.AxisError):
        function(x, 2, axis=2)
    with pytest.raises(np.exceptions.AxisError):
        function(1.0, 1)
    for wrong in (x.astype(complex), x.astype(object), x.astype(str)):
        with pytest.raises(TypeError, match="x must be float16, float32 or float64, got"):
            function(wrong, 2)


def test_wrong_outputs():
    x = np.ones((4, 6), np.float32)
    with pytest.raises(ValueError, match=r"out must have the shape \(4, 3\), got \(4, 2\)"):
        fa.maxout(x, 2, out=np.zeros((4, 2), np.float32))
    with pytest.raises(TypeError, match="out must be an array"):
        fa.maxout(x, 2, out=[0.0])
    with pytest.raises(TypeError, match="out must be a tuple of two arrays"):
        fa.maxout_with_index(x, 2, out=np.zeros((4, 3)))
    with pytest.raises(TypeError, match="same_kind"):
        fa.maxout(x, 2, out=np.zeros((4, 3), np.int32))
    locked = np.zeros((4, 3), np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        fa.maxout(x, 2, out=locked)


def test_wrong_arguments_of_the_gradient():
    which = np.zeros((4, 3), np.int32)
    with pytest.raises(TypeError, match="which must be of integers, got float64"):
        fa.maxout_backward(1.0, which.astype(float), 2)
    with pytest.raises(ValueError, match="num_pieces"):
        fa.maxout_backward(1.0, which, 0)
    with pytest.raises(ValueError, match="out must have the shape"):
        fa.maxout_backward(1.0, which, 2, out=np.zeros((4, 3)))
    with pytest.raises(ValueError, match="broadcast"):
        fa.maxout_backward(np.ones(5), which, 2)
    with pytest.raises(TypeError):
        fa.maxout_backward(1j, which, 2)


@pytest.mark.parametrize(
    ("k", "dtype", "index"),
    [
        (2, "float32", False),
        (3, "float64", True),
        (4, "float32", True),
        (5, "float64", False),
        (8, "float32", True),
        (8, "float64", False),
    ],
)
def test_machine_code(k, dtype, index):
    """Groups are taken apart by shuffles of whole vectors, and nothing is called."""
    from fastact.kernels import maxout, target
    from fastact.runtime import compiler

    if target.vector_type() != "<16 x float>":
        pytest.skip("counts AVX-512 instructions")
    library = compiler.optimised_module(maxout.specialise(PieceKernel(k, index), dtype))
    code, assembly = library.get_llvm_str(), library.get_asm_str()
    declared = set(re.findall(r'^declare .*?@"?([^"(]+)"?\(', code, re.M))
    assert not {name for name in declared if not name.startswith(("llvm.", "mem"))}
    assert len(re.findall(r"vperm[ti]2p[sd]", assembly)) >= k - 1
    lanes = 64 // np.dtype(dtype).itemsize
    kind = "float" if dtype == "float32" else "double"
    assert f"<{lanes} x {kind}>" in code


def test_an_index_that_no_piece_has():
    """However large it is: its group stays zero."""
    for index in (2, -1, 2**31, 2**32, -(2**40)):
        assert (fa.maxout_backward([5.0], np.array([index]), 2) == 0).all()
    assert (fa.maxout_backward([5.0], np.array([2**63], np.uint64), 2) == 0).all()
    assert fa.maxout_backward([5.0, 6.0], np.array([1, 2**32], np.uint64), 2).tolist() == [0, 5, 0, 0]
