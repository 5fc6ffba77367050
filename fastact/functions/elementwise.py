"""What an op is: one record that names it, computes it, documents it and says how it is tested.

``op_functions.py`` makes of it the records of its public functions, the value and the gradient. To add an op is to write one block
in a file of this folder; ``CONTRIBUTING.md`` shows one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from fastact.calls.checking import UFUNC_ARGUMENTS, refuse_unknown
from fastact.calls.containers import at_one_shape, is_tensor, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import holds_lazy
from fastact.functions.properties import NO_ACTIVATION, Properties, Traits, derive, paragraph
from fastact.functions.record import PUBLIC_MODULE, Variant
from fastact.kernels.templates import clone
from fastact.kinds.elementwise import Kernel
from fastact.maths.scalar import scalar
from fastact.runtime.ufunc import attribute_name, make_ufunc


@dataclass(frozen=True, eq=False, repr=False)
class Op:
    """The record of one elementwise operation."""

    forward: Callable[..., Any]
    """The scalar function, on ``fastact.maths``: ``_name(x, *parameters)``, with defaults if it has any."""
    reference: Callable[..., Any]
    """The function in plain NumPy on float64 arrays, by a different and obviously right formula."""
    summary: str
    """One sentence, for the docstring."""
    formula: str
    """LaTeX."""
    limits: Mapping[float, float]
    """The value at -inf and +inf, with default parameters."""
    derivative: Callable[..., Any] | None = None
    """The scalar derivative with respect to `x`, or a tuple of derivatives; ``None`` if the op has no backward."""
    reference_derivative: Callable[..., Any] | None = None
    """The derivative in plain NumPy as a tuple of the terms that add up to it. The largest is what its error is measured by."""
    derivative_limits: Mapping[float, float] = field(default_factory=dict)
    """The derivative at -inf and +inf, with default parameters."""
    kinks: Mapping[float, float] = field(default_factory=dict)
    """Points without a derivative, or with a jump in it, and the value chosen there, with default parameters."""
    traits: Traits | None = None
    """What is stated of an activation's graph, from which its `properties` follow; ``None`` of what is no activation."""
    paper: str = ""
    """Where the op comes from."""
    known_as: Sequence[str] = ()
    """Names of the same function in other libraries, apart from underscores and capitals."""
    notes: str = ""
    """More for the docstring's notes."""
    ulp: float = 2.0
    """The promised largest error of the value, in units in the last place, over every finite float32; float64 promises 2."""
    derivative_ulp: float = 4.0
    """The promised largest error of the derivative, in units of its value or of its largest term, whichever is larger."""
    cost: float = 0.2
    """Nanoseconds per float32 element on one thread, roughly; decides when threads pay."""
    gradients: int = 1
    """How many derivatives `derivative` returns: more than one if parameters are learnt, or if there are more arrays."""
    arrays: int = 1
    """So many of the first operands are arrays. With no parameter after them, the public functions are the ufuncs themselves, but
    for a backward with a gradient for each array: it is a function that returns all of them as they are, since dask knows no
    ufunc of ours with several results. The tables of tests treat the second array as a parameter, so `samples` give values for
    it, and `limits` are those at the first sample."""
    check: Callable[..., None] | None = None
    """Raises ``ValueError`` for parameters out of range, before anything is computed."""
    samples: Sequence[tuple[float, ...]] = ((),)
    """Parameters to test with; ``()`` stands for the defaults."""
    extra: Mapping[str, str] = field(default_factory=dict)
    """Further parameters of the public function, for its docstring: ``{"name : type": "meaning"}``."""
    extra_backward: Mapping[str, str] = field(default_factory=dict)
    """Further parameters of the backward function, likewise."""
    public: Callable[[Any], Any] | None = None
    """Makes the public function from the one with parameters, which has the ufunc as an attribute, where it is more."""
    public_backward: Callable[[Any], Any] | None = None
    """Makes the public backward from the one with parameters, where it is more."""
    reference_backward: Callable[..., Any] | None = None
    """The backward function in plain NumPy, of ``m``, the gradient, `x` and the parameters, where it is more than a gradient times
    the derivative."""
    variants: Sequence[Variant] = ()
    """Ways to call the public function beside those with the samples of its parameters."""
    variants_backward: Sequence[Variant] = ()
    """Ways to call the backward beside those with the samples of its parameters."""

    @property
    def name(self) -> str:
        """The public name."""
        return self.forward.__name__.lstrip("_")

    def promised_ulp(self, dtype: str, *, backward: bool) -> float:
        """The promised largest error of the value or of the derivative."""
        if backward:
            return self.derivative_ulp
        return self.ulp if dtype == "float32" else max(self.ulp, 2.0)

    @property
    def operands(self) -> list[str]:
        """The names of all operands; the first is called `x` where there is but one array."""
        return ["x" if self.arrays == 1 else next(iter(inspect.signature(self.forward).parameters)), *self.parameters]

    @property
    def is_ufunc(self) -> bool:
        """Whether the public functions are the ufuncs themselves, those with several results aside."""
        return len(self.operands) == self.arrays

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The operands after the first, by name."""
        return dict(list(inspect.signature(self.forward).parameters.items())[1:])

    @property
    def defaults(self) -> dict[str, Any]:
        """The defaults of those parameters that have one."""
        empty = inspect.Parameter.empty
        return {name: p.default for name, p in self.parameters.items() if p.default is not empty}

    @property
    def recorded_at(self) -> dict[str, float]:
        """The parameters that limits, kinks and properties belong to: the first sample, and defaults of what it leaves out."""
        given = self.defaults | dict(zip(self.parameters, self.samples[0], strict=False))
        return {name: given[name] for name in self.parameters}

    @property
    def is_activation(self) -> bool:
        """Whether it is a function of one array with a gradient: no function that others are made of, and no gated unit."""
        return self.arrays == 1 and self.derivative is not None

    @cached_property
    def properties(self) -> Properties:
        """Range, monotonicity, saturation and so on of an activation, at `recorded_at`; all ``None`` of another op."""
        if self.traits is None or self.reference_derivative is None:
            return NO_ACTIVATION
        formulas, ends = (self.reference, self.reference_derivative), (self.limits, self.derivative_limits)
        given, learnt = list(self.recorded_at.values()), self.gradients - self.arrays
        return derive(self.traits, *formulas, given, *ends, self.kinks, learnt)


OPS: dict[str, Op] = {}
"""Every op by name, in the order of definition."""


def register(op: Op) -> Op:
    """Add an op to ``OPS``; its names become public."""
    if op.name in OPS:
        raise ValueError(f"an op named {op.name!r} is registered already: {OPS[op.name].forward.__module__}")
    if (op.derivative is None) != (op.reference_derivative is None):
        raise ValueError(f"{op.name}: give both derivative and reference_derivative, or neither")
    scalar(op.forward)
    if op.derivative is not None:
        scalar(op.derivative)
    OPS[op.name] = op
    return op


def kernels(op: Op) -> list[Kernel]:
    """The kernels behind an op's public functions."""
    return [_forward_kernel(op)] + ([_backward_kernel(op)] if op.derivative else [])


def _forward_kernel(op: Op) -> Kernel:
    return Kernel(op.name, op.forward, inputs=1 + len(op.parameters), cost=op.cost)


def _backward_kernel(op: Op) -> Kernel:
    if op.derivative is None:
        raise ValueError(f"{op.name} has no derivative")
    return Kernel(
        f"{op.name}_backward",
        op.derivative,
        inputs=2 + len(op.parameters),
        outputs=op.gradients,
        cost=1.2 * op.cost,
        times_gradient=True,
    )


def public_function(op: Op, *, backward: bool) -> Any:
    """Build a public function: the ufunc itself, or a function with the op's parameters over it."""
    kernel = _backward_kernel(op) if backward else _forward_kernel(op)
    public = op.public_backward if backward else op.public
    doc = docstring(op, backward=backward)
    if op.is_ufunc and kernel.outputs == 1:
        return make_ufunc(kernel, kernel.name, doc, PUBLIC_MODULE)
    ufunc: Any = make_ufunc(kernel, attribute_name(kernel.name), doc, PUBLIC_MODULE)
    function = ufunc
    if op.is_ufunc:
        function = clone(_grad_a_b, {"ufunc": ufunc}, ("grad", *op.operands))
    elif op.gradients == 1 or not backward:
        at_defaults = None
        if len(op.defaults) == len(op.parameters):
            at_defaults = make_ufunc(_kernel_at_defaults(op, kernel), ufunc.__name__, doc, PUBLIC_MODULE)
        function = with_parameters(kernel.name, ufunc, op.parameters, 1 + backward, op.check, at_defaults)
        function.ufunc = ufunc
    if public is not None:
        function = public(function)
    function.__name__ = function.__qualname__ = kernel.name
    function.__module__ = PUBLIC_MODULE
    function.__doc__ = doc
    function.ufunc = ufunc
    return function


def elementwise(ufunc: Any, operands: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """Call a ufunc with operands some of which are containers that it is not called with itself."""
    layout = Layout(dict.fromkeys(operands, "..."), ("...",) * ufunc.nout)
    return within(partial(_positionally, ufunc, len(operands)), layout, operands, options)


def _positionally(ufunc: Any, count: int, /, **arguments: Any) -> Any:
    given = list(arguments.items())
    return ufunc(*at_one_shape(*(x for _, x in given[:count])), **dict(given[count:]))


def _kernel_at_defaults(op: Op, kernel: Kernel) -> Kernel:
    """The kernel with an op's default parameters as constants: fewer operands, and the compiler folds them."""
    values = dict(zip("pq", op.defaults.values(), strict=False))
    template = _constant_p if len(values) == 1 else _constant_p_q
    return replace(
        kernel,
        name=f"{kernel.name}.defaults",
        formula=scalar(clone(template, {"formula": kernel.formula, **values})),
        inputs=kernel.inputs - len(values),
    )


def with_parameters(
    name: str,
    ufunc: Any,
    parameters: Mapping[str, inspect.Parameter],
    leading: int,
    check: Callable[..., None] | None = None,
    at_defaults: Any = None,
) -> Any:
    """A function, called ``name``, over ``ufunc``: of ``leading`` arrays, then parameters by position, by name or by default.

    ``check`` is asked about the parameters before anything is computed. ``at_defaults`` is a ufunc of the arrays alone; it
    computes float arrays when no parameter is given. (Others convert as with parameters, which take part in that.)
    """
    names = ("x",) if leading == 1 else ("grad", "x")
    defaults = tuple(p.default for p in parameters.values() if p.default is not p.empty)
    template = _PARAMETER_TEMPLATES[leading, len(parameters)]
    scope = {"ufunc": ufunc, "check": check, "NAME": name, "KEYWORDS": (*parameters, "out", *UFUNC_ARGUMENTS)}
    if at_defaults is not None:
        scope |= {"at_defaults": at_defaults, **dict(zip(("DEFAULT_P", "DEFAULT_Q"), defaults, strict=False))}
    return clone(template, scope, (*names, *parameters), (*defaults, None))


# What with_parameters() and _kernel_at_defaults() fill in for each clone of the templates below.
ufunc: Any = None
check: Any = None
NAME = ""
KEYWORDS: Sequence[str] = ()
at_defaults: Any = None
DEFAULT_P: Any = object()
DEFAULT_Q: Any = object()
formula: Any = None
p: Any = None
q: Any = None

FLOATS = "fd"
"""Type codes; a float16 operand would round the defaults to float16 first."""
NUMPYS_REALS = (np.floating, np.integer)


def _constant_p(x: Any) -> Any:
    T = type(x)
    return formula(x, T(p))


def _constant_p_q(x: Any) -> Any:
    T = type(x)
    return formula(x, T(p), T(q))


def weak(parameter: Any) -> Any:
    """A parameter as it takes part in NumPy's promotion: one of NumPy's real scalars as Python's, which never widens arrays."""
    return float(parameter) if isinstance(parameter, NUMPYS_REALS) else parameter


def _x_p(x: Any, p: Any, out: Any = None, **ufunc_arguments: Any) -> Any:
    if ufunc_arguments:
        refuse_unknown(NAME, ufunc_arguments, KEYWORDS)
    if p is DEFAULT_P and type(x) is np.ndarray and x.dtype.char in FLOATS:
        return at_defaults(x, out=out, **ufunc_arguments)
    if check is not None:
        check(p)
    if type(x) is not np.ndarray and is_tensor(x):
        return elementwise(ufunc, {"x": x, "p": weak(p)}, {"out": out, **ufunc_arguments})
    return ufunc(x, weak(p), out=out, **ufunc_arguments)


def _x_p_q(x: Any, p: Any, q: Any, out: Any = None, **ufunc_arguments: Any) -> Any:
    if ufunc_arguments:
        refuse_unknown(NAME, ufunc_arguments, KEYWORDS)
    if p is DEFAULT_P and q is DEFAULT_Q and type(x) is np.ndarray and x.dtype.char in FLOATS:
        return at_defaults(x, out=out, **ufunc_arguments)
    if check is not None:
        check(p, q)
    if type(x) is not np.ndarray and is_tensor(x):
        return elementwise(ufunc, {"x": x, "p": weak(p), "q": weak(q)}, {"out": out, **ufunc_arguments})
    if isinstance(q, np.ma.MaskedArray):
        x, p, q = at_one_shape(x, p, q)
    return ufunc(x, weak(p), weak(q), out=out, **ufunc_arguments)


def _grad_x_p(grad: Any, x: Any, p: Any, out: Any = None, **ufunc_arguments: Any) -> Any:
    if ufunc_arguments:
        refuse_unknown(NAME, ufunc_arguments, KEYWORDS)
    if p is DEFAULT_P and type(x) is np.ndarray and x.dtype.char in FLOATS:
        return at_defaults(grad, x, out=out, **ufunc_arguments)
    if check is not None:
        check(p)
    if not (type(grad) is type(x) is np.ndarray) and (is_tensor(grad) or is_tensor(x)):
        return elementwise(ufunc, {"grad": grad, "x": x, "p": weak(p)}, {"out": out, **ufunc_arguments})
    if isinstance(p, np.ma.MaskedArray):
        grad, x, p = at_one_shape(grad, x, p)
    return ufunc(grad, x, weak(p), out=out, **ufunc_arguments)


def _grad_x_p_q(grad: Any, x: Any, p: Any, q: Any, out: Any = None, **ufunc_arguments: Any) -> Any:
    if ufunc_arguments:
        refuse_unknown(NAME, ufunc_arguments, KEYWORDS)
    if p is DEFAULT_P and q is DEFAULT_Q and type(x) is np.ndarray and x.dtype.char in FLOATS:
        return at_defaults(grad, x, out=out, **ufunc_arguments)
    if check is not None:
        check(p, q)
    if not (type(grad) is type(x) is np.ndarray) and (is_tensor(grad) or is_tensor(x)):
        operands = {"grad": grad, "x": x, "p": weak(p), "q": weak(q)}
        return elementwise(ufunc, operands, {"out": out, **ufunc_arguments})
    if isinstance(p, np.ma.MaskedArray) or isinstance(q, np.ma.MaskedArray):
        grad, x, p, q = at_one_shape(grad, x, p, q)
    return ufunc(grad, x, weak(p), weak(q), out=out, **ufunc_arguments)


def _grad_a_b(grad: Any, a: Any, b: Any, /, *outs: Any, **ufunc_arguments: Any) -> Any:
    if type(grad) is type(a) is type(b) is np.ndarray and not (outs or ufunc_arguments):
        return ufunc(grad, a, b)
    if any(is_tensor(x) or holds_lazy(x) for x in (grad, a, b)):
        options = {**ufunc_arguments, "out": outs} if outs else ufunc_arguments
        return elementwise(ufunc, {"grad": grad, "a": a, "b": b}, options)
    return ufunc(*at_one_shape(grad, a, b), *outs, **ufunc_arguments)


_PARAMETER_TEMPLATES = {(1, 1): _x_p, (1, 2): _x_p_q, (2, 1): _grad_x_p, (2, 2): _grad_x_p_q}
"""By the number of arrays and of parameters."""


def docstring(op: Op, *, backward: bool) -> str:
    """The numpydoc docstring of a public function, from the record."""
    name = f"{op.name}_backward" if backward else op.name
    first, *parameters = op.operands
    shown = ", ".join([*(["grad"] if backward else []), first, *parameters])
    several = backward and op.gradients > 1 and not op.is_ufunc
    lines = [f"{name}({shown}, /, out=None{'' if several else ', **ufunc_arguments'})", ""]
    lines += [_backward_summary(op) if backward else op.summary, ""]
    lines += ["Parameters", "----------"]
    like = f"{first} * 0.5" if op.parameters else "np.exp(x)"
    if backward:
        lines += ["grad : array_like, any shape", "    Gradient with respect to the output of " + f"`{op.name}`."]
    lines += [
        f"{first} : array_like, any shape",
        f"    float16, float32 or float64; integers and booleans convert as for ``{like}``.",
    ]
    for parameter in op.parameters.values():
        default = "" if parameter.default is inspect.Parameter.empty else f", default {parameter.default!r}"
        kind = "array_like" if op.is_ufunc else "float or array_like"
        lines += [f"{parameter.name} : {kind}{default}", f"    Broadcasts against `{first}`."]
    for name_and_type, meaning in (op.extra_backward if backward else op.extra).items():
        lines += [name_and_type, f"    {meaning}"]
    if several:
        lines += [
            "out : tuple of ndarray or None, optional",
            "    Written to and returned, each of its operand's shape.",
        ]
    elif backward and op.gradients > 1:
        lines += [
            "out : tuple of ndarray, optional",
            f"    One for each result; may be `{first}` and `{parameters[0]}`.",
        ]
    else:
        lines += ["out : ndarray, optional", f"    Written to and returned; may be `{first}` itself."]
    if not several:
        lines += ["**ufunc_arguments"]
        lines += ["    ``where``, ``dtype``, ``casting``, ``order``, ``subok``: see `numpy.ufunc`."]
    lines += ["", "Returns", "-------", *_returns(op, backward=backward), ""]
    lines += ["Raises", "------", "TypeError", "    For complex, string and object arrays."]
    if op.check:
        lines += ["ValueError", "    If a parameter is out of range."]
    lines += ["", "Notes", "-----", f".. math:: {op.formula}", "", *_notes(op, backward=backward)]
    if op.paper:
        lines += ["", "References", "----------", op.paper]
    if not backward:
        lines += ["", "Examples", "--------", *_example(op)]
    return "\n".join(lines) + "\n"


def _backward_summary(op: Op) -> str:
    if op.is_ufunc and op.gradients > 1:
        return f"Gradients of `{op.name}`: ``grad`` times the derivative by each operand, in one pass."
    return f"Gradient of `{op.name}`: ``grad`` times the derivative at ``x``."


def _returns(op: Op, *, backward: bool) -> list[str]:
    if backward and op.gradients > 1:
        names = ", ".join(f"grad_{name}" for name in op.operands)
        shape = "the broadcast shape of the operands" if op.is_ufunc else "the shape of its operand"
        return [f"{names} : tuple of ndarray", f"    Each of {shape}."]
    nan = "an operand" if op.arrays > 1 else "`x`"
    return [
        "ndarray or scalar",
        f"    Of the broadcast shape of the operands and their dtype; NaN where {nan} is NaN.",
    ]


def _notes(op: Op, *, backward: bool) -> list[str]:
    limits = op.derivative_limits if backward else op.limits
    single, double = (op.promised_ulp(dtype, backward=backward) for dtype in ("float32", "float64"))
    where = ""
    if op.arrays > 1:
        values = ", ".join(f"``{name} = {value:g}``" for name, value in zip(op.parameters, op.samples[0], strict=True))
        where = f" in `{op.operands[0]}` for {values}"
    lines = [f"Limits{where}: " + ", ".join(f"{value:g} at {x:+g}" for x, value in limits.items()) + "."]
    if backward and op.kinks:
        lines += ["Derivative at kinks: " + ", ".join(f"{value:g} at {x:g}" for x, value in op.kinks.items()) + "."]
    measure = " of the derivative's largest term" if backward else ""
    lines += [f"Error: at most {single:g} units in the last place{measure} in float32, {double:g} in float64; float16"]
    lines += ["rounds the float32 result once. No floating-point warnings are raised."]
    lines += ["", *paragraph(op.properties, op.recorded_at)] if op.traits and not backward else []
    return [*lines, *(["", *op.notes.splitlines()] if op.notes else [])]


def _example(op: Op) -> list[str]:
    named = (name if not op.is_ufunc else "" for name in op.parameters if name not in op.defaults)
    arguments = "".join(f", {name}=1.0" if name else ", 1.0" for name in named)
    return [">>> import fastact as fa", f">>> bool(abs(fa.{op.name}(1.0{arguments})) < 10)", "True"]
