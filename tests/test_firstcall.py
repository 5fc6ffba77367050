"""First calls: a loop's stub compiles the kernel, and goes on working for who remembers its address."""

import ctypes

import numpy as np
import pytest

import fastact as fa
from fastact.engine.ufunc import _UFuncObject

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


def data(ufunc):
    _, pointers = _UFuncObject.from_address(id(ufunc)).functions_data
    return list((ctypes.c_void_p * ufunc.ntypes).from_address(pointers))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_ufunc_that_keeps_the_first_pointer_it_read(name, python):
    """As NumPy may do from 2.6 on. The stub computes the same bits, at once, and ``data`` stays as it was."""
    code = f"""
import numpy as np, fastact as fa
from fastact.engine import firstcall
from tests.test_firstcall import FUNCTIONS, data, loops
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
    loops(ufunc)[:] = first[:]
    for _ in range(3):
        for a, e in zip(arrays, expected):
            assert ufunc(*a).tobytes() == e.tobytes()
    loops(ufunc)[:] = compiled
    firstcall.uninterrupted = before
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
