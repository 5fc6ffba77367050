"""First calls: a loop's stub compiles the kernel, and goes on working for who remembers its address."""

import ctypes

import numpy as np
import pytest

import fastact as fa
from fastact.runtime import firstcall
from fastact.runtime.ufunc import _replace_loop_by_signature, _UFuncObject

FUNCTIONS = {
    "relu": lambda: (fa.relu, (1,)),
    "leaky_relu.ufunc": lambda: (fa.leaky_relu.ufunc, (1, 1)),
    "silu_backward": lambda: (fa.silu_backward, (1, 1)),
    "softmax.ufunc": lambda: (fa.softmax.ufunc, (1,)),
    "a user's": lambda: (fa.elementwise(lambda x: x * 3), (1,)),
}


def loops(ufunc):
    """NumPy's array of a ufunc's inner loops."""
    functions, _ = _UFuncObject.from_address(id(ufunc)).functions_data
    return (ctypes.c_void_p * ufunc.ntypes).from_address(functions)


def put(addresses, ufunc):
    """Make them a ufunc's inner loops; NumPy 2.6 reads the array only once, and keeps what it has read."""
    for address, types in zip(addresses, ufunc.types, strict=True):
        numbers = [np.dtype(operand).num for operand in types.replace("->", "")]
        assert _replace_loop_by_signature(ufunc, address, (ctypes.c_int * len(numbers))(*numbers), None) == 0


def data(ufunc):
    _, pointers = _UFuncObject.from_address(id(ufunc)).functions_data
    return list((ctypes.c_void_p * ufunc.ntypes).from_address(pointers))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_ufunc_that_keeps_the_first_pointer_it_read(name, python):
    """As others may do. The stub computes the same bits, at once, and ``data`` stays as it was."""
    code = f"""
import numpy as np, fastact as fa
from fastact.runtime import firstcall
from tests.test_firstcall import FUNCTIONS, data, loops, put
ufunc, operands = FUNCTIONS[{name!r}]()
first, given = list(loops(ufunc)), data(ufunc)
rng = np.random.default_rng(0)
for dtype in ("f4", "f8", "f2"):
    arrays = [[rng.normal(size=n).astype(dtype) for _ in operands] for n in (1, 7, 300, 400_001)]
    arrays += [[rng.normal(size=(60, 40)).astype(dtype)[:, ::2] for _ in operands]]
    expected = [ufunc(*a) for a in arrays]
    assert data(ufunc) == given
    assert list(loops(ufunc)) != first, "NumPy has been given the compiled loop"
    compiled = list(loops(ufunc))
    before, firstcall.uninterrupted = firstcall.uninterrupted, None  # which a stub whose work is done must not need
    put(first, ufunc)
    entered, real = [], firstcall.raise_again
    firstcall.raise_again = lambda: entered.append(real())
    for _ in range(3):
        for a, e in zip(arrays, expected):
            entered.clear()
            assert ufunc(*a).tobytes() == e.tobytes()
            assert entered, "the stub has been called"
    put(compiled, ufunc)
    firstcall.uninterrupted, firstcall.raise_again = before, real
print("right")
"""
    assert python(code) == "right"


def test_loops_are_replaced_by_their_signature():
    """Each dtype's loop is replaced by its own first call alone."""
    op = fa.elementwise(lambda x: x * 5)
    first = list(loops(op))
    op(np.ones(3, np.float64))
    half, single, double = (now != then for now, then in zip(loops(op), first, strict=True))
    assert (half, single, double) == (False, False, True)


def test_later_calls_go_past_the_stub(dtype, monkeypatch):
    """NumPy 2.6 keeps the pointer that it has read once: it must let go of it when it is told to."""
    entered = []
    monkeypatch.setattr(firstcall, "raise_again", lambda: entered.append("stub"))
    op = fa.elementwise(lambda x: x * 7)
    x = np.ones(10, dtype)
    op(x)
    assert entered == ["stub"]
    for operand in (x, x[::2], x.astype(x.dtype.newbyteorder()), np.ones((4, 6, 8), dtype)[:, ::2, ::3], x[0]):
        np.testing.assert_array_equal(op(operand), np.asarray(operand) * 7)
    assert entered == ["stub"]
