"""Gradients of functions of an element and of what many elements share, such as a bias: both in one pass over memory."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fastact.calls.axes import Axis
from fastact.calls.programs import at_one_shape_of, axes_of, of_one_row
from fastact.calls.quiet import quietly
from fastact.calls.row_blocks import gradient_place, gradients_of_rows
from fastact.kinds.row_blocks import RowBlocksKernel
from fastact.kinds.rows import Formula, RowKernel, Sum
from fastact.runtime.ufunc import make_ufunc


@dataclass(frozen=True, eq=False)
class SharedGradients:
    """The gradient by the elements of an array, and the sums of that by what they share.

    Attributes
    ----------
    name : str
        Names the cache entries.
    by_element, by_shared : callable
        Formulas of both gradients of one element.
    operands : str
        Names of the gradient, of the array, and of what is shared, as formulas take them.
    option_names : str
        Names of the options, of float64.
    cost : float
        Nanoseconds per float32 element on one thread, roughly: decides when threads pay.
    """

    name: str
    by_element: Formula
    by_shared: Formula
    operands: str
    option_names: str = ""
    cost: float = 0.4

    @cached_property
    def rows(self) -> RowBlocksKernel:
        """The kernel of rows whose elements have a number each of what is shared."""
        shared = self.operands.split()[-1]
        return RowBlocksKernel(
            self.name,
            (),
            [self.by_element],
            operands=self.operands,
            option_names=self.option_names,
            shared=shared,
            adds=[self.by_shared],
            sums=shared,
            cost=self.cost,
        )

    @cached_property
    def planes(self) -> Any:
        """The ufunc of rows all of whose elements have the same number of it, as the pixels of a channel."""
        kernel = RowKernel(
            f"{self.name}.planes",
            [Sum("total", self.by_shared)],
            self.by_element,
            gives="total",
            gives_wide=True,
            operands=self.operands,
            option_names=self.option_names,
            cost=2 * self.cost,
        )
        return make_ufunc(kernel, kernel.name, "Gradients of planes, and their sums.", __name__)

    def of(
        self, rows: Mapping[str, Any], shared: Mapping[str, Any], options: Sequence[float], axis: Axis, out: Any
    ) -> tuple[Any, Any]:
        """Both gradients.

        Parameters
        ----------
        rows : mapping of str to array
            The gradient and the array, which broadcast, by the names of the public function's parameters.
        shared : mapping of str to array
            What they share, of the shape of the axes.
        options : sequence of float
            Values of the options.
        axis : int, tuple of int or None
            The axes of what is shared.
        out : ndarray or None
            Where the gradient by the elements is written.
        """
        arrays = at_one_shape_of(rows)
        axes = axes_of(axis, arrays[0].ndim)
        if axes != tuple(range(axes[0], axes[-1] + 1)) or axes[-1] == arrays[0].ndim - 1:
            by_element, by_shared = gradients_of_rows(self.rows, rows, shared, options, axis, out)
            return by_element, by_shared
        shape = arrays[0].shape
        ((name, given),) = shared.items()
        row = of_one_row(name, given, shape, axes)
        numbers = [np.array(options)] if options else []
        result, dtype = gradient_place(self.planes, arrays, (row, *numbers), out)
        planes = (math.prod(shape[: axes[0]]), len(row), math.prod(shape[axes[-1] + 1 :]))
        place = result if result.flags.c_contiguous else np.empty(shape, dtype)
        operands = [np.ascontiguousarray(x).reshape(planes) for x in arrays]
        _, sums = quietly(
            self.planes, *operands, np.broadcast_to(row[:, None], planes), *numbers, out=(place.reshape(planes), None)
        )
        if place is not result:
            quietly(np.copyto, result, place, casting="same_kind")
        core = tuple(shape[k] for k in axes)
        return result, quietly(np.add.reduce(sums, axis=0).astype, dtype).reshape(core)
