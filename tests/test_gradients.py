"""Derivatives against differences of the values, at kinks and at infinity."""

import numpy as np

from fastact import reference

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
