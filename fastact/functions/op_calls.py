"""The public functions of an elementwise op: the ufunc itself, or a function with the op's parameters over it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import UFUNC_ARGUMENTS, refuse_unknown
from fastact.calls.containers import at_one_shape, is_tensor, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import holds_lazy
from fastact.calls.refusals import translated
from fastact.calls.spread import spread
from fastact.calls.widening import beside_float32, in_float32
from fastact.functions.elementwise import Op, backward_kernel, forward_kernel, from_output_kernel
from fastact.functions.op_docs import docstring, docstring_from_output
from fastact.functions.record import PUBLIC_MODULE
from fastact.kernels.dtypes import BFLOAT16
from fastact.kernels.templates import clone
from fastact.kinds.elementwise import Kernel
from fastact.maths.scalar import scalar
from fastact.runtime.domains import share_domain
from fastact.runtime.ufunc import attribute_name, make_ufunc

FLOATS = "fd" + BFLOAT16
"""Type codes; a float16 operand would round the defaults to float16 first, which one of bfloat16 does not."""
NUMPYS_REALS = (np.floating, np.integer)
PLAIN = frozenset({np.ndarray, float, int, bool})
"""Types of operands that ask for nothing but NumPy's own treatment."""


def public_function(op: Op, *, backward: bool) -> Any:
    """Build a public function: the ufunc itself, or a function with the op's parameters over it."""
    kernel = backward_kernel(op) if backward else forward_kernel(op)
    public = op.public_backward if backward else op.public
    doc = docstring(op, backward=backward)
    if op.is_ufunc and kernel.outputs == 1:
        made = make_ufunc(kernel, kernel.name, doc, PUBLIC_MODULE, op.identity)
        if op.stands_in is not None and not backward:
            share_domain(made, getattr(np, op.stands_in.name))
        return made
    ufunc: Any = make_ufunc(kernel, attribute_name(kernel.name), doc, PUBLIC_MODULE)
    function = ufunc
    if op.is_ufunc:
        names = ("grad", *op.operands)
        function = clone(_grad_a_b, {"ufunc": ufunc, "refused": partial(_refused, names)}, names)
    elif op.gradients == 1 or not backward:
        at_defaults = None
        if len(op.defaults) == len(op.parameters):
            at_defaults = make_ufunc(_kernel_at_defaults(op, kernel), ufunc.__name__, doc, PUBLIC_MODULE)
        function = with_parameters(
            kernel.name, ufunc, op.parameters, 1 + backward, op.check, at_defaults, kernel=kernel
        )
        function.ufunc = ufunc
    if public is not None:
        function = public(function)
    function.__name__ = function.__qualname__ = kernel.name
    function.__module__ = PUBLIC_MODULE
    function.__doc__ = doc
    function.ufunc = ufunc
    return function


def backward_from_output(op: Op) -> Any:
    """Build the public gradient of an op from its output: the ufunc itself, or a function with the op's parameters over it."""
    kernel, doc = from_output_kernel(op), docstring_from_output(op)
    if not op.parameters:
        return make_ufunc(kernel, kernel.name, doc, PUBLIC_MODULE)
    assert op.from_output is not None
    ufunc: Any = make_ufunc(kernel, attribute_name(kernel.name), doc, PUBLIC_MODULE)
    at_defaults = make_ufunc(_kernel_at_defaults(op, kernel), ufunc.__name__, doc, PUBLIC_MODULE)
    check = op.from_output.check or op.check
    function: Any = with_parameters(kernel.name, ufunc, op.parameters, 2, check, at_defaults, ("grad", "output"))
    function.__name__ = function.__qualname__ = kernel.name
    function.__doc__ = doc
    function.ufunc = ufunc
    return function


def elementwise(ufunc: Any, operands: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Call a ufunc with operands some of which are containers that it is not called with itself."""
    layout = Layout(dict.fromkeys(operands, "..."), ("...",) * ufunc.nout)

    def called(*arrays: Any, **options: Any) -> Any:
        given = dict(zip(operands, arrays, strict=True))
        return within(partial(_positionally, ufunc, len(operands)), layout, given, options)

    try:
        return called(*operands.values(), **options)
    except TypeError as error:  # of PyTorch's tensors, perhaps
        return in_float32(called, error, [*operands.values()], options)


def _positionally(ufunc: Any, count: int, /, **arguments: Any) -> Any:
    given = list(arguments.items())
    return ufunc(*at_one_shape(*(x for _, x in given[:count])), **dict(given[count:]))


def _kernel_at_defaults(op: Op, kernel: Kernel) -> Kernel:
    """The kernel with an op's default parameters as constants: fewer operands, and the compiler folds them.

    A call with the defaults takes 1.3 times as long without it for small arrays, and up to 1.3 times for large ones.
    """
    values = dict(zip("pq", op.defaults.values(), strict=False))
    template = _constant_p if len(values) == 1 else _constant_p_q
    return replace(
        kernel,
        name=f"{kernel.name}.defaults",
        formula=scalar(clone(template, {"formula": kernel.formula, **values})),
        inputs=kernel.inputs - len(values),
        parameters=0,
    )


def with_parameters(
    name: str,
    ufunc: Any,
    parameters: Mapping[str, Any],
    leading: int,
    check: Callable[..., None] | None = None,
    at_defaults: Any = None,
    arrays: Sequence[str] = (),
    kernel: Kernel | None = None,
) -> Any:
    """A function, called ``name``, over ``ufunc``: of ``leading`` arrays, then parameters by position, by name or by default.

    ``check`` is asked about the parameters before anything is computed. ``at_defaults`` is a ufunc of the arrays alone; it
    computes float arrays when no parameter is given. (Others convert as with parameters, which take part in that.) ``kernel`` is
    the ufunc's, if rows of it may be computed together where a parameter is an array.
    """
    names = (*(arrays or (("x",) if leading == 1 else ("grad", "x"))), *parameters)
    defaults = tuple(p.default for p in parameters.values() if p.default is not p.empty)
    scope = {"ufunc": ufunc, "call": partial(_call, name, ufunc, names, leading, check, kernel)}
    scope["refused"] = partial(_refused, names)
    if at_defaults is not None:
        scope |= {"at_defaults": at_defaults, **dict(zip(("DEFAULT_P", "DEFAULT_Q"), defaults, strict=False))}
    return clone(_TEMPLATES[leading, len(parameters)], scope, names, (*defaults, None))


def _call(
    name: str,
    ufunc: Any,
    names: Sequence[str],
    leading: int,
    check: Callable[..., None] | None,
    kernel: Kernel | None,
    operands: tuple[Any, ...],
    out: Any,
    ufunc_arguments: dict[str, Any],
) -> Any:
    """What a function with parameters does with those it was given."""
    if ufunc_arguments:
        refuse_unknown(name, ufunc_arguments, (*names, "out", *UFUNC_ARGUMENTS))
    if check is not None:
        check(*operands[leading:])
    for x in operands:
        if type(x) not in PLAIN:
            break
    else:
        if any(type(x) is np.ndarray for x in operands[leading:]):
            if kernel is not None and not ufunc_arguments:
                found = spread(kernel, operands, out)
                if found is not NotImplemented:
                    return found
            operands = beside_float32(operands)
        try:
            return ufunc(*operands, out=out, **ufunc_arguments)
        except TypeError as error:
            raise _refused(names, error, operands) from None
    operands = (*operands[:leading], *map(weak, operands[leading:]))
    if any(type(x) is not np.ndarray and is_tensor(x) for x in operands[:leading]):
        return elementwise(ufunc, dict(zip(names, operands, strict=True)), {"out": out, **ufunc_arguments})
    if len(operands) > 2:
        operands = at_one_shape(*operands)
    try:
        return ufunc(*operands, out=out, **ufunc_arguments)
    except TypeError as error:
        raise _refused(names, error, operands) from None


def _refused(names: Sequence[str], error: TypeError, operands: tuple[Any, ...]) -> TypeError:
    """The error of a call in the words of the public function."""
    return translated(error, dict(zip(names, operands, strict=True)))


def weak(parameter: Any) -> Any:
    """A parameter as it takes part in NumPy's promotion: one of NumPy's real scalars as Python's, which never widens arrays."""
    return float(parameter) if isinstance(parameter, NUMPYS_REALS) else parameter


# What is filled in for each clone of the templates below.
ufunc: Any = None
call: Any = None
refused: Any = None
at_defaults: Any = None
DEFAULT_P: Any = object()
DEFAULT_Q: Any = object()
formula: Any = None
p: Any = None
q: Any = None


def _constant_p(x: Any) -> Any:
    T = type(x)
    return formula(x, T(p))


def _constant_p_q(x: Any) -> Any:
    T = type(x)
    return formula(x, T(p), T(q))


def _x_p(x: Any, p: Any, out: Any = None, **ufunc_arguments: Any) -> Any:
    try:
        if p is DEFAULT_P and type(x) is np.ndarray and not ufunc_arguments:
            return at_defaults(x, out=out) if x.dtype.char in FLOATS else ufunc(x, p, out=out)
    except TypeError as error:
        raise refused(error, (x, p)) from None
    return call((x, p), out, ufunc_arguments)


def _x_p_q(x: Any, p: Any, q: Any, out: Any = None, **ufunc_arguments: Any) -> Any:
    try:
        if p is DEFAULT_P and q is DEFAULT_Q and type(x) is np.ndarray and not ufunc_arguments:
            return at_defaults(x, out=out) if x.dtype.char in FLOATS else ufunc(x, p, q, out=out)
    except TypeError as error:
        raise refused(error, (x, p, q)) from None
    return call((x, p, q), out, ufunc_arguments)


def _grad_x_p(grad: Any, x: Any, p: Any, out: Any = None, **ufunc_arguments: Any) -> Any:
    try:
        if p is DEFAULT_P and type(grad) is type(x) is np.ndarray and not ufunc_arguments:
            return at_defaults(grad, x, out=out) if x.dtype.char in FLOATS else ufunc(grad, x, p, out=out)
    except TypeError as error:
        raise refused(error, (grad, x, p)) from None
    return call((grad, x, p), out, ufunc_arguments)


def _grad_x_p_q(grad: Any, x: Any, p: Any, q: Any, out: Any = None, **ufunc_arguments: Any) -> Any:
    try:
        if p is DEFAULT_P and q is DEFAULT_Q and type(grad) is type(x) is np.ndarray and not ufunc_arguments:
            return at_defaults(grad, x, out=out) if x.dtype.char in FLOATS else ufunc(grad, x, p, q, out=out)
    except TypeError as error:
        raise refused(error, (grad, x, p, q)) from None
    return call((grad, x, p, q), out, ufunc_arguments)


_TEMPLATES = {(1, 1): _x_p, (1, 2): _x_p_q, (2, 1): _grad_x_p, (2, 2): _grad_x_p_q}
"""By the number of arrays and of parameters."""


def _grad_a_b(grad: Any, a: Any, b: Any, /, *outs: Any, **ufunc_arguments: Any) -> Any:
    try:
        if type(grad) is type(a) is type(b) is np.ndarray and not (outs or ufunc_arguments):
            return ufunc(grad, a, b)
        if any(is_tensor(x) or holds_lazy(x) for x in (grad, a, b)):
            options = {**ufunc_arguments, "out": outs} if outs else ufunc_arguments
            return elementwise(ufunc, {"grad": grad, "a": a, "b": b}, options)
        return ufunc(*at_one_shape(grad, a, b), *outs, **ufunc_arguments)
    except TypeError as error:
        raise refused(error, (grad, a, b)) from None
