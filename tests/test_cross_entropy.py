"""Cross-entropy: combinations of its options against the reference, PyTorch and central differences; precision and layouts."""

import functools

import numpy as np
import pytest

import fastact as fa
from fastact import table
from fastact.functions import cross_entropy_reference as reference
from tests.combinations import covering

OPTIONS = {
    "weight": (False, True),
    "ignore_index": (-100, 3),
    "label_smoothing": (0.0, 0.1, 1.0),
    "z_loss": (0.0, 0.01),
    "softcap": (None, 5.0),
    "reduction": ("mean", "sum", "none"),
    "target": ("labels", "probabilities"),
}


def has_a_meaning(options):
    return options["target"] == "labels" or options["ignore_index"] < 0


PAIRS, THREES = (covering(strength, OPTIONS, has_a_meaning) for strength in (2, 3))
"""Of all 216 combinations so many that any two options, or any three, take all their values together."""
LIKE_PYTORCH = covering(5, OPTIONS | {"z_loss": (0.0,), "softcap": (None,)}, has_a_meaning)
SHAPES = [(5, 1000), (40, 11), (3, 2100)]


def problem(options, shape, dtype="float32", seed=0):
    """Logits, target and arguments of one combination; some labels are ignored."""
    rng = np.random.default_rng(seed)
    rows, classes = shape
    logits = (4 * rng.normal(size=shape)).astype(dtype)
    arguments = dict(options)
    if arguments.pop("target") == "labels":
        target = rng.integers(0, classes, rows)
        target[rng.random(rows) < 0.3] = options["ignore_index"]
    else:
        target = rng.dirichlet(np.ones(classes), rows).astype(dtype)
    arguments["weight"] = rng.uniform(0.5, 2, classes).astype(dtype) if options["weight"] else None
    return logits, target, arguments


def more_for_cap(cap):
    """What a cap adds to an error: its derivative's, and two units in a logit's last place, of which exp makes so many."""
    return 4 + 2 * cap if cap else 0


def label(options):
    return "-".join(f"{value}" for value in options.values())


def kind_of(options):
    """What its kernel is named after: labels, probabilities or both, and whether logits are capped."""
    smoothed = options["target"] == "labels" and options["label_smoothing"] > 0
    return "smoothed" if smoothed else options["target"], options["softcap"] is not None


ALONE = {("labels", False), ("probabilities", True), ("smoothed", False)}
"""Kinds whose loss is computed without a gradient, too: each target and each cap. The kernel is the same less its last pass."""
IN_COLUMNS = {("labels", False), ("probabilities", False), ("smoothed", True)}
"""Kinds that are computed across columns as well."""


@pytest.mark.parametrize("options", THREES, ids=label)
def test_every_combination_of_three(options, same_bits):
    for shape in SHAPES:
        if shape[0] > 8 and kind_of(options) not in IN_COLUMNS:
            continue
        logits, target, arguments = problem(options, shape)
        loss, grad = fa.cross_entropy_with_grad(logits, target, **arguments)
        if kind_of(options) in ALONE and (shape[0] < 8 or kind_of(options) == ("labels", False)):
            same_bits(fa.cross_entropy(logits, target, **arguments), loss)
        expected, expected_grad = reference.cross_entropy_with_grad(logits, target, **arguments)
        largest = reference.largest_terms(logits, target, **arguments)
        promised = table.function("cross_entropy_with_grad").ulp
        allowed = promised + more_for_cap(arguments["softcap"])
        assert np.all(abs(loss - expected) <= promised * np.spacing(np.float32(abs(expected))))
        assert np.all(abs(grad - expected_grad) <= allowed * np.spacing(largest.astype(np.float32)))
        flipped = target if target.ndim == 1 else np.ascontiguousarray(target.T)
        other = fa.cross_entropy_with_grad(np.ascontiguousarray(logits.T), flipped, axis=0, **arguments)
        same_bits(other, (loss, grad.T))


@pytest.mark.parametrize("scale", [0.1, 1, 5, 40])
@pytest.mark.parametrize("classes", [2, 10, 1000])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_errors_are_as_promised(dtype, classes, scale):
    """Of the loss in its own units, of the gradient in those of its larger term; also where one class is all but certain."""
    rng = np.random.default_rng(classes)
    rows = np.arange(20_000 // classes)
    logits = (scale * rng.normal(size=(rows.size, classes))).astype(dtype)
    labels = rng.integers(0, classes, rows.size)
    logits[rows[::2], labels[::2]] += np.dtype(dtype).type(scale)
    wide = logits.astype(np.longdouble)
    largest = wide.max(1, keepdims=True)
    others = np.exp(wide - largest)
    others[rows, wide.argmax(1)] = 0
    excess = np.log1p(others.sum(1, keepdims=True))
    exact = (largest[:, 0] - wide[rows, labels]) + excess[:, 0]
    share = np.exp(wide - largest - excess)
    exact_grad, terms = share.copy(), share.copy()
    exact_grad[rows, labels], terms[rows, labels] = np.expm1(-exact), 1
    loss, grad = fa.cross_entropy_with_grad(logits, labels, reduction="none")
    promised = table.function("cross_entropy_with_grad")
    bound = promised.ulp if dtype == "float32" else promised.double_ulp
    assert np.all(abs(loss - exact) <= bound * np.spacing(exact.astype(dtype)))
    assert np.all(abs(grad - exact_grad) <= bound * np.spacing(terms.astype(dtype)))


@pytest.mark.parametrize("cap", [0.7, 5.0, 30.0])
@pytest.mark.parametrize(
    ("target", "dtype"),
    [
        ("labels", "float16"),
        ("labels", "float32"),
        ("labels", "float64"),
        ("probabilities", "float32"),
        ("smoothed", "float32"),
    ],
)
def test_gradient_of_capped_logits(dtype, target, cap):
    """Where the cap saturates its derivative vanishes, as 1 / cosh**2 does, but not before; at infinity it is 0."""
    rng = np.random.default_rng(int(cap))
    columns = ((40, 33),) if (target, True) in IN_COLUMNS else ()
    for rows, classes in ((1, 5), (7, 33), (3, 1100), *columns):
        scales = cap * rng.choice([0.1, 1, 5, 20], (rows, classes))
        logits = (scales * rng.normal(size=(rows, classes))).astype(dtype)
        logits[0, :2] = np.inf, -np.inf
        labels = rng.integers(0, classes, rows)
        dense = rng.dirichlet(np.ones(classes), rows).astype(dtype)
        smoothing = 0.25 if target == "smoothed" else 0.0
        given = dense if target == "probabilities" else labels
        _, grad = fa.cross_entropy_with_grad(logits, given, softcap=cap, label_smoothing=smoothing, reduction="sum")
        kind = np.promote_types(dtype, "float32").type
        ratio = logits.astype(np.longdouble) / kind(cap)
        capped = kind(cap) * np.tanh(ratio)
        e = np.exp(capped - capped.max(1, keepdims=True))
        slope = 4 * np.exp(-2 * abs(ratio)) / (1 + np.exp(-2 * abs(ratio))) ** 2
        q = dense if target == "probabilities" else (1 - smoothing) * np.eye(classes)[labels] + smoothing / classes
        share = e / e.sum(1, keepdims=True) * q.astype(np.longdouble).sum(1, keepdims=True)
        unit = np.spacing((np.maximum(share, q) * slope).astype(dtype))
        promised = table.function("cross_entropy_with_grad")
        allowed = more_for_cap(cap) + (promised.double_ulp if dtype == "float64" else promised.ulp)
        assert np.all(abs(grad - (share - q) * slope) <= allowed * unit)
        assert not grad[0, :2].any()
        masked = fa.cross_entropy_with_grad(
            np.ma.array(logits, mask=False), given, softcap=cap, label_smoothing=smoothing, reduction="sum"
        )
        assert np.all(abs(masked[1].data - (share - q) * slope) <= allowed * unit)


@pytest.mark.parametrize("cap", [0.7, 30.0, 100.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_of_capped_logits(dtype, cap):
    """What tanh leaves of a logit's last digits is an error of the loss, and may be more than the loss."""
    rng, kind = np.random.default_rng(0), np.dtype(dtype).type
    for rows, classes in ((7, 2), (6, 33), (3, 1100)):
        logits = (2 * cap * rng.normal(size=(rows, classes))).astype(dtype)
        labels = logits.argmax(1)
        loss, _ = fa.cross_entropy_with_grad(logits, labels, softcap=cap, reduction="none")
        capped = np.longdouble(kind(cap)) * np.tanh(logits.astype(np.longdouble) / kind(cap))
        largest = capped.max(1)
        exact = np.log(np.exp(capped - largest[:, None]).sum(1))
        allowed = table.function("cross_entropy").ulp * np.spacing(exact.astype(dtype)) + 2 * np.spacing(kind(cap))
        assert np.all(abs(loss - exact) <= allowed)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_caps_beyond_the_precision(dtype):
    """Too large a cap is none; too small a one leaves nothing of the logits."""
    logits, labels = np.array([[0.0, 2.0, 3.0], [1.0, 1.0, 0.0]], dtype), [2, 0]
    for cap in (1e39, 1e308) if dtype != "float64" else (1e308,):
        for capped, plain in zip(
            fa.cross_entropy_with_grad(logits, labels, softcap=cap),
            fa.cross_entropy_with_grad(logits, labels),
            strict=True,
        ):
            assert np.allclose(capped, plain, rtol=1e-6)
    for cap in (1e-50, 1e-320, 5e-324):
        loss, grad = fa.cross_entropy_with_grad(logits, labels, softcap=cap, reduction="none")
        assert np.allclose(loss, np.log(3), rtol=1e-3)
        assert not grad[logits != 0].any()


@pytest.mark.parametrize("options", LIKE_PYTORCH, ids=label)
def test_like_pytorch(options):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    logits, target, arguments = problem(options, (40, 11), "float64")
    leaf = torch.tensor(logits, requires_grad=True)
    names = ("ignore_index", "label_smoothing", "reduction")
    weight = None if arguments["weight"] is None else torch.tensor(arguments["weight"])
    expected = torch.nn.functional.cross_entropy(
        leaf, torch.tensor(target), weight=weight, **{name: arguments[name] for name in names}
    )
    expected.sum().backward()
    loss, grad = fa.cross_entropy_with_grad(logits, target, **arguments)
    assert np.allclose(loss, expected.detach().numpy(), rtol=1e-13)
    assert np.allclose(grad, leaf.grad.numpy(), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("options", PAIRS, ids=label)
def test_gradient_against_differences(options):
    """Of the reference, with which all combinations are compared; of one without a kernel of its own ours, too."""
    module = fa if kind_of(options) == ("labels", False) else reference
    logits, target, arguments = problem(options, (4, 7), "float64", seed=3)
    grad = module.cross_entropy_with_grad(logits, target, **arguments)[1]
    for i, k in np.ndindex(logits.shape):
        step = np.zeros_like(logits)
        step[i, k] = 1e-5
        high, low = (np.sum(module.cross_entropy(logits + s, target, **arguments)) for s in (step, -step))
        assert abs(grad[i, k] - (high - low) / 2e-5) < 1e-8


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("labels", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_dtypes(kind, labels, same_bits):
    rng = np.random.default_rng(0)
    for shape in ((30, 100), (3, 100)):
        logits = (4 * rng.normal(size=shape)).astype(kind)
        target = rng.integers(0, 100, shape[0])
        if not labels.startswith("u"):
            target[1] = -100
        expected = fa.cross_entropy_with_grad(logits, target, reduction="none")
        same_bits(fa.cross_entropy_with_grad(logits, target.astype(labels), reduction="none"), expected)
        assert expected[0].dtype == expected[1].dtype == np.dtype(kind)
        loss, grad = reference.cross_entropy_with_grad(logits, target, reduction="none")
        assert np.allclose(expected[0], loss, rtol=4 * float(np.finfo(kind).eps), atol=1e-7)
        assert np.allclose(expected[1], grad, rtol=4 * float(np.finfo(kind).eps), atol=1e-7)


def test_labels_are_not_copied():
    import tracemalloc

    logits, target = np.zeros((200_000, 2), np.float32), np.zeros(200_000, np.uint8)
    fa.cross_entropy(logits, target)
    tracemalloc.start()
    try:
        fa.cross_entropy(logits, target)
        assert tracemalloc.get_traced_memory()[1] < 60 * len(target)  # four results of eight bytes a row; no matrix
    finally:
        tracemalloc.stop()


def test_several_dimensions(same_bits):
    rng = np.random.default_rng(0)
    logits, target = rng.normal(size=(2, 5, 3, 4)).astype(np.float32), rng.integers(0, 5, (2, 3, 4))
    loss, grad = fa.cross_entropy_with_grad(logits, target, axis=1, reduction="none")
    assert loss.shape == target.shape
    flat = np.moveaxis(logits, 1, -1).reshape(-1, 5)
    expected = fa.cross_entropy_with_grad(flat, target.reshape(-1), reduction="none")
    same_bits(loss.reshape(-1), expected[0])
    same_bits(np.moveaxis(grad, 1, -1).reshape(-1, 5), expected[1])
    same_bits(fa.cross_entropy(logits[0, :, 0, 0], target[0, 0, 0]), loss[0, 0, 0])


def test_in_place_extras_and_threads(same_bits, threads):
    rng = np.random.default_rng(0)
    for shape, axis in (((300, 1100), -1), ((9, 1100), 0), ((5000, 9), -1)):
        logits = rng.normal(size=shape).astype(np.float32)
        target = rng.integers(0, shape[axis], shape[1 + axis if axis == 0 else 0])
        with threads(1):
            expected = fa.cross_entropy_with_grad(logits, target, axis=axis, return_lse=True, return_argmax=True)
        same_bits(expected[2], fa.logsumexp(logits, axis=axis))
        assert np.array_equal(expected[3], np.argmax(logits, axis=axis))
        for n in (2, 3):
            with threads(n):
                got = fa.cross_entropy_with_grad(logits, target, axis=axis, return_lse=True, return_argmax=True)
            same_bits(got, expected)
        loss, grad = fa.cross_entropy_with_grad(logits, target, axis=axis, out=logits)
        assert grad is logits
        same_bits((loss, grad), expected[:2])


def test_in_place_allocates_rows_only():
    import tracemalloc

    logits, target = np.zeros((100, 4000), np.float32), np.zeros(100, int)
    fa.cross_entropy_with_grad(logits, target, out=logits)
    tracemalloc.start()
    try:
        fa.cross_entropy_with_grad(logits, target, out=logits)
        assert tracemalloc.get_traced_memory()[1] < 100 * 200
    finally:
        tracemalloc.stop()


def test_a_small_loss_is_precise():
    logits = np.float32([[20, 0, 0]])
    loss, grad = fa.cross_entropy_with_grad(logits, [0])
    exact = np.log1p(2 * np.exp(-20.0))
    assert abs(loss - exact) <= np.spacing(np.float32(exact))
    assert abs(grad[0, 0] - np.expm1(-exact)) <= np.spacing(np.float32(exact))
    assert fa.cross_entropy(logits + np.float32(1e4), [0]) == loss


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("dtype", "smoothing"), [("float16", 0.1), ("float32", 0.0), ("float32", 0.1), ("float64", 0.0)]
)
def test_linear(dtype, reduction, smoothing):
    rng = np.random.default_rng(0)
    hidden, weight = rng.normal(size=(7, 9, 6)).astype(dtype), rng.normal(size=(50, 6)).astype(dtype)
    target, bias = rng.integers(0, 50, (7, 9)).astype(np.uint8), rng.normal(size=50).astype(dtype)
    options = {"reduction": reduction, "label_smoothing": smoothing, "ignore_index": 3}
    options["class_weight"] = rng.uniform(0.5, 2, 50)
    for extra in ({}, {"bias": bias}):
        got = fa.linear_cross_entropy_with_grad(hidden, weight, target, **options, **extra)
        expected = reference.linear_cross_entropy_with_grad(hidden, weight, target, **options, **extra)
        assert np.array_equal(fa.linear_cross_entropy(hidden, weight, target, **options, **extra), got[0])
        assert len(got) == len(expected)
        for g, e in zip(got, expected, strict=True):
            assert g.dtype == np.dtype(dtype)
            assert np.max(abs(g - e)) <= 40 * np.finfo(dtype).eps * np.max(abs(e))


@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        ({}, "float32"),
        ({}, "float64"),
        ({"z_loss": 0.1}, "float16"),
        ({"weighted": True}, "float32"),
        ({"ignore_index": 7}, "float32"),
    ],
    ids=str,
)
def test_a_long_row_is_shared_out_over_threads(options, dtype, same_bits, threads):
    rng = np.random.default_rng(0)
    for classes in (2**19, 2**19 + 77)[bool(options) :]:
        logits = (3 * rng.normal(size=(2, classes))).astype(dtype)
        logits[1, 70_000] = 90  # its maximum is far from where it starts
        target = np.array([7, 70_000])
        given = {"weight": rng.random(classes)} if "weighted" in options else options
        call = functools.partial(fa.cross_entropy_with_grad, return_lse=True, return_argmax=True, **given)
        with threads(1):
            expected, loss = call(logits, target), fa.cross_entropy(logits, target, **given)
        with threads(3):
            same_bits(call(logits, target), expected)
            same_bits(np.asarray(fa.cross_entropy(logits, target, **given)), np.asarray(loss))
            same_bits(call(np.asfortranarray(logits.T), target, axis=0)[0], expected[0])
            before = logits.copy()
            with pytest.raises(IndexError, match=f"label {classes} at position 1"):
                call(logits, np.array([7, classes]), out=logits)
            same_bits(logits, before)
            same_bits(call(logits, target, out=logits), expected)
        assert np.isnan(fa.cross_entropy(np.where(np.arange(classes) == 9, np.nan, before[0]), 3))


def test_halves_beside_operands_that_are_none():
    """Soft targets and class weights keep their precision and range."""
    x = np.full((1, 50_000), -20, "f2")
    x[0, 0] = 0
    q = np.full(x.shape, 0.01 / 49_999, "f4")
    q[0, 0] = 0.99
    loss, grad = fa.cross_entropy_with_grad(x, q)
    assert float(loss) == pytest.approx(0.2001, abs=2e-3)
    assert grad.dtype == np.float16
    logits, labels = np.array([[-3, 3], [1, 2]], "f2"), [0, 1]
    expected = fa.cross_entropy(logits.astype("f8"), labels, weight=[1, 2], label_smoothing=0.1)
    for scale in (1, 1e5, 1e-8):
        options = {"weight": [scale, 2 * scale], "label_smoothing": 0.1}
        assert float(fa.cross_entropy(logits, labels, **options)) == pytest.approx(expected, rel=1e-3)
        _, grad = fa.cross_entropy_with_grad(logits, labels, **options)
        _, right = fa.cross_entropy_with_grad(logits.astype("f8"), labels, **options)
        np.testing.assert_allclose(grad, right, rtol=2e-3)
