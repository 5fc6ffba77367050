"""Entropies and distillation: what is impossible, halves that are cooled, and gradients over what is still to be read."""

import numpy as np
import pytest

import fastact as fa
from fastact.functions.distillation import BLOCK_ELEMENTS


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_impossible_adds_nothing(dtype):
    p = np.zeros((3, 70), dtype)
    p[0, 5] = p[1, 69] = 1
    p[2, [0, 3, 66, 69]] = 0.25
    np.testing.assert_allclose(fa.entropy(p), [0, 0, np.log(4)], rtol=2 * float(np.finfo(dtype).eps), atol=0)


def test_halves_are_cooled_in_float32():
    """By a temperature whose quotients halves have no room for."""
    rng = np.random.default_rng(0)
    x, teacher = (8 * rng.normal(size=(2, 50, 7))).astype("float16")
    for temperature in (3.0, 0.7):
        options = {"temperature": temperature, "reduction": "none", "dtype": "float32"}
        loss, grad = fa.distillation_loss_with_grad(x, teacher, **options)
        wide, slope = fa.distillation_loss_with_grad(x.astype("float32"), teacher.astype("float32"), **options)
        np.testing.assert_array_equal(loss, wide)
        np.testing.assert_array_equal(grad, slope.astype("float16"))


def test_a_gradient_over_other_rows_than_its_own(same_bits):
    """Of more rows than are computed at a time."""
    rows, classes = 3 * BLOCK_ELEMENTS // 100, 100
    x, teacher = np.random.default_rng(0).normal(size=(2, rows, classes)).astype("float32")
    expected = fa.distillation_loss_with_grad(x, teacher)
    for which in (0, 1):
        buffer = np.empty((rows + 7, classes), np.float32)
        given, out = [x, teacher], buffer[7:]
        given[which] = buffer[:rows]
        given[which][...] = (x, teacher)[which]
        got = fa.distillation_loss_with_grad(*given, out=out)
        assert got[1] is out
        same_bits(got, expected, f"over operand {which}")
        given[which] = buffer[rows - 1 :: -1]
        given[which][...] = (x, teacher)[which]
        same_bits(fa.distillation_loss_with_grad(*given, out=buffer[:rows]), expected, f"upside down over {which}")
