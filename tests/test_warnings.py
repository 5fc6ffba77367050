"""No function raises a floating-point warning, whatever it is given and whatever ``np.errstate`` says."""

import numpy as np
import pytest

import fastact as fa
from tests.calls import CALLS

INF = np.inf


def extremes(dtype):
    """Sets of values that operands are filled with, by what they bring about."""
    info = np.finfo(dtype)
    large, tiny, smallest = float(info.max), float(info.tiny), float(info.smallest_subnormal)
    return {
        "sums that overflow": [large],
        "differences of large numbers": [large, -large, 1],
        "infinities of both signs": [INF, -INF, 1],
        "products of infinity and zero": [INF, 0, -1],
        "subnormals": [tiny, -smallest, tiny / 2],
        "everything": [INF, -INF, np.nan, large, -large, tiny, -smallest, 0, 1, -2],
    }


def filled(operand, kind, dtype, values):
    """An operand of floats with these values in place of its own; any other as it is, and one that may not hold them."""
    if not isinstance(operand, np.ndarray) or operand.dtype.kind != "f" or kind == "probabilities":
        return operand
    return np.resize(np.array(values, dtype), operand.shape)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_nothing_is_raised(call, dtype):
    for name, values in extremes(dtype).items():
        kinds, options = call.kinds
        arrays = [filled(x, kind, dtype, values) for x, kind in zip(call.arrays, kinds, strict=True)]
        options = {name: filled(x, options.get(name), dtype, values[::-1]) for name, x in call.options.items()}
        with np.errstate(all="raise"):
            try:
                getattr(fa, call.name)(*arrays, **options)
            except FloatingPointError as error:
                raise AssertionError(f"{name}: {error}") from error


LOGITS = np.ma.array(np.float32([[1e-38, 1, 2], [3, 4, 5]]), mask=[[0, 0, 1], [0, 0, 0]])
HALF = np.full(3, 6e-8, np.float16)
OTHERS = {
    "a loss that is too large": lambda: fa.cross_entropy(np.array([[1.7e308, 0]] * 2), [1, 1]),
    "losses of both infinities": lambda: fa.cross_entropy(
        np.array([[0, -INF], [-INF, 0.0]]), [1, 0], weight=[1, -1], reduction="sum"
    ),
    "weights whose sum is too large": lambda: fa.cross_entropy_with_grad(np.zeros((2, 2)), [1, 1], weight=[1e308] * 2),
    "logits that are too large": lambda: fa.linear_cross_entropy(
        np.full((2, 2), 1e30, "f"), np.float32([[1e30, 1], [1, 1]]), [0, 1]
    ),
    "a bias of the other infinity": lambda: fa.linear_cross_entropy_with_grad(
        np.full((2, 1), INF), np.ones((2, 1)), [0, 1], bias=np.full(2, -INF)
    ),
    "a layer of tiny numbers": lambda: fa.linear_cross_entropy_with_grad(
        np.full((2, 2), 1e-30, "f"), np.full((2, 2), 1e-30, "f"), [0, 1]
    ),
    "a gradient of infinities": lambda: fa.prelu_backward(np.array([INF, -INF]), -np.ones(2), 0.1),
    "a gradient that is too large": lambda: fa.prelu_backward(np.full(2, 1e308), -np.ones(2), 0.1),
    "a gradient of tiny halves": lambda: fa.prelu_backward(HALF, -HALF, np.float16(0.1)),
    "slopes that are too large": lambda: fa.rrelu(-np.ones(2, "f"), training=True, lower=1e38, upper=1e39),
    "slopes without a bound": lambda: fa.rrelu(-np.ones(2, "f"), training=True, lower=-INF),
    "a number too large for halves": lambda: fa.softmax_backward(1e300, HALF),
    "a number too large for halves of halves": lambda: fa.glu_backward(1e300, np.ones(4, np.float16)),
    "masked logits, smoothed": lambda: fa.cross_entropy_with_grad(LOGITS, [0, 1], label_smoothing=1e-40),
    "masked logits, tiny weights": lambda: fa.cross_entropy_with_grad(LOGITS, [0, 1], weight=[1e-310] * 3),
}


@pytest.mark.parametrize("case", OTHERS)
def test_nothing_is_raised_by_what_several_operands_add_up_to(case):
    with np.errstate(all="raise"):
        OTHERS[case]()


@pytest.mark.parametrize("value", [1.7e308, INF, 1e-310], ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_nothing_is_raised_by_blocks(value, reduction):
    array = pytest.importorskip("dask.array")
    x = array.from_array(np.array([[value, 0], [-value, 1]] * 4), chunks=(2, 2))
    labels, options = np.ones(8, int), {"reduction": reduction, "label_smoothing": 0.1}
    results = [
        *fa.cross_entropy_with_grad(x, labels, weight=[1e-310] * 2, **options),
        *fa.linear_cross_entropy_with_grad(x, np.ones((2, 2)), labels, **options),
        *fa.prelu_backward(x, -x, 0.1),
        *fa.rrelu(x, training=True, lower=-value, upper=value),
    ]
    with np.errstate(all="raise"):
        for result in results:
            result.compute(scheduler="sync")


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.5}, {"ignore_index": 0}], ids=str)
def test_weights_whose_total_has_no_reciprocal(options):
    logits = np.zeros((2, 2), np.float32)
    tiny, usual = (
        fa.cross_entropy_with_grad(logits, [1, 1], weight=[weight] * 2, **options)[1] for weight in (1e-310, 1.0)
    )
    np.testing.assert_allclose(tiny, usual)
    layer = np.eye(2), np.eye(2), [1, 1]
    for tiny, usual in zip(
        *(fa.linear_cross_entropy_with_grad(*layer, class_weight=[w] * 2, **options) for w in (1e-310, 1.0)),
        strict=True,
    ):
        np.testing.assert_allclose(tiny, usual, rtol=1e-12)


def read_only(array):
    array.flags.writeable = False
    return array


@pytest.mark.parametrize("wrong", [np.zeros(3, int), read_only(np.zeros(3)), [0.0] * 3, np.zeros(4)], ids=str)
def test_prelu_backward_checks_both_outs_before_it_writes_one(wrong):
    first = np.full((2, 3), 7.0)
    with pytest.raises((TypeError, ValueError), match="out for grad_weight"):
        fa.prelu_backward(np.ones((2, 3)), -np.ones((2, 3)), np.ones(3), out=(first, wrong))
    assert (first == 7).all()


def test_prelu_backward_sums_products_of_halves_in_either_byte_order(same_bits):
    grad, x = np.full(3000, 1e-4, np.float16), np.full(3000, -1e-4, np.float16)
    swapped = (a.astype(a.dtype.newbyteorder()) for a in (grad, x))
    same_bits(fa.prelu_backward(*swapped, np.float16(0.25)), fa.prelu_backward(grad, x, np.float16(0.25)))


def test_rrelu_draws_between_bounds_in_a_list():
    _, slopes = fa.rrelu(-np.ones(2), training=True, lower=[0.1, 0.2], upper=[0.1, 0.2])
    np.testing.assert_allclose(slopes, [0.1, 0.2])


def test_rrelu_lists_all_keywords():
    with pytest.raises(TypeError, match="training, rng, out"):
        fa.rrelu(1.0, nonsense=1)
    with pytest.raises(TypeError, match="slopes, out"):
        fa.rrelu_backward(1.0, 1.0, nonsense=1)
