"""Public functions inside the user's own ``@njit`` code: the same scalar functions, and loops over them for arrays.

Numba calls ``register`` through the ``numba_extensions`` entry point when it first compiles anything. Functions of
``fastact.numpy`` are NumPy's there, as Numba compiles them.
"""

import contextlib
import inspect
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.core.errors import TypingError
from numba.core.registry import cpu_target
from numba.extending import overload, register_jitable

from fastact.functions import softmax
from fastact.functions.elementwise import OPS
from fastact.functions.op_functions import from_output, functions_of
from fastact.kernels import jit
from fastact.kernels.elementloop import COMPLETE
from fastact.kernels.templates import clone
from fastact.maths.logsumexp import exp_at, level, log_excess, logsumexp, reach, reciprocal, split, total
from fastact.maths.scalar import scalar
from fastact.maths.simd import fma, maximum, select, widen


@cache
def register() -> None:
    """Teach Numba every public function that comes from an op's record and computes one result, and softmax and its kin."""
    jit.register()
    for name in _ROWS:
        _teach_rows(name)
    for op in OPS.values():
        for record in functions_of(op):
            if record.name == op.name:
                _teach(record.function, completed(op), op, op.operands, backward=False)
            elif op.gradients == op.arrays:
                _teach(record.function, op.derivative, op, ["grad", *op.operands], backward=True)
        told = from_output(op)
        if told is not None and op.from_output is not None:
            names = ["grad", "output", *op.parameters]
            _teach(told.function, op.from_output.derivative, op, names, backward=True)
    numpys = sys.modules.get(f"{__package__}.numpy")
    for name in () if numpys is None else numpys.replaced:
        if name in vars(numpys):
            _teach_numpys(name, vars(numpys)[name])


def tell_of_numpys(name: str, function: Any) -> None:
    """Teach Numba a function of ``fastact.numpy`` that has been built after ``register``, which sees to those built before."""
    if register.cache_info().currsize:
        _teach_numpys(name, function)


_taught: set[str] = set()
"""Names of functions of ``fastact.numpy`` that Numba knows."""


def _teach_numpys(name: str, function: Any) -> None:
    """Let Numba take a function of ``fastact.numpy`` for NumPy's of that name, if it knows that."""
    # ``register`` may come here twice: what it calls may be the first to compile something, and so call it again.
    if name in _taught:
        return
    context = _context_of_numpy()
    with contextlib.suppress(ValueError):  # it knows none
        context.insert_global(function, context.resolve_value_type(getattr(np, name)))
        _taught.add(name)


@cache
def _context_of_numpy() -> Any:
    """Where Numba looks functions up, once it has imported what it knows of NumPy."""
    cpu_target.target_context.refresh()
    cpu_target.typing_context.refresh()
    return cpu_target.typing_context


def completed(op: Any) -> Callable[..., Any]:
    """The formula of an op's value, for all operands."""
    formula: Callable[..., Any] = op.forward
    if op.completes is not None:
        formula = scalar(clone(_completed, {"formula": op.forward, "completes": op.completes, "COMPLETE": COMPLETE}))
        jit.register()
    return formula


def _completed(x):  # type: ignore[no-untyped-def]
    value = formula(x)
    if abs(value) > COMPLETE:
        value = completes(value)
    return value


def _teach(
    function: Any, formula: Callable[..., Any] | None, op: Any, operands: Sequence[str], *, backward: bool
) -> None:
    """Compile a call of ``function`` as ``formula``: of scalars as it stands, of arrays in a loop."""
    names = tuple(operands)
    leading = op.arrays + backward
    values = tuple(op.defaults.values())
    which = backward, op.arrays, len(names) - leading

    def choose(*args: Any, **kwargs: Any) -> Any:
        given = inspect.signature(template).bind(*args, **kwargs).arguments
        kinds = [given.get(name) for name in names[:leading]]
        arrays = any(isinstance(kind, types.Array) for kind in kinds)
        loop = _ARRAY_LOOPS if arrays else _SCALAR_CALLS
        element = np.result_type(*(_dtype(kind) for kind in kinds), np.float32 if _is_float32(kinds) else np.float64)
        scope = {"formula": formula, "T": element.type}
        return clone(loop[which], scope, names, values)

    template = clone(_SCALAR_CALLS[which], {}, names, values)
    overload(function, strict=False, jit_options=jit.JIT_OPTIONS)(choose)


def _is_float32(kinds: list[Any]) -> bool:
    return any(_dtype(kind) == np.float32 for kind in kinds) and all(
        _dtype(kind) == np.float32 or not isinstance(kind, types.Array) for kind in kinds
    )


def _dtype(kind: Any) -> Any:
    kind = types.unliteral(kind.dtype if isinstance(kind, types.Array) else kind)
    return np.dtype(np.float32 if kind == types.float32 else np.float64)


def flat(x: Any) -> Any:
    """An operand as something to index: a flat array, or the scalar itself."""
    raise NotImplementedError


def at(x: Any, i: Any) -> Any:
    """Element ``i`` of a flat operand, or the scalar itself."""
    raise NotImplementedError


@overload(flat, strict=False)
def _flat(x: Any) -> Any:
    if isinstance(x, types.Array):
        return lambda x: np.ascontiguousarray(x).reshape(x.size)
    return lambda x: x


@overload(at, strict=False)
def _at(x: Any, i: Any) -> Any:
    return (lambda x, i: x[i]) if isinstance(x, types.Array) else (lambda x, i: x)


def extent(grad: Any, x: Any) -> Any:
    """Whichever of the two is an array."""
    raise NotImplementedError


@overload(extent, strict=False)
def _extent(grad: Any, x: Any) -> Any:
    return (lambda grad, x: x) if isinstance(x, types.Array) else (lambda grad, x: grad)


formula: Any = None
completes: Any = None
T: Any = float


def _scalar_x(x):  # type: ignore[no-untyped-def]
    return formula(T(x))


def _scalar_x_p(x, p):  # type: ignore[no-untyped-def]
    return formula(T(x), T(p))


def _scalar_x_p_q(x, p, q):  # type: ignore[no-untyped-def]
    return formula(T(x), T(p), T(q))


def _scalar_g_x(grad, x):  # type: ignore[no-untyped-def]
    return T(grad) * formula(T(x))


def _scalar_g_x_p(grad, x, p):  # type: ignore[no-untyped-def]
    return T(grad) * formula(T(x), T(p))


def _scalar_g_x_p_q(grad, x, p, q):  # type: ignore[no-untyped-def]
    return T(grad) * formula(T(x), T(p), T(q))


def _scalar_a_b(a, b):  # type: ignore[no-untyped-def]
    return formula(T(a), T(b))


def _scalar_g_a_b(grad, a, b):  # type: ignore[no-untyped-def]
    by_a, by_b = formula(T(a), T(b))
    return T(grad) * by_a, T(grad) * by_b


def _array_x(x):  # type: ignore[no-untyped-def]
    source = flat(x)
    out = np.empty(source.size, T)
    for i in range(source.size):
        out[i] = formula(T(source[i]))
    return out.reshape(x.shape)


def _array_x_p(x, p):  # type: ignore[no-untyped-def]
    source = flat(x)
    out = np.empty(source.size, T)
    for i in range(source.size):
        out[i] = formula(T(source[i]), T(p))
    return out.reshape(x.shape)


def _array_x_p_q(x, p, q):  # type: ignore[no-untyped-def]
    source = flat(x)
    out = np.empty(source.size, T)
    for i in range(source.size):
        out[i] = formula(T(source[i]), T(p), T(q))
    return out.reshape(x.shape)


def _array_g_x(grad, x):  # type: ignore[no-untyped-def]
    shaped, source, gradient = extent(grad, x), flat(x), flat(grad)
    out = np.empty(shaped.size, T)
    for i in range(shaped.size):
        out[i] = T(at(gradient, i)) * formula(T(at(source, i)))
    return out.reshape(shaped.shape)


def _array_g_x_p(grad, x, p):  # type: ignore[no-untyped-def]
    shaped, source, gradient = extent(grad, x), flat(x), flat(grad)
    out = np.empty(shaped.size, T)
    for i in range(shaped.size):
        out[i] = T(at(gradient, i)) * formula(T(at(source, i)), T(p))
    return out.reshape(shaped.shape)


def _array_g_x_p_q(grad, x, p, q):  # type: ignore[no-untyped-def]
    shaped, source, gradient = extent(grad, x), flat(x), flat(grad)
    out = np.empty(shaped.size, T)
    for i in range(shaped.size):
        out[i] = T(at(gradient, i)) * formula(T(at(source, i)), T(p), T(q))
    return out.reshape(shaped.shape)


def _array_a_b(a, b):  # type: ignore[no-untyped-def]
    shaped, first, second = extent(a, b), flat(a), flat(b)
    out = np.empty(shaped.size, T)
    for i in range(shaped.size):
        out[i] = formula(T(at(first, i)), T(at(second, i)))
    return out.reshape(shaped.shape)


def _array_g_a_b(grad, a, b):  # type: ignore[no-untyped-def]
    shaped, gradient, first, second = extent(grad, extent(a, b)), flat(grad), flat(a), flat(b)
    by_a, by_b = np.empty(shaped.size, T), np.empty(shaped.size, T)
    for i in range(shaped.size):
        one, other = formula(T(at(first, i)), T(at(second, i)))
        by_a[i], by_b[i] = T(at(gradient, i)) * one, T(at(gradient, i)) * other
    return by_a.reshape(shaped.shape), by_b.reshape(shaped.shape)


_SCALAR_CALLS = {
    (False, 1, 0): _scalar_x,
    (False, 1, 1): _scalar_x_p,
    (False, 1, 2): _scalar_x_p_q,
    (True, 1, 0): _scalar_g_x,
    (True, 1, 1): _scalar_g_x_p,
    (True, 1, 2): _scalar_g_x_p_q,
    (False, 2, 0): _scalar_a_b,
    (True, 2, 0): _scalar_g_a_b,
}
_ARRAY_LOOPS = {
    (False, 1, 0): _array_x,
    (False, 1, 1): _array_x_p,
    (False, 1, 2): _array_x_p_q,
    (True, 1, 0): _array_g_x,
    (True, 1, 1): _array_g_x_p,
    (True, 1, 2): _array_g_x_p_q,
    (False, 2, 0): _array_a_b,
    (True, 2, 0): _array_g_a_b,
}
"""Templates by whether there is a gradient, and the number of arrays and of parameters."""


_IN_ANY_ORDER = {**jit.JIT_OPTIONS, "fastmath": {"reassoc"}}
"""For sums, which LLVM then computes with vectors."""


def _state_of_row(x, e, m):  # type: ignore[no-untyped-def]
    """The larger of ``m`` and a row's maximum, how many elements equal it, and the others' sum of exponentials, left in ``e``."""
    T = type(m)
    for i in range(x.size):
        m = maximum(m, x[i])
    base, n = level(m)
    shift, floor = reach(n)
    for i in range(x.size):
        e[i] = exp_at(x[i], base, shift, floor)
    ties, rest = T(0), 0.0
    for i in range(x.size):
        at_top = x[i] == m
        ties += select(at_top, T(1), T(0))
        rest += widen(select(at_top, T(0), e[i]))
    return m, ties, rest


_state = register_jitable(**_IN_ANY_ORDER)(_state_of_row)


def _softmax_row(x, y, lowest):  # type: ignore[no-untyped-def]
    m, ties, rest = _state(x, y, lowest)
    high, low = split(m, total(m, ties, rest))
    inverse, inverse_rest = reciprocal(high, low)
    for i in range(x.size):
        y[i] = fma(y[i], inverse, y[i] * inverse_rest)


def _log_softmax_row(x, y, lowest):  # type: ignore[no-untyped-def]
    m, ties, rest = _state(x, y, lowest)
    excess = type(m)(log_excess(m, ties, rest))
    for i in range(x.size):
        y[i] = (x[i] - m) - excess


def _logsumexp_row(x, e, lowest):  # type: ignore[no-untyped-def]
    m, ties, rest = _state(x, e, lowest)
    return type(m)(logsumexp(m, ties, rest))


row: Any = None
LOWEST: Any = None


def _map_of_row(x, axis=-1):  # type: ignore[no-untyped-def]
    source = np.ascontiguousarray(x)
    out = np.empty_like(source)
    row(source, out, LOWEST)
    return out


def _map_of_rows(x, axis=-1):  # type: ignore[no-untyped-def]
    source = np.ascontiguousarray(x)
    out = np.empty_like(source)
    for i in range(len(source)):
        row(source[i], out[i], LOWEST)
    return out


def _number_of_row(x, axis=-1):  # type: ignore[no-untyped-def]
    source = np.ascontiguousarray(x)
    return row(source, np.empty_like(source), LOWEST)


def _numbers_of_rows(x, axis=-1):  # type: ignore[no-untyped-def]
    source = np.ascontiguousarray(x)
    out, exponentials = np.empty(len(source), source.dtype), np.empty(source.shape[1], source.dtype)
    for i in range(len(source)):
        out[i] = row(source[i], exponentials, LOWEST)
    return out


_ROWS = {
    "softmax": (_softmax_row, (_map_of_row, _map_of_rows)),
    "log_softmax": (_log_softmax_row, (_map_of_row, _map_of_rows)),
    "logsumexp": (_logsumexp_row, (_number_of_row, _numbers_of_rows)),
}
"""What is computed of a row, and the loops over arrays of one and of two dimensions."""


def _teach_rows(name: str) -> None:
    """Compile calls of a function along the last axis of an array of floats."""
    formula, loops = _ROWS[name]
    compiled = register_jitable(**jit.JIT_OPTIONS)(formula)

    def choose(x: Any, axis: Any = -1) -> Any:
        if not isinstance(x, types.Array) or x.ndim not in (1, 2) or x.dtype not in (types.float32, types.float64):
            raise TypingError(f"{name} takes arrays of float32 or float64 of one or two dimensions here, got {x}")
        given = getattr(axis, "literal_value", getattr(axis, "value", axis))
        if given not in (-1, x.ndim - 1):
            raise TypingError(f"{name} takes the last axis here, as a constant, got {axis}")
        return clone(loops[x.ndim - 1], {"row": compiled, "LOWEST": _dtype(x).type(-np.inf)}, ("x", "axis"), (-1,))

    overload(getattr(softmax, name), strict=False, prefer_literal=True, jit_options=jit.JIT_OPTIONS)(choose)
