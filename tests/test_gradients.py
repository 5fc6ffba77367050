"""Derivatives against differences of the values, at kinks and at infinity."""

import inspect

import numpy as np
import pytest

from fastact import reference
from fastact.functions.record import INTEGERS, Variant, drawn
from tests.calls import RECORDS, as_tuple

STEP = 2.0**-9


def smooth_points(op, sample):
    """Points further than two steps from anything but a smooth function."""
    x = np.linspace(-8, 8, 1201) + 1 / 3000
    corners = [0.0, *op.kinks]
    near = np.any([abs(x - corner) < 3 * STEP for corner in corners], axis=0)
    derivative = [sum(reference.derivative_terms(op.name, x + d, *sample)) for d in (-3 * STEP, 3 * STEP)]
    return x[~near & (abs(derivative[1] - derivative[0]) < 0.04)]


def central_difference(f, at):
    """The derivative of ``f``, with an error of the fourth order in the step."""
    return (8 * (f(at + STEP) - f(at - STEP)) - (f(at + 2 * STEP) - f(at - 2 * STEP))) / (12 * STEP)


def test_derivative_matches_differences(differentiable, cases):
    op = differentiable
    forward, backward = cases[op.name], cases[f"{op.name}_backward"]
    for sample in op.samples:
        x = smooth_points(op, sample)
        assert x.size > 900, "choose samples with fewer kinks"
        got = backward.at(x, sample)
        expected = central_difference(lambda x, sample=sample: forward.at(x, sample), x)
        np.testing.assert_allclose(got, expected, rtol=2e-8, atol=2e-8, err_msg=f"{op.name}{sample}")


def test_derivatives_by_parameters_match_differences(differentiable, cases):
    op = differentiable
    forward, backward = cases[op.name].ufunc, cases[f"{op.name}_backward"].ufunc
    assert backward.nout == op.gradients
    for sample in op.samples[: (op.gradients > 1) * len(op.samples)]:
        x = smooth_points(op, sample)
        got = backward(1.0, x, *sample)
        for i in range(1, op.gradients):

            def f(p, i=i, sample=sample, x=x):
                return forward(x, *sample[: i - 1], p, *sample[i:])

            np.testing.assert_allclose(got[i], central_difference(f, sample[i - 1]), rtol=2e-8, atol=2e-8)


def test_derivative_at_kinks_is_the_recorded_one(differentiable, dtype, cases):
    case = cases[f"{differentiable.name}_backward"]
    tolerance = 2 * float(np.finfo(dtype).eps)
    for kink, value in differentiable.kinks.items():
        got = case.at(np.full(40, kink, dtype))
        np.testing.assert_allclose(got, value, rtol=tolerance, err_msg=f"{case.name} at {kink}")
        if kink == 0:
            np.testing.assert_array_equal(case.at(np.full(40, -0.0, dtype)), got, err_msg=f"{case.name} at -0.0")


def test_derivative_at_infinity_is_the_recorded_one(differentiable, dtype, cases):
    case = cases[f"{differentiable.name}_backward"]
    tolerance = 2 * float(np.finfo(dtype).eps)
    assert set(differentiable.derivative_limits) == {-np.inf, np.inf}, "derivative_limits must name both infinities"
    for x, limit in differentiable.derivative_limits.items():
        for length in (1, 40):
            np.testing.assert_allclose(case.at(np.full(length, x, dtype)), limit, rtol=tolerance)


def test_a_zero_gradient_gives_zero(differentiable, dtype, cases):
    case = cases[f"{differentiable.name}_backward"]
    x = case.operands(200, dtype)[1]
    np.testing.assert_array_equal(case.at(x, grad=np.zeros_like(x)), np.zeros_like(x))


GIVEN = {
    "output": lambda value, x, options: value.reference(x, **options),
    "which": lambda value, x, options: RECORDS["maxout_with_index"].reference(x, **options)[1],
}
"""What the gradients of some functions are given instead of what the functions were."""
SMALL_STEP = 2.0**-17
ELSEWHERE = {
    "embedding_backward",
    "dropout_backward",
    "alpha_dropout_backward",
    "softmax_dropout_backward",
    "bias_activation_backward",
}
"""Gradients of what NumPy computes itself, of what is drawn, and of what is an activation: tests of their own compare them."""


def value_of(name):
    """The function whose gradient one is, if it is one of the table's."""
    stem = name.removesuffix("_backward").removesuffix("_with_grad")
    return RECORDS[stem] if stem != name and name not in ELSEWHERE else None


def parameters(record):
    """The names of its arguments."""
    return [] if isinstance(record.function, np.ufunc) else list(inspect.signature(record.function).parameters)


WITH_GRADIENT = [
    (name, variant)
    for name, record in RECORDS.items()
    if value_of(name)
    for variant in record.variants
    if set(variant.options) <= {*parameters(value_of(name)), "return_lse", "return_argmax"}
]


@pytest.mark.parametrize(("name", "variant"), WITH_GRADIENT, ids=str)
def test_every_gradient_matches_differences_of_the_value(name, variant):
    """In a random direction of each operand, in which the reference's sum, times a gradient from behind, changes so much."""
    record, value, rng = RECORDS[name], value_of(name), np.random.default_rng(0)
    with_value = name.endswith("_with_grad")
    alike = next((other for other in value.variants if other.options == variant.options), Variant())
    kinds = (variant if with_value else alike).operands or value.operands
    for axis in (-1, 0) if record.axis else (-1,):
        (behind, *_), options = record.arguments(variant, drawn(rng, scale=1), (3, 4), np.float32, axis)
        given = [kind.array(drawn(rng, scale=1), (3, 4), axis % 2, np.float32) for kind in kinds]
        operands = [x.astype(np.float64) if x.dtype.kind == "f" else x for x in given]
        of_value = {option: x for option, x in options.items() if not option.startswith("return_")}

        def total(operands, factor, options=of_value):
            """The sum of what the reference gives, times a factor, but for what a mask makes infinite."""
            with np.errstate(invalid="ignore"):
                found = value.reference(*operands, **options)
            return np.sum(factor * np.where(np.isinf(found), 0.0, found))

        if with_value:
            factor, gradients = 1.0, record.function(*given, **options)[1:]
        else:
            second = next((x for x in parameters(record) if x in GIVEN), None)
            if second:
                with np.errstate(invalid="ignore"):  # of rows that a mask hides
                    saved = GIVEN[second](value, operands[0], of_value)
                given = [saved.astype(np.float32) if saved.dtype.kind == "f" else saved]
            given = given[: len(record.operands if variant.operands is None else variant.operands) - 1]
            factor, gradients = np.float64(behind), as_tuple(record.function(behind, *given, **options))
        floats = [i for i, kind in enumerate(kinds) if kind.kind not in INTEGERS]
        for i, gradient in zip(floats if len(gradients) > 1 else floats[:1], gradients, strict=False):
            assert gradient.shape == operands[i].shape
            direction = rng.normal(size=operands[i].shape)
            moved = [
                [*operands[:i], operands[i] + d * direction, *operands[i + 1 :]] for d in (-SMALL_STEP, SMALL_STEP)
            ]
            low, high = (total(place, factor) for place in moved)
            slope, scale = np.sum(gradient * direction), np.sum(abs(gradient * direction))
            assert abs((high - low) / (2 * SMALL_STEP) - slope) <= 1e-6 * (1 + scale), f"by operand {i}, axis {axis}"


def test_every_gradient_is_one_of_a_function():
    """By its name; and each of these is compared above."""
    named = {name for name in RECORDS if name.endswith(("_backward", "_with_grad"))}
    assert {name for name, _ in WITH_GRADIENT} | ELSEWHERE == named
