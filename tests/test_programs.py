"""Programs of passes: any number of operands, sums and results give the same bits in every layout, as do sums over rows."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastact.calls.column_sums import LEAST_ROWS, column_sums
from fastact.calls.long_rows import along
from fastact.calls.row_ufuncs import row_ufunc
from fastact.kernels.dtypes import DTYPES
from fastact.kinds.column_sums import ColumnSumsKernel
from fastact.kinds.rows import Largest, Once, RowKernel, Sum
from fastact.maths.scalar import Product
from fastact.maths.simd import select, sqrt, widen

EPS = 1e-5
SHAPES = ((1, 1), (3, 100), (9, 7), (40, 100), (9, 1500), (2, 66_000))
"""A row alone, rows along which is walked, short ones, blocks of columns, several chunks, several segments."""


def _element(x):
    return x


def _mean(total, n):
    return total / n


def _mean_rest(total, n, mean):
    return total / n - widen(mean)


def _square(x, mean, mean_rest):
    distance = (x - mean) - mean_rest
    return distance * distance


def _scale(squares, n, eps):
    return 1.0 / sqrt(squares / n + eps)


def _normed(x, weight, bias, mean, mean_rest, scale):
    return ((x - mean) - mean_rest) * scale * weight + bias


STATISTICS = [
    Sum("total", _element, wide=True),
    Once("mean", _mean),
    Once("mean_rest", _mean_rest),
    Sum("squares", _square),
    Once("scale", _scale),
]


def layer_norm():
    """Stands for the public function that the kernel belongs to."""


NORM = RowKernel(
    "tests.layer_norm",
    STATISTICS,
    _normed,
    gives="mean scale",
    gives_wide=True,
    operands="x weight bias",
    option_names="eps",
)


def _hatted(x, mean, mean_rest, scale):
    return ((x - mean) - mean_rest) * scale


def _weighted(grad, weight):
    return grad * weight


def _gradient(grad, x, weight, mean, mean_rest, scale, weighted, projected, n):
    hat = ((x - mean) - mean_rest) * scale
    T = type(x)
    return (grad * weight - T(weighted / n) - hat * T(projected / n)) * scale


def layer_norm_backward():
    """As ``layer_norm``."""


BACKWARD = RowKernel(
    "tests.layer_norm_backward",
    [*STATISTICS, Sum("weighted projected", [_weighted, Product(_hatted, "grad weight")])],
    [_gradient, _hatted],
    row_results=2,
    operands="grad x weight",
    option_names="eps",
)


@pytest.fixture(scope="module")
def ufuncs():
    return row_ufunc(NORM, layer_norm), row_ufunc(BACKWARD, layer_norm_backward)


def operands(shape, dtype, offset=0.0, spread=1.0):
    rng = np.random.default_rng(shape[0])
    x = (offset + spread * rng.normal(size=shape)).astype(dtype)
    weight, bias = (rng.normal(size=shape[1]).astype(dtype) for _ in range(2))
    return x, weight, bias


def expected_norm(x, weight, bias):
    x, weight, bias = (a.astype(np.float64) for a in (x, weight, bias))
    mean = x.mean(axis=1, keepdims=True)
    scale = 1 / np.sqrt(((x - mean) ** 2).mean(axis=1, keepdims=True) + EPS)
    return (x - mean) * scale * weight + bias, mean[:, 0], scale[:, 0]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_values_of_a_program_with_two_sums(ufuncs, dtype, shape):
    x, weight, bias = operands(shape, dtype)
    got = ufuncs[0](x, weight, bias, [EPS])
    eps = float(np.finfo(dtype).eps)
    for result, expected in zip(got, expected_norm(x, weight, bias), strict=True):
        np.testing.assert_allclose(result, expected, rtol=8 * eps, atol=16 * eps)
    assert [result.dtype for result in got] == [dtype, "float64", "float64"]


def test_a_mean_far_from_zero_costs_no_digits(ufuncs):
    """A sum of terms in single floats would be wrong by more than the rows' deviation."""
    x, weight, bias = operands((9, 1500), np.float32, offset=1e4, spread=1e-2)
    got, expected = ufuncs[0](x, weight, bias, [EPS])[0], expected_norm(x, weight, bias)[0]
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["float32"])
def test_the_bits_do_not_depend_on_the_layout(ufuncs, same_bits, dtype, shape):
    x, weight, bias = operands(shape, dtype)
    grad = operands((shape[0], shape[1]), dtype)[0][::-1]
    for ufunc, arrays, shared in ((ufuncs[0], (x,), (weight, bias)), (ufuncs[1], (grad, x), (weight,))):
        expected = ufunc(*arrays, *shared, [EPS])
        turned = [np.asfortranarray(a) for a in arrays]
        apart = [np.repeat(a, 2, axis=1)[:, ::2] for a in arrays]
        same_bits(ufunc(*turned, *shared, [EPS]), expected, "Fortran order")
        same_bits(ufunc(*apart, *shared, [EPS]), expected, "strided")
        out = [np.full(shape[::-1], 7, dtype).T, np.full(shape[::-1], 7, dtype).T]
        outs = tuple(out[: sum(r.ndim == 2 for r in expected)])
        outs += (None,) * (len(expected) - len(outs))
        same_bits(ufunc(*arrays, *shared, [EPS], out=outs), expected, "Fortran results")
        one = ufunc(*(a[0] for a in arrays), *shared, [EPS])
        same_bits(one, tuple(r[0] for r in expected), "a row alone")


def test_two_sums_and_two_rows(ufuncs):
    x, weight, _ = operands((40, 100), np.float64)
    grad = operands((40, 100), np.float64, spread=0.5)[0][::-1]
    got, hat = ufuncs[1](grad, x, weight, [EPS])
    mean = x.mean(axis=1, keepdims=True)
    scale = 1 / np.sqrt(x.var(axis=1, keepdims=True) + EPS)
    np.testing.assert_allclose(hat, (x - mean) * scale, rtol=1e-12, atol=1e-12)
    g = grad * weight
    expected = (g - g.mean(axis=1, keepdims=True) - hat * (g * hat).mean(axis=1, keepdims=True)) * scale
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)


def _is_top(x, top):
    T = type(x)
    return select(x == top, T(1), T(0))


def _below(x, top, count):
    return (top - x) * type(x)(count)


def below_top():
    """How far elements are below the largest of their row, times how many are as large."""


@pytest.fixture(scope="module")
def below():
    kernel = RowKernel("tests.below_top", [Largest("top"), Sum("count", _is_top)], _below)
    return row_ufunc(kernel, below_top)


@pytest.mark.parametrize("shape", [*SHAPES, (1, 2**19 + 77)], ids=str)
def test_the_largest_of_a_row(below, threads, same_bits, shape):
    """Wherever it is, NaN is passed over, in every layout and in the segments of a long row."""
    threads(2)
    rng = np.random.default_rng(1)
    x = -rng.integers(1, 9, shape).astype("float32")
    for place in {0, shape[1] // 2, shape[1] - 1}:
        row = x.copy()
        row[:, shape[1] // 3] = 3 if place else np.nan
        row[:, place] = 3
        top = np.nanmax(row, axis=1, keepdims=True)
        expected = (top - row) * np.sum(row == top, axis=1, keepdims=True)
        same_bits(along(below, [row], -1, None, {}), expected.astype("float32"), "rows")
        same_bits(below(np.asfortranarray(row)), expected.astype("float32"), "columns")


def test_results_may_take_an_operands_memory(ufuncs, same_bits):
    x, weight, bias = operands((40, 100), np.float32)
    expected = ufuncs[0](x, weight, bias, [EPS])
    same_bits(ufuncs[0](x, weight, bias, [EPS], out=(x, None, None)), expected, "in place")


def _weighed(grad, x, mean, scale):
    return grad * ((x - type(x)(mean)) * type(x)(scale)), grad


WEIGHT_AND_BIAS = ColumnSumsKernel("tests.weight_and_bias", "weight bias", _weighed, "grad x", "mean scale")


@pytest.mark.parametrize(
    "shape", [(1, 1), (0, 3), (3, 0), (LEAST_ROWS, 3), (5, 1030), (20_000, 7), (700, 300)], ids=str
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_over_rows(threads, same_bits, dtype, shape):
    rng = np.random.default_rng(1)
    x, grad = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    mean, scale = rng.normal(size=shape[0]), rng.random(shape[0]) + 0.5
    got = column_sums(WEIGHT_AND_BIAS, (grad, x), (mean, scale))
    wide = x.astype(np.float64), grad.astype(np.float64)
    terms = wide[1] * (wide[0] - mean[:, None]) * scale[:, None]
    eps = float(np.finfo("float64" if dtype == "float64" else "float32").eps)
    allowed = 4 * eps * (np.abs(terms) + np.abs(wide[1] * mean[:, None] * scale[:, None])).sum(axis=0)
    assert (np.abs(got[0] - terms.sum(axis=0)) <= allowed).all()
    np.testing.assert_allclose(got[1], wide[1].sum(axis=0), rtol=1e-12, atol=1e-12)
    assert got[0].dtype == got[1].dtype == np.float64
    for number in (1, 2, 5):
        with threads(number):
            same_bits(column_sums(WEIGHT_AND_BIAS, (grad, x), (mean, scale)), got, f"{number} threads")
    turned = column_sums(WEIGHT_AND_BIAS, tuple(map(np.asfortranarray, (grad, x))), (mean, scale))
    same_bits(turned, got, "Fortran order")


def test_a_million_rows_of_one_sign_lose_nothing():
    """Single floats would stop growing at 2**24."""
    ones = np.broadcast_to(np.float32(1), (2**24 + 9, 2))
    _, bias = column_sums(WEIGHT_AND_BIAS, (ones, ones), (np.zeros(len(ones)), np.ones(len(ones))))
    assert bias.tolist() == [2**24 + 9] * 2


def test_a_formula_of_something_unknown_is_refused():
    with pytest.raises(ValueError, match="bias"):
        ColumnSumsKernel("wrong", "sums", lambda x, bias: x + bias, "x")


def test_the_worked_example_passes_the_tables_of_tests():
    """One block makes a function over rows: tests of values, layouts, containers, errors and so on find it by themselves."""
    tables = ["table", "api", "rows", "containers", "errors", "overlap", "warnings", "promises"]
    files = [str(Path(__file__).parent / f"test_{name}.py") for name in tables]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.scaled_norm", "-p", "no:cacheprovider", "-k"]
    done = subprocess.run(
        [*command, "scaled_norm", *files], cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 40
