"""The properties of activations, measured on the compiled functions: what a record states, and what is concluded from it.

``tools/check_properties.py`` measures the same over every float32.
"""

import math
from dataclasses import fields, replace

import numpy as np
import pytest

import fastact as fa
from fastact.functions.properties import NO_ACTIVATION, Interval, Properties, Traits, phrases
from tests import measured

INF = math.inf
ELEMENTARY = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "erf", "sinh", "cosh", "sin", "cos", "arctan", "cbrt"),
    *("logaddexp", "logaddexp2", "power", "hypot"),
)
SPECIAL = {"logit", "erfc", "ndtr", "log_ndtr", "entr", "xlogy", "xlog1py"}
SPECIAL |= {"rel_entr", "kl_div_terms", "huber_terms", "pseudo_huber"}
ACTIVATIONS = [op for op in fa.ops.values() if op.is_activation]

activations = pytest.mark.parametrize("op", ACTIVATIONS, ids=lambda op: op.name)


@pytest.fixture(scope="module")
def found():
    """``found(op)`` is what was measured of an activation, once."""
    kept = {}

    def measure(op):
        if op.name not in kept:
            kept[op.name] = measured.measure(op, measured.samples(op))
        return kept[op.name]

    return measure


def claiming(op, **changes):
    """A copy of a record, of which some properties are others."""
    copy = replace(op)
    vars(copy)["properties"] = replace(op.properties, **changes)
    return copy


def test_every_activation_states_its_traits_and_nothing_else_does(op):
    assert (op.traits is not None) == op.is_activation, (
        f"the record of {op.name} needs traits=, which say how it bends (an activation is a function of one array with a gradient)"
    )


def test_what_is_an_activation():
    others = {name for name, op in fa.ops.items() if not op.is_activation}
    assert others == {*ELEMENTARY, "swiglu", "geglu", "reglu"} | SPECIAL
    for name in others:
        assert fa.ops[name].properties is NO_ACTIVATION
    assert all(getattr(NO_ACTIVATION, field.name) is None for field in fields(Properties))


@activations
def test_properties_are_those_of_the_function(op, found):
    assert not measured.disagreements(op, found(op))


WRONG = {
    "range": ("sigmoid", Interval(0.0, 1.0, True, False)),
    "range, half open": ("relu", Interval(0.0, INF)),
    "range, too wide": ("selu", Interval(-1.8, INF)),
    "range, unbounded": ("relu6", Interval(0.0, INF, True)),
    "range, of a minimum": ("gelu", Interval(-0.17, INF, True)),
    "monotonic": ("silu", True),
    "monotonic after all": ("tanh", False),
    "saturates_left": ("leaky_relu", True),
    "saturates_right": ("tanh", False),
    "zero_centred": ("elu", True),
    "zero_centred after all": ("soft_shrink", False),
    "at_zero": ("softplus", 0.0),
    "slope_at_zero": ("relu", 1.0),
    "identity_near_zero": ("leaky_relu", True),
    "identity_near_zero after all": ("softsign", False),
    "dead": ("relu", ()),
    "dead, half open": ("relu6", (Interval(-INF, 0.0, False, False), Interval(6.0, INF, True))),
    "dead, too large": ("hard_shrink", (Interval(-0.75, 0.75, True, True),)),
    "dead, where it only underflows": ("sigmoid", (Interval(-INF, -104.0),)),
    "kinks": ("hard_swish", (-3.0,)),
    "kinks too many": ("elu", (0.0,)),
    "smoothness": ("threshold", 0),
    "smoothness of a kink": ("hard_tanh", 1),
    "lipschitz": ("mish", 1.0885),
    "lipschitz of a jump": ("hard_shrink", 1.0),
}
"""A property, and an op of which it is not so."""


@pytest.mark.parametrize(("name", "of", "value"), [(name, *wrong) for name, wrong in WRONG.items()], ids=list(WRONG))
def test_wrong_properties_are_found(name, of, value, found):
    op, (attribute, _, _) = fa.ops[of], name.replace(",", " ").partition(" ")
    assert getattr(op.properties, attribute) != value
    assert measured.disagreements(claiming(op, **{attribute: value}), found(op))


@pytest.mark.parametrize(
    ("of", "traits"),
    [
        ("gelu", Traits(turns=(-0.7518,), steepest=math.sqrt(2))),
        ("gelu", Traits(turns=(-0.7517915246935645,))),
        ("gelu", Traits(turns=(-0.7517915246935645,), steepest=1.42)),
        ("gelu", Traits(steepest=math.sqrt(2))),
        ("tanh", Traits(turns=(0.0,))),
        ("gelu", Traits(turns=(-0.7517915246935645, 1.0), steepest=math.sqrt(2))),
    ],
)
def test_wrong_traits_are_found(of, traits, found):
    assert measured.disagreements(replace(fa.ops[of], traits=traits), found(fa.ops[of]))


# How smooth a function is follows from difference quotients of its slope: neighbours differ by half as much at half the distance
# where the derivative is continuous, and as much as before where it jumps.

STEP, MOST, HALVED = 2.0**-5, 6, 0.75


def continuous_derivatives(case, backward):
    """How many derivatives are continuous, infinitely many if ``MOST`` are."""

    def largest_step(order, step):
        x = np.arange(-16, 16, step) + step / 3
        y = np.diff(backward.at(x), order - 1) / step ** (order - 1) if order else case.at(x)
        return np.abs(np.diff(y)).max()

    jumping = (k for k in range(MOST + 1) if largest_step(k, STEP / 2) > HALVED * largest_step(k, STEP))
    return next(jumping, INF) - 1


@activations
def test_smoothness(op, cases):
    assert op.properties.smoothness == continuous_derivatives(cases[op.name], cases[f"{op.name}_backward"])


@activations
def test_learnt_parameters_are_those_with_a_gradient(op, cases):
    assert op.properties.learnt_parameters == cases[f"{op.name}_backward"].ufunc.nout - 1


# If each unit's weights sum to 0 and their squares to 1, sums over many outputs of variance v have mean 0 and variance v.

Z = np.linspace(-12, 12, 6145)
DENSITY = np.exp(-(Z**2) / 2) / math.sqrt(2 * math.pi) * (Z[1] - Z[0])
LAYERS = 400


def after_layers(case, variance):
    """The mean and variance of outputs in the end, of wide layers on top of each other."""
    for _ in range(LAYERS):
        y = case.at(Z * math.sqrt(variance))
        mean = float(DENSITY @ y)
        variance = float(DENSITY @ (y - mean) ** 2)
    return mean, variance


@activations
def test_fixed_points(op, cases):
    """Where deep layers forget the size of their signal and do not lose it, they have come to a fixed point."""
    from_small, from_large = (after_layers(cases[op.name], variance) for variance in (0.5, 2.0))
    forgotten = np.allclose(from_small, from_large, rtol=0, atol=1e-6)
    settled = from_small if forgotten and from_small[1] > 0.01 else None
    assert (settled is None) == (op.properties.fixed_point is None), (from_small, from_large)
    if settled is not None:
        np.testing.assert_allclose(settled, op.properties.fixed_point, atol=1e-5)


def test_ops_are_filtered_by_properties():
    assert [name for name, op in fa.ops.items() if op.properties.fixed_point == (0, 1)] == ["selu"]
    monotonic = {name for name, op in fa.ops.items() if op.properties.monotonic}
    bending = {"silu", "quick_gelu", "gelu", "gelu_tanh", "mish", "hard_swish"}
    assert monotonic == {op.name for op in ACTIVATIONS} - bending
    zero_centred = {"hard_tanh", "soft_shrink", "hard_shrink", "tanh", "tanh_shrink", "softsign"}
    assert {name for name, op in fa.ops.items() if op.properties.zero_centred} == zero_centred


@pytest.mark.parametrize(
    ("interval", "shown", "inside", "outside"),
    [
        (Interval(0.0, INF, True), "[0, inf)", (0.0, 1e300), (-1e-300, INF, math.nan)),
        (Interval(-1.0, 1.0), "(-1, 1)", (0.0,), (-1.0, 1.0)),
        (Interval(-INF, 0.5, False, True), "(-inf, 0.5]", (0.5, -1e300), (0.6, -INF)),
    ],
)
def test_intervals(interval, shown, inside, outside):
    assert str(interval) == shown
    assert all(x in interval for x in inside)
    assert not any(x in interval for x in outside)


@activations
def test_help_names_every_property(op):
    said = " ".join(getattr(fa, op.name).__doc__.split())
    assert all(phrase in said for phrase in phrases(op.properties))
    assert "Properties" not in getattr(fa, f"{op.name}_backward").__doc__


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "relu",
            "Properties: range [0, inf); monotonic; saturates at -inf; not zero-centred; 0 at 0 with slope 0; dead on",
        ),
        ("threshold", "Properties at threshold = 0.5 and value = -1: range [-1, inf) with gaps; monotonic;"),
        ("tanh", "zero-centred; 0 at 0 with slope 1, near the identity; dead nowhere; no kinks; C-infinity; Lipschitz"),
        ("selu", "learnt parameters: 0; normalises itself to mean 0 and variance 1."),
        (
            "hard_shrink",
            "saturates nowhere; zero-centred; 0 at 0 with slope 0; dead on [-0.5, 0.5]; kinks at -0.5 and 0.5;",
        ),
    ],
)
def test_words_of_help(name, said):
    assert said in " ".join(getattr(fa, name).__doc__.split())
    assert "Properties" not in fa.exp.__doc__
