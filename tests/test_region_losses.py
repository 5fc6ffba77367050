"""Losses of regions: precision, PyTorch's autograd, shapes and layouts, and what is empty or ignored."""

import itertools

import numpy as np
import pytest

import fastact as fa
from fastact.functions.pointwise import LOSSES
from fastact.functions.region_reference import region_loss
from fastact.functions.region_requests import PIECE, SLAB, slabs
from fastact.kinds.planes import PlanesKernel
from tests.calls import LABEL_DTYPES
from tests.peaks import peak_bytes
from tests.placement import ways_to_lie

WEIGHTS = {"dice_loss": (0.5, 0.5), "jaccard_loss": (1.0, 1.0), "tversky_loss": (0.25, 0.75)}
NAMES = list(WEIGHTS)
PROMISED = 8


def called(name, x, target, **options):
    """The loss and its gradient, which the loss alone agrees with."""
    given = {"alpha": 0.25, "beta": 0.75} if name == "tversky_loss" else {}
    loss, grad = getattr(fa, f"{name}_with_grad")(x, target, **given, **options)
    for gone in ("upstream", "out"):
        options.pop(gone, None)
    np.testing.assert_array_equal(getattr(fa, name)(x, target, **given, **options), loss)
    return loss, grad


def expected(name, x, target, **options):
    alpha, beta = WEIGHTS[name]
    wide = np.float64 if x.dtype != np.float64 else np.longdouble
    with np.errstate(all="ignore"):
        return region_loss(x.astype(wide), target, alpha=alpha, beta=beta, **options)


def drawn(shape, axis, mode, soft=False, dtype="float32", seed=0):
    """An input and a target."""
    rng = np.random.default_rng(seed)
    x = rng.normal(scale=3, size=shape)
    if mode != "multiclass":
        target = rng.random(shape) if soft else rng.integers(0, 2, shape)
    elif soft:
        target = rng.random(shape)
        target /= target.sum(axis, keepdims=True)
    else:
        target = np.asarray(rng.integers(0, shape[axis], [n for k, n in enumerate(shape) if k != axis % len(shape)]))
    return x.astype(dtype), target.astype(dtype) if soft else target


def units(got, value, scale, dtype):
    unit = np.spacing(np.asarray(scale).astype(dtype)).astype(float)
    same = (got == value) | (np.isnan(got) & np.isnan(value))
    return np.max(np.where(same, 0, abs(np.asarray(got, float) - value) / unit), initial=0)


MODES = [("multiclass", False), ("multiclass", True), ("multilabel", False), ("multilabel", True), ("binary", True)]
OPTIONS = {
    "name": NAMES,
    "mode": MODES,
    "axis": (0, 1, -1),
    "shape": ((7, 5, 6), (4, 3, 9, 11), (3, 300), (5,), (2, 3, 40, 50)),
    "per_image": (False, True),
    "reduction": ("mean", "sum", "none"),
    "absent": ("zero", "skip", "count"),
    "smooth": (0.0, 0.75),
    "from_logits": (True, False),
    "weighted": (False, True),
    "ignored": (False, True),
    "dtype": ("float32", "float64", "float16"),
}


def possible(row):
    """Whether there is such a call; in one dtype besides float32 for one kind of target, for these are kernels."""
    fits = -len(row["shape"]) <= row["axis"] < len(row["shape"])
    few = row["dtype"] == "float32" or (row["mode"] == ("multiclass", False) and row["from_logits"])
    return fits and few and not (row["mode"][0] == "binary" and row["weighted"])


def some(options, count):
    """So many rows that options take their values together often."""
    rng, rows = np.random.default_rng(1), []
    while len(rows) < count:
        row = {name: choices[rng.integers(len(choices))] for name, choices in options.items()}
        rows += [row] * possible(row)
    return rows


ROWS = some(OPTIONS, 120)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: "-".join(map(str, row.values())))
def test_against_the_reference(row):
    (mode, soft), axis, shape, dtype = row["mode"], row["axis"], row["shape"], row["dtype"]
    x, target = drawn(shape, axis, mode, soft, dtype)
    options = {name: row[name] for name in ("per_image", "reduction", "absent", "smooth", "from_logits", "axis")}
    options["mode"] = mode
    if row["weighted"]:
        options["weight"] = np.linspace(0.5, 2, shape[axis])
    if not row["from_logits"]:
        x = np.random.default_rng(1).random(shape).astype(dtype)
    if row["ignored"]:
        target.reshape(-1)[:3] = 1
        options["ignore_index"] = 1
    loss, grad = called(row["name"], x, target, **options)
    value, slope, scale = expected(row["name"], x, target, **options)
    assert np.shape(loss) == np.shape(value)
    assert (np.asarray(loss).dtype, grad.dtype, grad.shape) == (dtype, dtype, shape)
    largest = max(np.max(options.get("weight", 1.0)), np.max(np.abs(value), initial=0))
    assert units(loss, value, largest, dtype) <= PROMISED
    assert units(grad, slope, scale, dtype) <= PROMISED


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_precision(name, dtype, mode):
    """Logits of all sizes, on which classes are anything between unknown and certain."""
    rng = np.random.default_rng(5)
    shape = (4, 6, 50, 60)
    x = (rng.normal(size=shape) * 10.0 ** rng.uniform(-2, 2, shape)).astype(dtype)
    target = x.argmax(1) if mode == "multiclass" else (x > 0).astype(dtype)
    for given in (target, drawn(shape, 1, mode)[1]):
        loss, grad = called(name, x, given, mode=mode, axis=1)
        value, slope, scale = expected(name, x, given, mode=mode, axis=1)
        assert units(loss, value, 1.0, dtype) <= PROMISED
        assert units(grad, slope, scale, dtype) <= PROMISED


@pytest.mark.parametrize("name", NAMES)
def test_a_small_loss_has_digits(name):
    """Of sigmoids, whose distances from 1 have all of theirs."""
    x = np.float32([30.0, 35.0, -40.0])
    loss, _ = called(name, x, [1.0, 1.0, 0.0], mode="binary")
    value, _, _ = expected(name, x.astype(np.longdouble), np.array([1.0, 1.0, 0.0]), mode="binary")
    assert 0 < loss < 1e-12
    np.testing.assert_allclose(loss, np.exp(-30.0) / 2 * WEIGHTS[name][1], rtol=1e-2)
    assert value == pytest.approx(float(loss), rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["multiclass", "multilabel", "binary"])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("ignored", [False, True])
def test_gradients_are_those_of_autograd(name, mode, per_image, ignored):
    torch = pytest.importorskip("torch")
    shape = (3, 4, 8, 9)
    x, target = drawn(shape, 1, mode, dtype="float64")
    if ignored:
        target.reshape(-1)[::5] = 200
    options = {"ignore_index": 200 if ignored else None, "per_image": per_image, "smooth": 1.0}
    loss, grad = called(name, x, target, mode=mode, axis=1, absent="count", **options)
    leaf, truth = torch.from_numpy(x).requires_grad_(), torch.from_numpy(target)
    counted = truth != 200
    if mode == "multiclass":
        p = leaf.softmax(1)
        t = torch.nn.functional.one_hot(torch.where(counted, truth, 0), 4).movedim(-1, 1).double()
        counted = counted[:, None]
    else:
        p, t = leaf.sigmoid(), torch.where(counted, truth, 0).double()
    p, t = p * counted, t * counted
    kept = [0] * per_image + ([] if mode == "binary" else [1])
    over = [k for k in range(4) if k not in kept]
    both, whole, area = ((a * b).sum(over) for a, b in ((p, t), (p, p**0), (t, t**0)))
    alpha, beta = WEIGHTS[name]
    whole = (p).sum(over)
    theirs = (1 - (both + 1) / (both + alpha * (whole - both) + beta * (area - both) + 1)).mean()
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_bits_depend_on_neither_layout_nor_threads(mode, dtype, same_bits):
    """Nor on where the axis of classes is; large enough for several slabs, pieces and threads."""
    shape = (3, 5, 260, 270)
    x, target = drawn(shape, 1, mode, dtype=dtype)
    name = "jaccard_loss"
    whole = called(name, x, target, mode=mode, axis=1)
    for how, placed in ways_to_lie(x):
        if how != "byte-swapped":
            same_bits(called(name, placed, target, mode=mode, axis=1), whole, how)
    for threads in (1, 2):
        with fa.threads(threads):
            same_bits(called(name, x, target, mode=mode, axis=1), whole, f"{threads} threads")
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    theirs = np.ascontiguousarray(np.moveaxis(target, 1, -1)) if mode == "multilabel" else target
    loss, grad = called(name, last, theirs, mode=mode)
    same_bits((loss, np.moveaxis(grad, -1, 1)), whole, "classes last")
    loss, grad = called(name, np.moveaxis(last, -1, 1), target, mode=mode, axis=1)
    same_bits((loss, grad), whole, "classes last in memory")
    assert grad.strides == np.moveaxis(last, -1, 1).strides


def test_pieces_of_large_images(same_bits):
    """A class's pixels are summed in pieces, and taken in several slabs."""
    x, target = drawn((2, 3 * PIECE + 17), 0, "multiclass")
    assert len(list(slabs((1, 2, SLAB)))) == 2
    loss, grad = called("dice_loss", x, target, axis=0)
    value, slope, scale = expected("dice_loss", x, target, axis=0)
    assert units(loss, value, 1.0, "float32") <= PROMISED
    assert units(grad, slope, scale, "float32") <= PROMISED
    square = x[:, : 3 * PIECE].reshape(2, 3, PIECE // 64, 64), target[: 3 * PIECE].reshape(3, PIECE // 64, 64)
    flat = called("dice_loss", x[:, : 3 * PIECE], target[: 3 * PIECE], axis=0)
    loss, grad = called("dice_loss", *square, axis=0)
    assert loss == pytest.approx(flat[0], rel=1e-7)
    np.testing.assert_allclose(grad.reshape(2, -1), flat[1], rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel", "binary"])
@pytest.mark.parametrize("layout", ["C", "F"])
def test_out(mode, layout, same_bits):
    for soft in (False, True):
        x, target = drawn((3, 4, 20, 21), 1, mode, soft)
        target = target.astype(x.dtype) if mode != "multiclass" else target
        options = {"mode": mode, "axis": 1}
        whole = called("dice_loss", x, target, **options)
        out = np.full(x.shape, 7, x.dtype, order=layout)
        got = fa.dice_loss_with_grad(x, target, out=out, **options)
        assert got[1] is out
        same_bits(got, whole)
        place = np.array(x, order=layout)
        got = fa.dice_loss_with_grad(place, target, out=place, **options)
        assert got[1] is place
        same_bits(got, whole, "in place")
        buffer = np.concatenate([x, x[:1]])
        got = fa.dice_loss_with_grad(buffer[:-1], target, out=buffer[1:], **options)
        same_bits(got, whole, "partly in place")
        if target.shape == x.shape:
            place = target.copy()
            same_bits(fa.dice_loss_with_grad(x, place, out=place, **options), whole, "over the target")


def test_tversky_is_all_of_them(same_bits):
    x, target = drawn((4, 3, 50), 1, "multiclass")
    for name in ("dice_loss", "jaccard_loss"):
        alpha, beta = WEIGHTS[name]
        theirs = fa.tversky_loss_with_grad(x, target, alpha=alpha, beta=beta, axis=1, smooth=0.5)
        same_bits(getattr(fa, f"{name}_with_grad")(x, target, axis=1, smooth=0.5), theirs)


def test_one_of_two_classes_is_binary():
    """The softmax of 0 and x is the sigmoid of x, and a class that is not absent loses what it loses alone."""
    x = np.random.default_rng(0).normal(size=(2, 60))
    target = np.random.default_rng(1).integers(0, 2, (2, 60))
    both = np.stack([0 * x, x], axis=-1)
    losses, grad = called("dice_loss", both, target, reduction="none")
    loss, slope = called("dice_loss", x, target, mode="binary")
    rest, other = called("dice_loss", -x, 1 - target, mode="binary")
    np.testing.assert_allclose(losses, [rest, loss], rtol=1e-12)
    np.testing.assert_allclose(grad[..., 1], slope - other, rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("name", NAMES)
def test_what_no_pixel_is_of(name):
    """A class that is absent, in each of the ways that it may count; an empty mask; no pixel at all."""
    x, target = drawn((2, 3, 40), 1, "multiclass")
    target[target == 2] = 0
    each = called(name, x, target, axis=1, absent="count", reduction="none")[0]
    assert each[2] == 1
    zero, skip, count = (called(name, x, target, axis=1, absent=how)[0] for how in ("zero", "skip", "count"))
    assert zero == pytest.approx(sum(each[:2]) / 3, rel=1e-6)
    assert skip == pytest.approx(sum(each[:2]) / 2, rel=1e-6)
    assert count == pytest.approx(sum(each) / 3, rel=1e-6)
    empty, certain = np.zeros(9), np.full(9, -np.inf)
    for absent in ("zero", "skip", "count"):
        loss, grad = called(name, certain, empty, mode="binary", absent=absent)
        assert loss == 0
        assert not grad.any()
    loss, grad = called(name, np.zeros(9), empty, mode="binary")
    assert loss == 0
    assert not grad.any()
    loss, grad = called(name, np.zeros(9), empty, mode="binary", absent="count", smooth=1.0)
    assert loss > 0.5
    assert (grad > 0).all()
    for shape in ((0, 4), (2, 0, 4), (0, 4, 5)):
        labels = np.zeros([n for n in shape if n != 4], int)
        loss, grad = called(name, np.zeros(shape), labels, axis=shape.index(4))
        assert loss == 0
        assert grad.shape == shape


@pytest.mark.parametrize("name", NAMES)
def test_what_is_missed_is_lost(name):
    """A class of the target that nothing at all is predicted for is no absent one."""
    for soft in (False, True):
        target = np.array([0, 1, 2, 1])
        certain = np.eye(3)[[0, 1, 0, 1]]
        losses, _ = called(name, certain, np.eye(3)[target] if soft else target, from_logits=False, reduction="none")
        assert losses[1:].tolist() == [0, 1]
        for absent in ("zero", "skip"):
            loss, _ = called(name, certain, target, from_logits=False, absent=absent)
            assert loss == pytest.approx((losses[0] + 1) / 3, rel=1e-15)


@pytest.mark.parametrize("mode", ["multiclass", "multilabel", "binary"])
@pytest.mark.parametrize("soft", [False, True])
def test_ignored_pixels_count_nothing(mode, soft):
    """Whatever they hold."""
    x, target = drawn((3, 4, 10, 11), 1, mode, soft)
    label = -1.0 if soft else 255
    off = np.zeros(target.shape, bool)
    off[..., 2:5, 3] = True
    hidden = np.where(off, target.dtype.type(label), target)
    garbage = x.copy()
    garbage[..., 2:5, 3] = np.nan
    options = {"mode": mode, "axis": 1, "ignore_index": int(label)}
    loss, grad = called("dice_loss", garbage, hidden, **options)
    keep = ~off[0, 0] if off.ndim == 4 else ~off[0]
    left, slope = called("dice_loss", x[..., keep], target[..., keep], mode=mode, axis=1)
    np.testing.assert_allclose(loss, left, rtol=1e-6)
    np.testing.assert_allclose(grad[..., keep], slope, rtol=1e-5, atol=1e-9)
    assert (grad[..., ~keep] == 0).all()
    among = called("dice_loss", x, target, **options | {"ignore_index": 0 if not soft else None})
    value, back, scale = expected("dice_loss", x, target, **options | {"ignore_index": 0 if not soft else None})
    assert units(among[0], value, 1.0, "float32") <= PROMISED
    assert units(among[1], back, scale, "float32") <= PROMISED


def test_nan_is_told():
    x, target = drawn((2, 3, 30), 1, "multiclass")
    x[0, 1, 4] = np.nan
    loss, grad = called("dice_loss", x, target, axis=1)
    assert np.isnan(loss)
    assert np.isnan(grad[0, :, 4]).all()
    losses, _ = called("dice_loss", x, target, axis=1, per_image=True, reduction="none")
    assert np.isnan(losses[0]).all()
    assert not np.isnan(losses[1]).any()


def test_labels_of_any_dtype(same_bits):
    x, target = drawn((2, 3, 30), 1, "multiclass")
    whole = called("dice_loss", x, target, axis=1)
    for dtype in LABEL_DTYPES:
        same_bits(called("dice_loss", x, target.astype(dtype), axis=1), whole)
    x, target = drawn((2, 30), 1, "binary")
    whole = called("dice_loss", x, target, mode="binary")
    for dtype in (*LABEL_DTYPES, "bool", "float16", "float64"):
        same_bits(called("dice_loss", x, target.astype(dtype), mode="binary"), whole)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("mode", ["multiclass", "binary"])
def test_an_upstream_gradient(axis, per_image, mode):
    x, target = drawn((3, 4, 5), axis, mode, dtype="float64")
    options = {"mode": mode, "axis": axis, "per_image": per_image}
    losses, _ = called("dice_loss", x, target, reduction="none", **options)
    upstream = np.random.default_rng(3).normal(size=np.shape(losses))
    _, grad = called("dice_loss", x, target, reduction="none", upstream=upstream, **options)
    _, slope, scale = expected("dice_loss", x, target, reduction="none", upstream=upstream, **options)
    assert units(grad, slope, abs(scale), "float64") <= PROMISED
    twice = called("dice_loss", x, target, upstream=2, **options)[1]
    np.testing.assert_allclose(twice, 2 * called("dice_loss", x, target, **options)[1], rtol=1e-14)


def test_precision_of_halves():
    """They are computed in single floats, and rounded once."""
    x, target = drawn((3, 4, 50), 1, "multiclass", dtype="float16")
    loss, grad = called("dice_loss", x, target, axis=1)
    wide, slope = called("dice_loss", x.astype("float32"), target, axis=1)
    assert loss == wide.astype("float16")
    np.testing.assert_array_equal(grad, slope.astype("float16"))
    assert called("dice_loss", x, target, axis=1, dtype="float32")[0] == wide


@pytest.mark.parametrize("mode", ["multiclass", "multilabel"])
def test_masked_pixels_count_nothing(mode):
    """Nor do classes that are masked; what hides a label hides its pixel."""
    x, target = drawn((2, 3, 30), 1, mode)
    hidden = np.zeros((2, 3, 30), bool)
    hidden[:, :, 4:9] = True
    labels = hidden[:, 0] if mode == "multiclass" else hidden
    expected_loss, slope = called("dice_loss", x[..., ~hidden[0, 0]], target[..., ~hidden[0, 0]], mode=mode, axis=1)
    for given in (
        (np.ma.array(x, mask=hidden), target),
        (x, np.ma.array(target, mask=labels)),
        (np.ma.array(x, mask=hidden), np.ma.array(target, mask=labels)),
    ):
        loss, grad = called("dice_loss", *given, mode=mode, axis=1)
        assert loss == pytest.approx(expected_loss, rel=1e-6)
        assert (np.ma.getmaskarray(grad) == (hidden if np.ma.isMA(given[0]) else False)).all()
        np.testing.assert_allclose(np.ma.getdata(grad)[..., ~hidden[0, 0]], slope, rtol=1e-5, atol=1e-9)
    if mode == "multiclass":
        one = np.zeros_like(hidden)
        one[0, 2, :] = target[0] != 2
        loss, grad = called("dice_loss", np.ma.array(x, mask=one), target, axis=1)
        value = called("dice_loss", np.where(one, -np.float32(np.inf), x), target, axis=1)
        assert loss == value[0]
        with pytest.raises(IndexError, match="label 9 at position"):
            fa.dice_loss(np.ma.array(x, mask=hidden), np.where(target == 1, 9, target), axis=1)


def test_every_combination_of_images_and_classes_has_its_shape():
    for shape, axis, per_image, mode in itertools.product(
        ((3, 4, 5, 6), (3, 4), (4,)), (0, 1, -1), (False, True), ("multiclass", "multilabel", "binary")
    ):
        if axis >= len(shape):
            continue
        x, target = drawn(shape, axis, mode)
        loss = fa.dice_loss(x, target, mode=mode, axis=axis, per_image=per_image, reduction="none")
        images = [k for k in range(len(shape)) if mode == "binary" or k != axis % len(shape)][:1] if per_image else []
        kept = sorted([*images, *([] if mode == "binary" else [axis % len(shape)])])
        assert np.shape(loss) == tuple(shape[k] for k in kept)


def test_memory_beside_the_gradient():
    """Parts of the pixels, however many there are; the softmax waits in the gradient's own."""
    x, target = drawn((16, 21, 128, 128), 1, "multiclass")
    out = np.empty_like(x)
    for call, most in (
        (lambda: fa.dice_loss_with_grad(x, target, axis=1, out=out), 0.1),
        (lambda: fa.dice_loss_with_grad(x, target, axis=1), 1.1),
        (lambda: fa.dice_loss(x, target, axis=1), 0.5),
    ):
        call()
        assert peak_bytes(call) <= most * x.nbytes


def test_a_kernel_that_lacks_what_its_formulas_take_is_refused():
    with pytest.raises(ValueError, match=r"tests\.lacking: a formula takes \['target'\], known are \('x', 'scale'\)"):
        PlanesKernel("tests.lacking", LOSSES["mse_loss"].value, "x", option_names="scale")
