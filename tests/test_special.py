"""NaN, infinities, zeros, subnormals and the largest numbers, at every position of short arrays; no warnings."""

import numpy as np
import pytest

LENGTHS = range(1, 71)


def spread(x, size):
    """``size`` copies of ``x`` as rows that NumPy hands to the inner loop one by one, each contiguous."""
    return np.repeat(np.append(x, x[:1])[None], size, axis=0)[:, :-1]


def first(results):
    return results[0] if isinstance(results, tuple) else results


def special_values(dtype):
    info = np.finfo(dtype)
    small = [info.smallest_subnormal, 5 * info.smallest_subnormal, info.tiny / 2, info.tiny, 3 * info.tiny]
    large = [info.max, info.max / 2, np.sqrt(info.max)]
    exponents = 2.0 ** np.arange(-14, 15)
    magnitudes = np.array([0.0, *small, *exponents, *large], dtype=dtype)
    return np.concatenate([magnitudes, -magnitudes])


def test_nan_stays_at_its_position(case, dtype, same_bits):
    operands = case.operands(max(LENGTHS), dtype)
    if np.isnan(case.op.limits[-np.inf]):
        operands[0] = abs(operands[0])
    for length in LENGTHS:
        clean = [o[:length] for o in operands]
        expected = np.asarray(first(case.ufunc(*clean)))
        for place in range(1 + case.backward):
            rows = [spread(o, length) for o in clean]
            np.fill_diagonal(rows[place], np.nan)
            got = np.asarray(first(case.ufunc(*rows)))
            assert np.isnan(np.diagonal(got)).all(), f"operand {place}, length {length}: NaN in must give NaN out"
            with_nan = np.tile(expected, (length, 1))
            np.fill_diagonal(with_nan, np.nan)
            same_bits(got, with_nan, f"operand {place}, length {length}: a NaN changes its neighbours")


def test_infinities_give_the_recorded_limits(case, dtype, same_bits):
    limits = case.op.derivative_limits if case.backward else case.op.limits
    assert set(limits) == {-np.inf, np.inf}, "the record must name the limits at both infinities"
    tolerance = 2 * float(np.finfo(dtype).eps)
    for length in LENGTHS:
        x = np.linspace(0.25, 3, length).astype(dtype)
        expected = case.at(x)
        for infinity, limit in limits.items():
            rows = spread(x, length)
            np.fill_diagonal(rows, infinity)
            got = case.at(rows)
            np.testing.assert_allclose(np.diagonal(got), limit, rtol=tolerance, err_msg=f"{infinity}, length {length}")
            off = ~np.eye(length, dtype=bool)
            same_bits(got[off], np.tile(expected, (length, 1))[off], "an infinity changes its neighbours")


def test_limits_with_a_gradient_of_zero_or_infinity_are_products(differentiable, dtype, cases):
    case = cases[f"{differentiable.name}_backward"]
    for x in (-np.inf, np.inf, -2.0, 2.0):
        x = np.full(20, x, dtype)
        derivative = case.at(x)
        for grad in (0.0, np.inf, -np.inf):
            with np.errstate(invalid="ignore"):
                expected = np.asarray(grad, dtype) * derivative
            np.testing.assert_array_equal(case.at(x, grad=np.full_like(x, grad)), expected)


def test_extreme_values_match_the_reference(case, dtype, close):
    x = special_values(dtype)
    close(case, case.at(x), x, case.parameters(dtype))


def test_zeros_keep_the_sign_of_smooth_functions(case, dtype):
    if case.backward or case.op.kinks:
        return  # at kinks and for derivatives the sign of a zero means nothing
    zeros = np.array([0.0, -0.0] * 20, dtype)
    with np.errstate(all="ignore"):
        expected = case.terms(zeros, case.parameters(dtype))[0]
    if (expected == 0).all() and np.signbit(expected)[1] != np.signbit(expected)[0]:
        np.testing.assert_array_equal(np.signbit(case.at(zeros)), np.signbit(expected), "the sign of a zero")


def test_subnormals_are_not_flushed(case, dtype):
    """Where an op is proportional to x near zero, a subnormal in gives a subnormal out."""
    info = np.finfo(dtype)
    x = np.array([info.smallest_subnormal * 64, info.tiny / 2, -info.smallest_subnormal * 64] * 13, dtype)
    (expected,) = case.terms(x, case.parameters(dtype)) if not case.backward else (None,)
    if expected is not None and np.all(abs(expected) > abs(x) / 1000) and np.all(abs(expected) < 2 * abs(x)):
        assert (case.at(x) != 0).all()


@pytest.mark.parametrize("layout", ["contiguous", "strided"])
def test_nothing_is_raised(case, dtype, layout):
    x = np.concatenate([special_values(dtype), np.array([np.nan, np.inf, -np.inf] * 7, dtype)])
    if layout == "strided":
        x = np.repeat(x, 2)[::2]
    ones = [np.ones_like(x)] * case.backward
    parameters = [np.full_like(x, p) for p in case.parameters(dtype)]
    with np.errstate(all="raise"):
        case.ufunc(*ones, x, *parameters)
        for i in range(x.size):
            case.ufunc(*[o[i : i + 1 + i % 40] for o in (*ones, x, *parameters)])


def test_flags_raised_before_a_call_do_not_surface(cases):
    with np.errstate(all="raise"):
        for _ in range(20):
            with np.errstate(all="ignore"):
                np.float32(1e38) * np.float32(1e38)
                np.array([1.0]) / np.array([0.0])
            for case in list(cases.values())[:6]:
                case.at(np.ones(3, np.float32))
