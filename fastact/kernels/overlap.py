"""The order in which elements have to be computed where an output lies over other operands.

An inner loop of NumPy's means one element after the other. Operands that partly overlap NumPy copies beforehand, but not where an
input runs ahead of the output, which in order comes out right; nor in ``reduce`` and ``accumulate``, where each element takes the
result before.
"""

from typing import Any

from fastact.kernels.jit import internal
from fastact.kernels.memory import as_address

ANY_ORDER, FIRST_TO_LAST, ONE_BY_ONE = range(3)
"""Threads may share the elements out; any number at a time may be read before they are written; each needs the one before."""


@internal
def required_order(args: Any, steps: Any, n: Any, count: Any, inputs: Any, size: Any) -> Any:
    """The strictest order that any output of a call needs, given ``count`` operands of ``n`` elements of ``size`` bytes."""
    order = ANY_ORDER
    for k in range(inputs, count):
        for j in range(count):
            if j != k:
                order = max(order, order_between(args[j], steps[j], args[k], steps[k], n, size))
    return order


@internal
def order_between(x: Any, x_step: Any, y: Any, y_step: Any, n: Any, size: Any) -> Any:
    """The order that is needed where ``x`` is read, or written as well, and ``y`` is written."""
    ahead, stride = as_address(x) - as_address(y), abs(y_step)
    alike = x_step == y_step and stride >= size
    x_reach, y_reach = (n - 1) * x_step, (n - 1) * y_step
    if (
        n < 2
        or (alike and ahead == 0)
        or (stride >= size and ahead + min(x_reach, 0) >= max(y_reach, 0) + size)
        or (stride >= size and ahead + max(x_reach, 0) + size <= min(y_reach, 0))
        or (alike and size <= ahead % stride <= stride - size)  # each lies in the other's gaps
    ):
        return ANY_ORDER
    if (y_step >= size and x_step >= y_step and ahead >= 0) or (y_step <= -size and x_step <= y_step and ahead <= 0):
        return FIRST_TO_LAST
    return ONE_BY_ONE
