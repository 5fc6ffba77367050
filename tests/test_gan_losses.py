"""Losses of generative adversarial networks: precision, limits, shapes, layouts, containers, refusals, and what PyTorch has."""

import math
import tracemalloc

import numpy as np
import pytest

import fastact as fa
from fastact.calls.elements import ROW, SLAB
from fastact.functions.gan_criteria import CROSS_ENTROPY, HINGE, KINDS, LEAST_SQUARES, LINEAR
from tests.containers import nothing_computed

DTYPES = ("float16", "float32", "float64")
CRITERIA = (CROSS_ENTROPY, LEAST_SQUARES, HINGE, LINEAR)
SIZES = (0, 1, 2, 31, 33, 1025, ROW - 1, ROW, ROW + 1, 3 * ROW + 5, SLAB + 1)
ULP = 4


def outputs(*shape, dtype="float64", seed=0, scale=3.0):
    return np.random.default_rng(seed).normal(scale=scale, size=shape).astype(dtype)


def units(got, expected, scale, dtype):
    """The largest error in units of the last place of the scale."""
    unit = np.spacing(np.minimum(scale, float(np.finfo(dtype).max)).astype(dtype)).astype(np.longdouble)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    with np.errstate(all="ignore"):
        return np.max(np.where(same, 0, abs(got.astype(np.longdouble) - expected) / unit), initial=0)


def of_every_size(dtype):
    rng = np.random.default_rng(3)
    x = rng.normal(size=30_000) * 10.0 ** rng.uniform(-30, 5, 30_000)
    near = np.concatenate(
        [target + rng.normal(size=2000) * 10.0 ** rng.uniform(-8, 0, 2000) for target in (0.9, 1, -1)]
    )
    return np.concatenate([x, near, -near, [0.0, -0.0], np.finfo(dtype).smallest_subnormal * np.arange(-3, 4)]).astype(
        dtype
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_precision(kind, dtype):
    """Of each element, for every target, in units of the loss and of the largest term of the gradient."""
    x, found = of_every_size(dtype), KINDS[kind]
    wide = np.longdouble if dtype == "float64" else np.float64
    smoothing = 0.1 if found.smooths else 0.0
    none = {"kind": kind, "reduction": "none"}
    of_real = fa.gan_discriminator_loss_with_grad(x, np.zeros_like(x), fake_weight=0, label_smoothing=smoothing, **none)
    of_fake = fa.gan_discriminator_loss_with_grad(np.zeros_like(x), x, real_weight=0, **none)
    for (loss, grad), criterion, target, sign in (
        (of_real[:2], found.discriminator, 1.0 - smoothing, 1),
        (of_fake[::2], found.discriminator, 0.0, 1),
        (fa.gan_generator_loss_with_grad(x, **none), found.generator, found.target, found.sign),
    ):
        with np.errstate(all="ignore"):
            expected = sign * criterion.reference(x.astype(wide), target)
            terms = [sign * np.ones(x.shape) * t for t in criterion.reference_derivative(x.astype(wide), target)]
        assert units(loss, expected, abs(expected), dtype) <= ULP
        assert units(grad, sum(terms), np.max(np.abs(terms), axis=0), dtype) <= ULP


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_are_those_of_the_elements(kind, dtype):
    """Of both operands, however many elements each of them has."""
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).smallest_subnormal)
    sizes = SIZES if dtype == "float32" else SIZES[:5]
    for size, other in zip(sizes, reversed(sizes), strict=True):
        real, fake = outputs(size, dtype=dtype), outputs(other, dtype=dtype, seed=1)
        halves = [(real, np.zeros(size, dtype), "fake_weight"), (np.zeros(other, dtype), fake, "real_weight")]
        rows = [
            fa.gan_discriminator_loss_with_grad(*pair, kind=kind, reduction="none", **{weight: 0})
            for *pair, weight in halves
        ]
        losses, grads = [rows[0][0], rows[1][0]], [rows[0][1], rows[1][2]]
        options = {"kind": kind, "dtype": "float64"}
        total, *of_sum = fa.gan_discriminator_loss_with_grad(real, fake, reduction="sum", **options)
        mean, *of_mean = fa.gan_discriminator_loss_with_grad(real, fake, **options)
        sums, largest = zip(*((np.sum(x, dtype=float), np.sum(abs(x), dtype=float)) for x in losses), strict=True)
        np.testing.assert_allclose(total, sum(sums), rtol=0, atol=4 * eps * sum(largest))
        if size and other:
            np.testing.assert_allclose(
                mean, sums[0] / size + sums[1] / other, rtol=0, atol=4 * eps * (largest[0] / size + largest[1] / other)
            )
        else:
            assert np.isnan(mean)
        for each, by_sum, by_mean in zip(grads, of_sum, of_mean, strict=True):
            np.testing.assert_array_equal(by_sum, each)
            np.testing.assert_allclose(by_mean, each.astype(float) / max(1, each.size), rtol=2 * eps, atol=tiny)
            assert by_mean.dtype == dtype
        assert fa.gan_discriminator_loss(real, fake, kind=kind) == mean.astype(dtype) or np.isnan(mean)
        rows, grad = fa.gan_generator_loss_with_grad(fake, kind=kind, reduction="none")
        total, by_sum = fa.gan_generator_loss_with_grad(fake, kind=kind, reduction="sum", dtype="float64")
        exact, largest = np.sum(rows, dtype=float), np.sum(abs(rows), dtype=float)
        np.testing.assert_allclose(total, exact, rtol=0, atol=4 * eps * largest)
        np.testing.assert_array_equal(by_sum, grad)
        assert fa.gan_generator_loss(fake, kind=kind, reduction="sum", dtype="float64") == total
        assert fa.gan_generator_loss(fake, kind=kind).dtype == dtype


LIMITS = {
    # kind: (output, loss and derivative for a real sample, for a generated one, for the generator)
    "non_saturating": [
        (math.inf, (0, 0), (math.inf, 1), (0, 0)),
        (-math.inf, (math.inf, -1), (0, 0), (math.inf, -1)),
        (0, (math.log(2), -0.5), (math.log(2), 0.5), (math.log(2), -0.5)),
    ],
    "saturating": [
        (math.inf, (0, 0), (math.inf, 1), (-math.inf, -1)),
        (-math.inf, (math.inf, -1), (0, 0), (0, 0)),
        (0, (math.log(2), -0.5), (math.log(2), 0.5), (-math.log(2), -0.5)),
    ],
    "hinge": [
        (1, (0, 0), (2, 1), (-1, -1)),
        (-1, (2, -1), (0, 0), (1, -1)),
        (math.inf, (0, 0), (math.inf, 1), (-math.inf, -1)),
        (-math.inf, (math.inf, -1), (0, 0), (math.inf, -1)),
    ],
    "least_squares": [
        (1, (0, 0), (0.5, 1), (0, 0)),
        (0, (0.5, -1), (0, 0), (0.5, -1)),
        (-math.inf, (math.inf, -math.inf), (math.inf, -math.inf), (math.inf, -math.inf)),
    ],
    "wasserstein": [(2, (-2, -1), (2, 1), (-2, -1)), (math.inf, (-math.inf, -1), (math.inf, 1), (-math.inf, -1))],
}


@pytest.mark.parametrize("kind", KINDS)
def test_limits_and_kinks(kind):
    # Where the loss of a generated sample is 0.
    nothing = {"non_saturating": -math.inf, "saturating": -math.inf, "hinge": -1.0}.get(kind, 0.0)
    for x, of_real, of_fake, of_generator in LIMITS[kind]:
        loss, grad, _ = fa.gan_discriminator_loss_with_grad(x, nothing, kind=kind)
        np.testing.assert_allclose((loss, grad), of_real, rtol=1e-15, err_msg=f"real {x}")
        loss, _, grad = fa.gan_discriminator_loss_with_grad(0.0, x, kind=kind, real_weight=0.0)
        np.testing.assert_allclose((loss, grad), of_fake, rtol=1e-15, err_msg=f"fake {x}")
        found = fa.gan_generator_loss_with_grad(x, kind=kind)
        np.testing.assert_allclose(found, of_generator, rtol=1e-15, err_msg=f"generator {x}")


@pytest.mark.parametrize("kind", KINDS)
def test_nan_shows_where_it_is(kind):
    for size in (1, 5, 37):
        real, fake = outputs(size, dtype="float32"), outputs(size, dtype="float32", seed=1)
        whole = fa.gan_discriminator_loss_with_grad(real, fake, kind=kind, reduction="none")
        for k in range(size):
            bad, others = real.copy(), np.arange(size) != k
            bad[k] = np.nan
            for given, affected in (((bad, fake), (0, 1)), ((real, bad), (0, 2))):
                got = fa.gan_discriminator_loss_with_grad(*given, kind=kind, reduction="none")
                for i in affected:
                    assert np.isnan(got[i][k])
            np.testing.assert_array_equal(
                fa.gan_discriminator_loss_with_grad(bad, fake, kind=kind, reduction="none")[0][others], whole[0][others]
            )
            loss, grad = fa.gan_generator_loss_with_grad(bad, kind=kind, reduction="none")
            assert np.isnan(loss[k])
            assert np.isnan(grad[k])
            assert np.isfinite(loss[others]).all()
            assert np.isnan(fa.gan_generator_loss(bad, kind=kind))
            assert np.isnan(fa.gan_discriminator_loss(fake, bad, kind=kind))


def placements(x):
    """The same array, placed in memory in several ways."""
    yield "reversed", np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    yield "in Fortran's order", np.asfortranarray(x)
    yield "strided", np.repeat(x, 2, axis=-1)[..., ::2]
    yield "byte-swapped", x.astype(x.dtype.newbyteorder())
    yield "unaligned", np.frombuffer(b"\0" + x.tobytes(), x.dtype, x.size, 1).reshape(x.shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_bits_depend_on_neither_layout_nor_threads(kind, reduction, same_bits):
    """Of arrays that are worth threads."""
    shape, options = (5, 11, ROW + 13), {"kind": kind, "reduction": reduction}
    real, fake = outputs(*shape, dtype="float32"), outputs(*shape, dtype="float32", seed=1)
    expected = fa.gan_discriminator_loss_with_grad(real, fake, **options)
    generated = fa.gan_generator_loss_with_grad(fake, **options)
    for (how, placed), (_, other) in zip(placements(real), placements(fake), strict=True):
        for given in ((placed, fake), (real, other), (placed, other)):
            same_bits(fa.gan_discriminator_loss_with_grad(*given, **options), expected, how)
        same_bits(fa.gan_generator_loss_with_grad(other, **options), generated, how)
    for threads in (1, 2, 3):
        with fa.threads(threads):
            same_bits(fa.gan_discriminator_loss_with_grad(real, fake, **options), expected, f"{threads} threads")
            same_bits(fa.gan_generator_loss_with_grad(fake, **options), generated, f"{threads} threads")
    weight = np.float32([0.5, 2.0, 0.25, 1.0, 3.0])[:, None, None]
    whole = np.ascontiguousarray(np.broadcast_to(weight, shape))
    same_bits(
        fa.gan_discriminator_loss_with_grad(real, fake, fake_weight=weight, **options),
        fa.gan_discriminator_loss_with_grad(real, fake, fake_weight=whole, **options),
        "a weight that is broadcast",
    )


def test_halves_are_rounded_once(same_bits):
    """Neither they nor what weighs them is rounded before the end."""
    x, y = outputs(3, 50, dtype="float16"), outputs(3, 50, dtype="float16", seed=1)
    fine = np.random.default_rng(4).random((3, 50)).astype("float32")
    options = {"real_weight": fine, "fake_weight": 2 * fine, "reduction": "none", "dtype": "float32"}
    got = fa.gan_discriminator_loss_with_grad(x, y, **options)
    expected = fa.gan_discriminator_loss_with_grad(x.astype("float32"), y.astype("float32"), **options)
    same_bits(got, (expected[0], *(grad.astype("float16") for grad in expected[1:])))
    got = fa.gan_generator_loss_with_grad(x, weight=fine, dtype="float32", reduction="sum")
    expected = fa.gan_generator_loss_with_grad(x.astype("float32"), weight=fine, reduction="sum")
    same_bits(got, (expected[0], expected[1].astype("float16")))


def test_operands_of_two_dtypes():
    """Each gradient has that of its operand, the loss the larger one."""
    real, fake = outputs(4, 5, dtype="float32"), outputs(20, dtype="float16", seed=1)
    loss, *grads = fa.gan_discriminator_loss_with_grad(real, fake)
    assert (loss.dtype, *(grad.dtype for grad in grads)) == ("float32", "float32", "float16")
    wide = fa.gan_discriminator_loss_with_grad(real.astype(float), fake.astype(float))
    np.testing.assert_allclose(loss, wide[0], rtol=1e-6)
    loss, *grads = fa.gan_discriminator_loss_with_grad(real, fake.reshape(4, 5), reduction="none")
    assert (loss.dtype, *(grad.dtype for grad in grads)) == ("float32", "float32", "float16")
    loss, *grads = fa.gan_discriminator_loss_with_grad([1, 2], [True, False])
    assert (loss.dtype, *(grad.dtype for grad in grads)) == ("float64", "float64", "float16")


def test_they_are_what_other_losses_are():
    real, fake = outputs(40), outputs(50, seed=1)
    both, labels = np.concatenate([real, fake]), np.repeat([1, 0], [40, 50])
    weight = np.repeat([1 / 40, 1 / 50], [40, 50])
    sums = {"weight": weight, "reduction": "sum"}
    for kind, other, targets in (
        ("non_saturating", fa.binary_cross_entropy_with_logits_with_grad, labels),
        ("saturating", fa.logistic_loss_with_grad, labels),
        ("hinge", fa.hinge_loss_with_grad, labels),
        ("least_squares", fa.mse_loss_with_grad, labels),
    ):
        loss, *grads = fa.gan_discriminator_loss_with_grad(real, fake, kind=kind)
        expected, slope = other(both, targets, **sums)
        half = 0.5 if kind == "least_squares" else 1.0
        np.testing.assert_allclose(loss, half * expected, rtol=1e-14)
        np.testing.assert_allclose(np.concatenate(grads), half * slope, rtol=1e-14)
    smoothed = fa.binary_cross_entropy_with_logits(real, np.full(40, 0.9)) + fa.logistic_loss(fake, np.zeros(50))
    np.testing.assert_allclose(fa.gan_discriminator_loss(real, fake, label_smoothing=0.1), smoothed, rtol=1e-14)
    game = [
        fa.gan_discriminator_loss(real, x) + fa.gan_generator_loss(x, kind="saturating") for x in (fake, outputs(9))
    ]
    np.testing.assert_allclose(*game, rtol=1e-13)  # what one of them gains, the other loses


def torch_losses(torch, kind, real, fake, smoothing):
    """Elements' losses: of the discriminator for real and for generated samples, and of the generator."""
    functional = torch.nn.functional
    bce = functional.binary_cross_entropy_with_logits
    ones, zeros = torch.full_like(real, 1 - smoothing), torch.zeros_like(fake)
    if kind.endswith("saturating"):
        generator = (
            bce(fake, zeros + 1, reduction="none")
            if kind == "non_saturating"
            else functional.logsigmoid(-fake)  # log(1 - sigmoid(fake))
        )
        return bce(real, ones, reduction="none"), bce(fake, zeros, reduction="none"), generator
    if kind == "hinge":
        return functional.relu(1 - real), functional.relu(1 + fake), -fake
    if kind == "least_squares":
        return (real - ones) ** 2 / 2, fake**2 / 2, (fake - 1) ** 2 / 2
    return -real, fake, -fake


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_as_pytorch(kind, reduction, weighted):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(2)
    real, fake = outputs(6, 5), outputs(6, 5, seed=1) if reduction == "none" else outputs(7, seed=1)
    smoothing = 0.1 if KINDS[kind].smooths and weighted else 0.0
    weights = [rng.random(x.shape) if weighted else 1.0 for x in (real, fake)]
    leaves = [torch.tensor(x, requires_grad=True) for x in (real, fake)]
    of_real, of_fake, of_generator = torch_losses(torch, kind, *leaves, smoothing)
    of_real, of_fake, of_generator = (
        torch.tensor(w) * x for w, x in zip((*weights, weights[1]), (of_real, of_fake, of_generator), strict=True)
    )
    reduced = {"mean": torch.mean, "sum": torch.sum, "none": lambda x: x}[reduction]
    discriminator, generator = reduced(of_real) + reduced(of_fake), reduced(of_generator)
    upstream = rng.random(discriminator.shape)
    options = {"kind": kind, "reduction": reduction, "upstream": upstream}
    discriminator.backward(torch.tensor(upstream))
    found = fa.gan_discriminator_loss_with_grad(
        real, fake, label_smoothing=smoothing, real_weight=weights[0], fake_weight=weights[1], **options
    )
    expected = [discriminator.detach().numpy(), *(leaf.grad.numpy() for leaf in leaves)]
    for got, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(got, e, rtol=1e-12, atol=1e-15)
    leaves[1].grad = None
    generator.backward(torch.tensor(upstream))
    found = fa.gan_generator_loss_with_grad(fake, weight=weights[1], **options)
    for got, e in zip(found, (generator.detach().numpy(), leaves[1].grad.numpy()), strict=True):
        np.testing.assert_allclose(got, e, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_out_may_be_any_operand(reduction, same_bits):
    """Its own, the other, a weight, or a part of one of them."""
    real, fake = outputs(5, 700, dtype="float32"), outputs(5, 700, dtype="float32", seed=1)
    weight = np.random.default_rng(1).random((5, 700), np.float32)
    expected = fa.gan_discriminator_loss_with_grad(real, fake, real_weight=weight, reduction=reduction)
    for order in ((0, 1), (1, 0), (2, 0), (1, 2)):
        given = [real.copy(), fake.copy(), weight.copy()]
        out = tuple(given[i] for i in order)
        got = fa.gan_discriminator_loss_with_grad(*given[:2], real_weight=given[2], reduction=reduction, out=out)
        assert got[1] is out[0]
        assert got[2] is out[1]
        same_bits(got, expected)
    buffer = np.concatenate([real.ravel(), real.ravel()[:100]])
    inside, moved = buffer[: real.size], buffer[100:]
    one = fa.gan_generator_loss_with_grad(inside.copy(), reduction=reduction)
    got = fa.gan_generator_loss_with_grad(inside, reduction=reduction, out=moved)
    assert got[1] is moved
    same_bits(got, one)
    buffer[: real.size] = real.ravel()
    spare = np.empty_like(fake)
    got = fa.gan_discriminator_loss_with_grad(inside.reshape(5, 700), fake, out=(None, spare), real_weight=weight)
    assert got[2] is spare
    same_bits(got, fa.gan_discriminator_loss_with_grad(real, fake, real_weight=weight))


def test_memory_is_that_of_the_gradients():
    real, fake = outputs(500_000, dtype="float32"), outputs(500_000, dtype="float32", seed=1)
    grads = np.empty_like(real), np.empty_like(fake)
    calls = (
        (lambda: fa.gan_discriminator_loss(real, fake), 0),
        (lambda: fa.gan_discriminator_loss_with_grad(real, fake, out=grads), 0),
        (lambda: fa.gan_discriminator_loss_with_grad(real, fake), 2),
        (lambda: fa.gan_discriminator_loss_with_grad(real, fake, reduction="none"), 3),
        (lambda: fa.gan_generator_loss_with_grad(fake), 1),
    )
    for call, arrays in calls:
        call()
        tracemalloc.start()
        try:
            call()
            assert tracemalloc.get_traced_memory()[1] < (arrays + 0.1) * real.nbytes
        finally:
            tracemalloc.stop()


def test_masked_elements_count_nothing():
    """Each operand has masks of its own; of pairs both parts are left out."""
    rng = np.random.default_rng(5)
    real, fake = outputs(7, 11, dtype="float32"), outputs(30, dtype="float32", seed=1)
    hidden, masked = rng.random((7, 11)) < 0.3, rng.random(30) < 0.3
    real[hidden], fake[masked] = np.nan, np.nan
    weight = rng.random((7, 11)).astype("float32")
    for reduction in ("mean", "sum"):
        for kind in KINDS:
            options = {"kind": kind, "reduction": reduction, "upstream": 2.0}
            loss, *grads = fa.gan_discriminator_loss_with_grad(
                np.ma.array(real, mask=hidden), np.ma.array(fake, mask=masked), real_weight=weight, **options
            )
            expected, *slopes = fa.gan_discriminator_loss_with_grad(
                real[~hidden], fake[~masked], real_weight=weight[~hidden], **options
            )
            np.testing.assert_allclose(loss, expected, rtol=1e-6)
            for grad, slope, mask in zip(grads, slopes, (hidden, masked), strict=True):
                np.testing.assert_array_equal(np.ma.getmaskarray(grad), mask)
                np.testing.assert_allclose(grad.compressed(), slope, rtol=1e-6)
            loss, grad = fa.gan_generator_loss_with_grad(np.ma.array(fake, mask=masked), **options)
            expected, slope = fa.gan_generator_loss_with_grad(fake[~masked], **options)
            np.testing.assert_allclose(loss, expected, rtol=1e-6)
            np.testing.assert_allclose(grad.compressed(), slope, rtol=1e-6)
    pair = np.ma.array(real, mask=hidden), np.ma.array(np.resize(fake, (7, 11)), mask=np.resize(masked, (7, 11)))
    either = pair[0].mask | pair[1].mask
    out = np.ma.zeros((7, 11), "float32"), np.ma.zeros((7, 11), "float32")
    for result in fa.gan_discriminator_loss_with_grad(*pair, reduction="none", out=out):
        np.testing.assert_array_equal(result.mask, either)
    expected = fa.gan_discriminator_loss_with_grad(*(x.data[~either] for x in pair), reduction="none")
    for got, e in zip(out, expected[1:], strict=True):
        np.testing.assert_array_equal(got.compressed(), e)
    assert np.isnan(fa.gan_discriminator_loss(np.ma.array(real, mask=True), fake[~masked]))
    behind = np.ma.array(weight, mask=hidden)
    grads = fa.gan_discriminator_loss_with_grad(weight, weight, reduction="none", upstream=behind)[1:]
    assert all((grad.mask == hidden).all() for grad in grads)


def test_containers_of_two_shapes():
    """Each gradient comes back as its operand was."""
    pandas, xarray = pytest.importorskip("pandas"), pytest.importorskip("xarray")
    x, y = outputs(3, 2), outputs(4, seed=1)
    expected = fa.gan_discriminator_loss_with_grad(x, y)
    real, fake = pandas.DataFrame(x, columns=["a", "b"]), xarray.DataArray(y, {"n": list("uvwx")}, name="fake")
    loss, of_real, of_fake = fa.gan_discriminator_loss_with_grad(real, fake)
    assert list(of_real.columns) == ["a", "b"]
    assert list(of_fake.coords["n"].values) == list("uvwx")
    for got, e in zip((loss, of_real, of_fake), expected, strict=True):
        np.testing.assert_allclose(np.asarray(got), e, rtol=1e-15)


def test_lazy_arrays_of_two_shapes():
    """The masks of their blocks count, and what is no dask array is taken along."""
    dask = pytest.importorskip("dask.array")
    x, y = outputs(6, 5), outputs(8, seed=1)
    hidden = np.ma.array(x, mask=x > 1)
    for real, plain in ((dask.from_array(x, chunks=(2, 5)), x), (dask.from_array(hidden, chunks=(2, 5)), hidden)):
        for fake in (y, dask.from_array(y, chunks=3)):
            for options in ({}, {"reduction": "sum", "upstream": 3.0}, {"kind": "hinge", "dtype": "float32"}):
                with nothing_computed():
                    got = fa.gan_discriminator_loss_with_grad(real, fake, **options)
                for g, e in zip(got, fa.gan_discriminator_loss_with_grad(plain, y, **options), strict=True):
                    computed = g.compute(scheduler="synchronous")
                    assert computed.dtype == e.dtype
                    np.testing.assert_array_equal(np.ma.getmaskarray(computed), np.ma.getmaskarray(e))
                    np.testing.assert_allclose(np.ma.filled(computed, 0), np.ma.filled(e, 0), rtol=1e-6)
    lazy = dask.from_array(x, chunks=2)
    with pytest.raises(ValueError, match="real and fake must have one shape"):
        fa.gan_discriminator_loss(lazy, y, reduction="none")
    with pytest.raises(TypeError, match="out must be None"):
        fa.gan_generator_loss_with_grad(lazy, out=x)
    with pytest.raises(ValueError, match="upstream must be a number"):
        fa.gan_generator_loss_with_grad(lazy, upstream=x)


WRONG = (
    (ValueError, "kind must be one of 'non_saturating', 'saturating', .*, got 'minimax'", {"kind": "minimax"}),
    (ValueError, "kind must be one of .*, got None", {"kind": None}),
    (ValueError, "reduction must be one of 'mean', 'sum', 'none', got 'median'", {"reduction": "median"}),
    (TypeError, "dtype must be float16, float32, float64 or None", {"dtype": "int8"}),
    (TypeError, r"gan_\w+\(\) got an unexpected keyword argument 'nonsense'", {"nonsense": 1}),
)
DISCRIMINATORS = (
    (ValueError, "label_smoothing must be a number of at least 0 and below 1, got 1.0", {"label_smoothing": 1.0}),
    (TypeError, "label_smoothing must be a number", {"label_smoothing": "much"}),
    (
        ValueError,
        "label_smoothing must be 0 where kind is 'hinge', which has no targets, got 0.1",
        {"label_smoothing": 0.1, "kind": "hinge"},
    ),
    (ValueError, r"fake_weight must broadcast to the shape \(6,\), got \(5,\)", {"fake_weight": np.ones(5)}),
    (TypeError, "real_weight must hold real numbers, got complex", {"real_weight": 1j}),
    (
        ValueError,
        r"real and fake must have one shape where reduction is 'none', got \(4, 3\) and \(6,\)",
        {"reduction": "none"},
    ),
)
WITH_OUT = (
    (ValueError, "upstream must be a number where the loss is one", {"upstream": np.ones((4, 3))}),
    (TypeError, "out must be a tuple of two arrays, got ndarray", {"out": np.ones((4, 3), "float32")}),
    (TypeError, "out must be a tuple of two arrays, got a tuple of 1", {"out": (np.ones((4, 3), "float32"),)}),
)


def test_what_is_refused():
    real, fake = outputs(4, 3, dtype="float32"), outputs(6, dtype="float32", seed=1)
    places = np.full((4, 3), 7, np.float32), np.full(6, 7, np.float32)
    for error, words, given in (*WRONG, *DISCRIMINATORS):
        with pytest.raises(error, match=words):
            fa.gan_discriminator_loss(real, fake, **given)
        with pytest.raises(error, match=words):
            fa.gan_discriminator_loss_with_grad(real, fake, out=places, **given)
    for error, words, given in WITH_OUT:
        with pytest.raises(error, match=words):
            fa.gan_discriminator_loss_with_grad(real, fake, **given)
    for error, words, given in (*WRONG, (TypeError, "weight must hold real numbers", {"weight": "a"})):
        with pytest.raises(error, match=words):
            fa.gan_generator_loss(fake, **given)
        with pytest.raises(error, match=words):
            fa.gan_generator_loss_with_grad(fake, out=places[1], **given)
    read_only = fake.copy()
    read_only.flags.writeable = False
    for error, words, second in (
        (TypeError, "out must be an array of float32, got float64", np.ones(6)),
        (TypeError, "out must be an array of float32, got list", [1.0] * 6),
        (ValueError, r"out must have the shape \(6,\), got \(5,\)", np.ones(5, "float32")),
        (ValueError, "out is read-only", read_only),
    ):
        with pytest.raises(error, match=words):
            fa.gan_discriminator_loss_with_grad(real, fake, out=(places[0], second))
        with pytest.raises(error, match=words):
            fa.gan_generator_loss_with_grad(fake, out=second)
    with pytest.raises(ValueError, match="out must be two arrays, got the same one twice"):
        fa.gan_discriminator_loss_with_grad(fake, fake, out=(places[1], places[1]))
    with pytest.raises(TypeError, match="fake must be float16, float32 or float64, got complex"):
        fa.gan_discriminator_loss(real, 1j * fake)
    assert (places[0] == 7).all()
    assert (places[1] == 7).all()
