"""What an op is: one record that names it, computes it, documents it and says how it is tested.

``op_functions.py`` makes of it the records of its public functions, the value and the gradient, which ``op_calls.py`` builds. To
add an op is to write one block in a file of this folder; ``CONTRIBUTING.md`` shows one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fastact.functions.numpy_maths import numpy_maths
from fastact.functions.properties import NO_ACTIVATION, Properties, Traits, derive
from fastact.functions.record import Operand, Variant, X
from fastact.functions.shared import numpy_is_wide
from fastact.kinds.elementwise import Kernel
from fastact.kinds.reporting import ReportingKernel
from fastact.maths.scalar import scalar


@dataclass(frozen=True, eq=False, repr=False)
class FromOutput:
    """The derivative of an op as a function of its value, which a network that keeps outputs need not compute anew."""

    derivative: Callable[..., Any]
    """The scalar function: ``_name(output, *parameters)``."""
    reference: Callable[..., Any]
    """The same in plain NumPy, of ``m``, the output and the parameters."""
    formula: str
    """LaTeX, in which :math:`y` is the output."""
    accuracy: str
    """What is lost because the output has been rounded, for the docstring."""
    operand: Operand = X
    """What the output is like."""
    check: Callable[..., None] | None = None
    """As that of an ``Op``, in its place: of some parameters the output does not tell the derivative."""
    ulp: float = 2.0
    """The promised largest error, in units in the last place of the largest term, for the output that is given."""


@dataclass(frozen=True, eq=False, repr=False)
class StandIn:
    """For which of NumPy's ufuncs an op can stand in, and which floating-point exceptions its results mean."""

    name: str
    """The name in NumPy."""
    infinite: int = 0
    """What an infinite result of finite numbers means: ``OVER``, ``DIVIDE`` or, of two arrays, either."""
    tiny: int = 0
    """What a result below the least normal number, of numbers that are not 0, means: ``UNDER``, or nothing."""
    asks: bool = False
    """Whether such a result may mean it or not, so that NumPy's loop has to be asked, as it is of two arrays."""
    wide: bool = False
    """Whether NumPy's own loop of float64 is the quicker one, and as exact, where ``numpy_is_wide``."""


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
    completes: Callable[..., Any] | None = None
    """The scalar function of an operand that ``forward`` has left as it is, which then is larger than 2 as no other result is: of
    rare operands that take long. A second loop computes them, where there are any."""
    derivative: Callable[..., Any] | None = None
    """The scalar derivative with respect to `x`, or a tuple of derivatives; ``None`` if the op has no backward."""
    reference_derivative: Callable[..., Any] | None = None
    """The derivative in plain NumPy as a tuple of the terms that add up to it. The largest is what its error is measured by."""
    derivative_formula: str | Sequence[str] = ""
    """LaTeX of the derivative, or of one by each operand if the backward returns several."""
    derivative_limits: Mapping[float, float] = field(default_factory=dict)
    """The derivative at -inf and +inf, with default parameters."""
    kinks: Mapping[float, float] = field(default_factory=dict)
    """Points without a derivative, or with a jump in it, and the value chosen there, with default parameters."""
    from_output: FromOutput | None = None
    """The derivative by the op's value, where that tells it."""
    traits: Traits | None = None
    """What is stated of an activation's graph, from which its `properties` follow; ``None`` of what is no activation."""
    paper: str = ""
    """Where the op comes from."""
    known_as: Sequence[str] = ()
    """Names of the same function in other libraries, apart from underscores and capitals."""
    notes: str = ""
    """More for the docstring's notes."""
    shown_at: Sequence[float] = ()
    """Where the docstring's example shows it, if not where it shows others."""
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
    identity: float | None = None
    """Of an op of two arrays, what leaves the other as it is: to this NumPy's ``reduce`` reduces nothing."""
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
    stands_in: StandIn | None = None
    """For which ufunc of NumPy's it can stand in."""

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
    def weak(self) -> int:
        """The number of parameters that are no arrays."""
        return len(self.operands) - self.arrays

    @property
    def is_ufunc(self) -> bool:
        """Whether the public functions are the ufuncs themselves, those with several results aside."""
        return len(self.operands) == self.arrays

    @cached_property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """The operands after the first, by name."""
        return dict(list(inspect.signature(self.forward).parameters.items())[1:])

    @cached_property
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
    if (op.derivative is None) != (not op.derivative_formula):
        raise ValueError(f"{op.name}: give both derivative and derivative_formula, or neither")
    scalar(op.forward)
    if op.completes is not None:
        scalar(op.completes)
    if op.derivative is not None:
        scalar(op.derivative)
    if op.from_output is not None:
        scalar(op.from_output.derivative)
    OPS[op.name] = op
    return op


def kernels(op: Op) -> list[Kernel]:
    """The kernels behind an op's public functions."""
    return [forward_kernel(op)] + ([backward_kernel(op)] if op.derivative else [])


def forward_kernel(op: Op) -> Kernel:
    """The kernel of an op's value."""
    inputs = 1 + len(op.parameters)
    return Kernel(op.name, op.forward, inputs, cost=op.cost, completes=op.completes, parameters=op.weak)


def stand_in_kernel(op: Op) -> ReportingKernel:
    """The kernel of an op's value that raises the floating-point exceptions which NumPy's own would."""
    if op.stands_in is None:
        raise ValueError(f"{op.name} stands in for none of NumPy's")
    own = op.stands_in
    return ReportingKernel(
        f"numpy_{own.name}",
        op.forward,
        inputs=op.arrays,
        cost=1.3 * op.cost,
        completes=op.completes,
        infinite=own.infinite,
        tiny=own.tiny,
        asks=own.asks or op.arrays > 1,
        shared=frozenset({"float64"}) if own.wide and numpy_is_wide() else frozenset(),
    )


def backward_kernel(op: Op) -> Kernel:
    """The kernel of an op's gradient, or gradients."""
    if op.derivative is None:
        raise ValueError(f"{op.name} has no derivative")
    return Kernel(
        f"{op.name}_backward",
        op.derivative,
        inputs=2 + len(op.parameters),
        outputs=op.gradients,
        cost=1.2 * op.cost,
        times_gradient=True,
        parameters=op.weak,
    )


def reference_value(op: Op, x: Any, *given: Any, **named: Any) -> Any:
    """An op's value in plain NumPy; of the parameters those that are not given have their defaults."""
    return op.reference(numpy_maths, x, *_parameters(op, given, named), **named)


def reference_gradient(op: Op, grad: Any, x: Any, *given: Any, **named: Any) -> Any:
    """What an op's backward returns, in plain NumPy."""
    parameters = _parameters(op, given, named)
    if op.reference_backward is not None:
        return op.reference_backward(numpy_maths, grad, x, *parameters, **named)
    assert op.reference_derivative is not None
    by_x = grad * sum(op.reference_derivative(numpy_maths, x, *parameters, **named))
    if op.arrays == 1:
        return by_x
    return by_x, grad * op.reference(numpy_maths, x, 1.0)  # a gated unit is linear in its second array


def from_output_kernel(op: Op) -> Kernel:
    """The kernel of an op's gradient from its output."""
    if op.from_output is None:
        raise ValueError(f"the output of {op.name} does not tell its derivative")
    return Kernel(
        f"{op.name}_backward_from_output",
        op.from_output.derivative,
        inputs=2 + len(op.parameters),
        cost=0.6 * op.cost,
        times_gradient=True,
        parameters=op.weak,
    )


def reference_from_output(op: Op, grad: Any, output: Any, *given: Any, **named: Any) -> Any:
    """What an op's backward from its output returns, in plain NumPy."""
    assert op.from_output is not None
    return grad * op.from_output.reference(numpy_maths, output, *_parameters(op, given, named))


def _parameters(op: Op, given: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
    """The parameters in order, those taken out of ``named`` that are there, with the defaults of those that were not given."""
    missing = list(op.parameters)[len(given) :]
    return [*given, *(named.pop(name) if name in named else op.defaults[name] for name in missing)]
