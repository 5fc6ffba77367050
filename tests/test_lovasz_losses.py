"""Lovasz losses: the paper's formula, PyTorch's autograd, differences, ties, what is empty or ignored, layouts and threads."""

import numpy as np
import pytest

import fastact as fa
from fastact.functions.lovasz_reference import lovasz_hinge, lovasz_softmax
from tests.calls import LABEL_DTYPES
from tests.containers import in_dask
from tests.peaks import peak_bytes
from tests.placement import ways_to_lie

PROMISED = 8
LOSS_OPTIONS = ("classes", "ignore_index", "per_image", "reduction", "axis")


def softmax_loss(x, target, **options):
    """The loss and its gradient, which the loss alone agrees with."""
    loss, grad = fa.lovasz_softmax_loss_with_grad(x, target, **options)
    alone = {name: value for name, value in options.items() if name not in ("upstream", "out")}
    np.testing.assert_array_equal(fa.lovasz_softmax_loss(x, target, **alone), loss)
    return loss, grad


def hinge_loss(x, target, **options):
    loss, grad = fa.lovasz_hinge_loss_with_grad(x, target, **options)
    alone = {name: value for name, value in options.items() if name not in ("upstream", "out")}
    np.testing.assert_array_equal(fa.lovasz_hinge_loss(x, target, **alone), loss)
    return loss, grad


def drawn(shape=(3, 4, 8, 9), dtype="float64", seed=0, scale=2.0):
    rng = np.random.default_rng(seed)
    return rng.normal(scale=scale, size=shape).astype(dtype), rng.integers(0, shape[1], (shape[0], *shape[2:]))


def units(got, value, scale, dtype):
    unit = np.spacing(np.asarray(scale).astype(dtype)).astype(float)
    return np.max(abs(np.asarray(got, float) - value) / unit, initial=0)


def paper_steps(torch, truth):
    """``lovasz_grad`` of the paper: what the Jaccard loss grows by from pixel to pixel."""
    total = truth.sum()
    jaccard = 1 - (total - truth.cumsum(0)) / (total + (1 - truth).cumsum(0))
    return torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])


def paper_softmax(torch, logits, labels, classes, per_image, ignored):
    """The loss as the paper's authors define it, for autograd."""
    p = logits.softmax(1)
    parts = [(p[i : i + 1], labels[i : i + 1]) for i in range(len(p))] if per_image else [(p, labels)]
    losses = []
    for q, y in parts:
        keep = y.flatten() != (-100 if ignored is None else ignored)
        q, y = q.movedim(1, -1).flatten(0, -2)[keep], y.flatten()[keep]
        each = []
        for c in range(q.shape[1]):
            own = (y == c).double()
            if classes == "present" and own.sum() == 0:
                continue
            errors, order = (own - q[:, c]).abs().sort(descending=True)
            each.append(errors @ paper_steps(torch, own[order]))
        losses.append(sum(each) / len(each))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("classes", ["present", "all"])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("ignored", [None, 2, 255])
def test_gradients_are_those_of_autograd(classes, per_image, ignored):
    torch = pytest.importorskip("torch")
    x, target = drawn()
    target[target == 3] = 0  # a class that is absent
    if ignored == 255:
        target[:, 2:5] = 255
    options = {"classes": classes, "per_image": per_image, "ignore_index": ignored}
    loss, grad = softmax_loss(x, target, axis=1, **options)
    leaf = torch.from_numpy(x).requires_grad_()
    theirs = paper_softmax(torch, leaf, torch.from_numpy(target), classes, per_image, ignored)
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("ignored", [None, 255])
def test_gradients_of_the_hinge_are_those_of_autograd(per_image, ignored):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x, target = rng.normal(size=(3, 8, 9)), rng.integers(0, 2, (3, 8, 9))
    if ignored:
        target[:, 3:5] = ignored
    loss, grad = hinge_loss(x, target, per_image=per_image, ignore_index=ignored)
    leaf = torch.from_numpy(x).requires_grad_()
    losses = []
    for f, y in zip(leaf, torch.from_numpy(target), strict=True) if per_image else [(leaf, torch.from_numpy(target))]:
        keep = y.flatten() != 255
        f, y = f.flatten()[keep], y.flatten()[keep].double()
        errors, order = (1 - f * (2 * y - 1)).sort(descending=True)
        losses.append(errors.relu() @ paper_steps(torch, y[order]))
    theirs = sum(losses) / len(losses)
    theirs.backward()
    assert loss == pytest.approx(theirs.item(), rel=1e-12)
    np.testing.assert_allclose(grad, leaf.grad.numpy(), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("classes", ["present", "all"])
@pytest.mark.parametrize("per_image", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (40, 5), (6,)])
def test_against_the_reference(classes, per_image, reduction, axis, shape):
    if axis >= len(shape):
        return
    rng = np.random.default_rng(2)
    x = rng.normal(size=shape)
    target = np.asarray(rng.integers(0, shape[axis], [n for k, n in enumerate(shape) if k != axis % len(shape)]))
    options = {"classes": classes, "per_image": per_image, "reduction": reduction, "axis": axis}
    for ignored in (None, 1):
        losses = softmax_loss(x, target, ignore_index=ignored, **options)[0]
        upstream = rng.normal(size=np.shape(losses))
        loss, grad = softmax_loss(x, target, ignore_index=ignored, upstream=upstream, **options)
        value, slope = lovasz_softmax(x, target, ignore_index=ignored, upstream=upstream, **options)
        assert np.shape(loss) == np.shape(value)
        np.testing.assert_allclose(loss, value, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(grad, slope, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
def test_precision(dtype, scale):
    """Of probabilities as they are rounded, whose order is that of the errors; of sure and of unsure ones."""
    x, target = drawn((4, 6, 40, 50), dtype, scale=scale)
    for labels in (target, x.argmax(1)):
        loss, grad = softmax_loss(x, labels, axis=1)
        p = fa.softmax(x, axis=1)
        value, slope = lovasz_softmax(x, labels, axis=1, probabilities=p)
        assert units(loss, value, 1.0, dtype) <= PROMISED
        steps = np.finfo(dtype).eps * 8 * p * 2 / len(labels[labels == 0])
        np.testing.assert_array_less(abs(grad - slope), steps + np.finfo(dtype).smallest_subnormal * 8)
        exact, _ = lovasz_softmax(x, labels, axis=1)
        assert units(loss, exact, 1.0, dtype) <= PROMISED


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision_of_the_hinge(dtype):
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(5, 3000)) * 10.0 ** rng.uniform(-2, 2, (5, 3000))).astype(dtype)
    target = rng.integers(0, 2, x.shape)
    loss, grad = hinge_loss(x, target)
    value, slope = lovasz_hinge(x, target)
    assert units(loss, value, max(value, np.max(abs(x))), dtype) <= PROMISED
    # The reference's differences of neighbours are rounded to 64 bits.
    np.testing.assert_array_less(abs(grad - slope), PROMISED * np.finfo(dtype).eps * abs(slope) + 2.0**-62)


def test_gradients_are_differences():
    x, target = drawn((2, 3, 4, 5))
    _, grad = softmax_loss(x, target, axis=1)
    for place in list(np.ndindex(x.shape))[::7]:
        step = np.zeros_like(x)
        step[place] = 1e-6
        both = [fa.lovasz_softmax_loss(x + s, target, axis=1) for s in (step, -step)]
        assert grad[place] == pytest.approx((both[0] - both[1]) / 2e-6, rel=1e-5, abs=1e-8)
    rng = np.random.default_rng(4)
    x, target = rng.normal(size=30), rng.integers(0, 2, 30)
    _, grad = hinge_loss(x, target)
    for k in range(30):
        step = np.eye(30)[k] * 1e-6
        both = [fa.lovasz_hinge_loss(x + s, target) for s in (step, -step)]
        assert grad[k] == pytest.approx((both[0] - both[1]) / 2e-6, rel=1e-5, abs=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ties_share_their_derivatives(dtype, same_bits):
    """Whatever the order of the pixels."""
    rng = np.random.default_rng(5)
    x, target = rng.choice([-1, -0.5, 0, 0.25], 400).astype(dtype), rng.integers(0, 2, 400)
    loss, grad = hinge_loss(x, target)
    value, slope = lovasz_hinge(x, target)
    assert loss == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(grad, slope, rtol=1e-6)
    for side in (0, 1):
        for level in np.unique(x):
            assert len(np.unique(grad[(x == level) & (target == side)])) <= 1
    order = rng.permutation(400)
    same_bits(hinge_loss(x[order], target[order]), (loss, grad[order]))
    x, target = rng.choice([0.0, 1.0], (300, 3)).astype(dtype), rng.integers(0, 3, 300)
    loss, grad = softmax_loss(x, target)
    order = rng.permutation(300)
    same_bits(softmax_loss(x[order], target[order]), (loss, grad[order]))
    value, slope = lovasz_softmax(x, target, probabilities=fa.softmax(x))
    assert loss == pytest.approx(value, rel=1e-6)
    np.testing.assert_allclose(grad, slope, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_bits_depend_on_neither_layout_nor_threads(dtype, same_bits):
    """Nor on where the axis of classes is; large enough for several slabs and threads."""
    x, target = drawn((3, 11, 160, 170), dtype)
    whole = softmax_loss(x, target, axis=1)
    for how, placed in ways_to_lie(x):
        if how != "byte-swapped":
            same_bits(fa.lovasz_softmax_loss_with_grad(placed, target, axis=1), whole, how)
    each = {}
    for threads in (1, 2):
        with fa.threads(threads):
            same_bits(softmax_loss(x, target, axis=1), whole, f"{threads} threads")
            each[threads] = softmax_loss(x, target, axis=1, per_image=True, ignore_index=0)
            flat = hinge_loss(x, x > 0, per_image=True)
            each[threads] += flat
    same_bits(each[1], each[2])
    last = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    loss, grad = softmax_loss(last, target)
    same_bits((loss, np.moveaxis(grad, -1, 1)), whole, "classes last")
    assert grad.strides == last.strides


def test_precision_of_halves():
    """They are computed in single floats, and rounded once."""
    x, target = drawn(dtype="float16")
    for half, wide in (
        (softmax_loss(x, target, axis=1), softmax_loss(x.astype("float32"), target, axis=1)),
        (hinge_loss(x, x > 0.1), hinge_loss(x.astype("float32"), x > 0.1)),
    ):
        assert half[0] == wide[0].astype("float16")
        np.testing.assert_array_equal(half[1], wide[1].astype("float16"))
    assert softmax_loss(x, target, axis=1, dtype="float64")[0].dtype == "float64"
    assert softmax_loss(np.arange(8).reshape(4, 2), [0, 1, 0, 1])[1].dtype == "float64"


@pytest.mark.parametrize("layout", ["C", "F"])
def test_out(layout, same_bits):
    x, target = drawn(dtype="float32")
    for call, wanted in (
        (lambda x, **k: fa.lovasz_softmax_loss_with_grad(x, target, axis=1, **k), softmax_loss(x, target, axis=1)),
        (lambda x, **k: fa.lovasz_hinge_loss_with_grad(x, sides, **k), hinge_loss(x, sides := x > 0.1)),
    ):
        out = np.full(x.shape, 7, x.dtype, order=layout)
        got = call(x, out=out)
        assert got[1] is out
        same_bits(got, wanted)
        place = np.array(x, order=layout)
        got = call(place, out=place)
        assert got[1] is place
        same_bits(got, wanted, "in place")
        buffer = np.concatenate([x, x[:1]])
        same_bits(call(buffer[:-1], out=buffer[1:]), wanted, "partly in place")
        swapped = np.zeros(x.shape, x.dtype.newbyteorder())
        np.testing.assert_array_equal(call(x, out=swapped)[1], wanted[1])


def test_what_no_pixel_is_of():
    """An absent class, an empty mask, nothing but ignored pixels, no pixel at all."""
    x, target = drawn((2, 3, 4, 10))
    target[target == 2] = 0
    each = softmax_loss(x, target, axis=1, reduction="none")[0]
    every = softmax_loss(x, target, axis=1, reduction="none", classes="all")[0]
    assert each[2] == 0
    assert every[2] == fa.softmax(x, axis=1)[:, 2].max()
    assert softmax_loss(x, target, axis=1)[0] == pytest.approx(each.sum() / 2)
    assert softmax_loss(x, target, axis=1, classes="all")[0] == pytest.approx(every.mean())
    target[0] = 255
    both = softmax_loss(x, target, axis=1, per_image=True, ignore_index=255)
    alone = softmax_loss(x[1:], target[1:], axis=1)
    assert both[0] == pytest.approx(alone[0] / 2)
    assert not both[1][0].any()
    np.testing.assert_allclose(both[1][1:], alone[1] / 2, rtol=1e-12)
    loss, grad = softmax_loss(x, np.full_like(target, 255), axis=1, ignore_index=255)
    assert loss == 0
    assert not grad.any()
    loss, grad = hinge_loss([-2.0, 0.5, 0.5, -3.0], [0, 0, 0, 0])
    assert loss == 1.5
    np.testing.assert_array_equal(grad, [0, 0.5, 0.5, 0])
    for truth, ignored in (([0, 0], None), ([255, 255], 255)):
        loss, grad = hinge_loss([-2.0, -3.0], truth, ignore_index=ignored)
        assert loss == 0
        assert not grad.any()
    for shape in ((0, 4), (2, 0, 4), (0, 4, 5)):
        labels = np.zeros([n for n in shape if n != 4], int)
        for per_image in (False, True):
            loss, grad = softmax_loss(np.zeros(shape), labels, axis=shape.index(4), per_image=per_image)
            assert loss == 0
            assert grad.shape == shape
            loss, grad = hinge_loss(np.zeros(shape), np.zeros(shape), per_image=per_image)
            assert loss == 0
            assert grad.shape == shape
    assert hinge_loss(0.5, 1)[0] == 0.5
    assert hinge_loss(0.5, 1, per_image=True)[1] == -1


def test_perfect_predictions_lose_nothing():
    target = np.random.default_rng(6).integers(0, 3, 50)
    for dtype in ("float32", "float64"):
        loss, grad = softmax_loss(np.eye(3, dtype=dtype)[target] * 1000, target)
        assert loss == 0
        assert not grad.any()
        wrong = np.eye(3, dtype=dtype)[(target + 1) % 3] * 1000
        assert softmax_loss(wrong, target)[0] == 1


def test_of_the_corners_it_is_the_jaccard_loss():
    """Of predictions that are certain, be they right or not."""
    rng = np.random.default_rng(7)
    target, predicted = rng.integers(0, 4, (2, 500))
    losses, _ = softmax_loss(np.eye(4)[predicted] * 1e4, target, reduction="none")
    np.testing.assert_allclose(losses, 1 - fa.iou_score(predicted, target, reduction="none"), rtol=1e-12)


def test_ignored_pixels_count_nothing():
    """Whatever they hold."""
    x, target = drawn(dtype="float32")
    off = np.zeros(target.shape, bool)
    off[:, 2:5, 3] = True
    garbage = x.copy()
    garbage[:, :, 2:5, 3] = np.nan
    loss, grad = softmax_loss(garbage, np.where(off, 255, target), axis=1, ignore_index=255)
    keep = ~off[0]
    left, slope = softmax_loss(x[..., keep], target[..., keep], axis=1)
    assert loss == left
    np.testing.assert_array_equal(grad[..., keep], slope)
    assert not grad[..., ~keep].any()
    loss, grad = hinge_loss(garbage[:, 0], np.where(off, 7, x[:, 1] > 0), ignore_index=7)
    left, slope = hinge_loss(x[:, 0][:, keep], x[:, 1][:, keep] > 0)
    assert loss == left
    np.testing.assert_array_equal(grad[:, keep], slope)
    assert not grad[:, ~keep].any()


def test_nan_is_told():
    x, target = drawn((2, 3, 30))
    x[0, 1, 4] = np.nan
    loss, grad = softmax_loss(x, target, axis=1)
    assert np.isnan(loss)
    assert np.isnan(grad[0, :, 4]).all()
    losses, grad = softmax_loss(x, target, axis=1, per_image=True, reduction="none")
    assert np.isnan(losses[0]).all()
    assert not np.isnan(losses[1]).any()
    assert not np.isnan(grad[1]).any()
    assert np.isnan(hinge_loss([1.0, np.nan, 0.0], [1, 0, 1])[0])


def test_labels_of_any_dtype(same_bits):
    x, target = drawn()
    whole = softmax_loss(x, target, axis=1)
    for dtype in LABEL_DTYPES:
        same_bits(softmax_loss(x, target.astype(dtype), axis=1), whole)
    sides = target[:, 0] > 1
    whole = hinge_loss(x[:, 0, 0], sides)
    for dtype in (*LABEL_DTYPES, "float16", "float64"):
        same_bits(hinge_loss(x[:, 0, 0], sides.astype(dtype)), whole)


@pytest.mark.parametrize("per_image", [False, True])
def test_masked_pixels_count_nothing(per_image):
    x, target = drawn((2, 3, 5, 6))
    hidden = np.zeros(x.shape, bool)
    hidden[..., 2:4, :] = True
    keep = ~hidden[0, 0]
    left, slope = softmax_loss(x[..., keep], target[..., keep], axis=1, per_image=per_image)
    for given in ((np.ma.array(x, mask=hidden), target), (x, np.ma.array(target, mask=hidden[:, 0]))):
        loss, grad = softmax_loss(*given, axis=1, per_image=per_image)
        assert loss == left
        assert (np.ma.getmaskarray(grad) == (hidden if np.ma.isMA(given[0]) else False)).all()
        np.testing.assert_array_equal(np.ma.getdata(grad)[..., keep], slope)
    sides = x[:, 1] > 0
    left, slope = hinge_loss(x[:, 0][:, keep], sides[:, keep], per_image=per_image)
    loss, grad = hinge_loss(np.ma.array(x[:, 0], mask=hidden[:, 0]), sides, per_image=per_image)
    assert loss == left
    np.testing.assert_array_equal(np.ma.getdata(grad)[:, keep], slope)


def test_containers(same_bits):
    dask = pytest.importorskip("dask.array")
    xarray = pytest.importorskip("xarray")
    x, target = drawn((4, 3, 5))
    for name, given, options in (
        ("lovasz_softmax_loss", (x, target), {"axis": 1}),
        ("lovasz_hinge_loss", (x, (x > 0).astype(int)), {}),
    ):
        function = getattr(fa, f"{name}_with_grad")
        whole = function(*given, **options)
        lazy = function(*map(in_dask, given), **options)
        assert all(isinstance(a, dask.Array) for a in lazy)
        same_bits(tuple(np.asarray(a.compute()) for a in lazy), whole)
        _, grad = function(xarray.DataArray(x, dims=("a", "b", "c")), given[1], **options)
        assert grad.dims == ("a", "b", "c")
        np.testing.assert_array_equal(grad, whole[1])


def test_memory_beside_the_gradient():
    """A few classes' pixels, however many there are."""
    x, target = drawn((8, 64, 64, 128), "float32")
    out = np.empty_like(x)
    for call, most in (
        (lambda: fa.lovasz_softmax_loss_with_grad(x, target, axis=1, out=out), 0.8),
        (lambda: fa.lovasz_softmax_loss(x, target, axis=1), 1.5),
    ):
        call()
        assert peak_bytes(call) <= most * x.nbytes


def test_refusals():
    x, target, out = np.zeros((2, 3, 4)), np.zeros((2, 4), int), np.full((2, 3, 4), 7.0)
    for error, words, labels, given in (
        (ValueError, "classes must be one of 'present', 'all', got 'some'", target, {"classes": "some"}),
        (ValueError, "reduction must be one of", target, {"reduction": "max"}),
        (TypeError, r"target must hold integers \(class indices\), got float64", target * 1.0, {}),
        (ValueError, r"target of class indices must have shape \(2, 4\)", target[:, :3], {}),
        (IndexError, r"label 3 at position \(0, 0\) of target is out of range for 3 classes", target + 3, {}),
        (TypeError, "ignore_index must be an integer or None, got 0.5", target, {"ignore_index": 0.5}),
        (TypeError, "per_image must be True or False, got 2", target, {"per_image": 2}),
        (TypeError, "dtype must be", target, {"dtype": int}),
        (ValueError, "upstream must be a number", target, {"upstream": [1.0, 2.0]}),
        (np.exceptions.AxisError, "axis 3 is out of bounds", target, {"axis": 3}),
    ):
        with pytest.raises(error, match=words):
            fa.lovasz_softmax_loss_with_grad(x, labels, out=out, **{"axis": 1, **given})
    for error, words, sides, given in (
        (ValueError, r"target must hold 0 and 1, got 2.0 at position \(0, 0, 0\)", x + 2, {}),
        (ValueError, "target must hold 0 and 1 and ignore_index=9, got -1.0", x - 1, {"ignore_index": 9}),
        (ValueError, r"target must have the shape of the input, \(2, 3, 4\), got \(2, 4\)", target, {}),
        (TypeError, "target must hold real numbers, got complex128", x * 1j, {}),
        (ValueError, "upstream must be a number", x, {"upstream": [1.0]}),
    ):
        with pytest.raises(error, match=words):
            fa.lovasz_hinge_loss_with_grad(x, sides, out=out, **given)
    with pytest.raises(TypeError, match="out must be an array of float64, got float32"):
        fa.lovasz_hinge_loss_with_grad(x, x, out=np.zeros(x.shape, np.float32))
    assert (out == 7).all()
