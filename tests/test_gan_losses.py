"""Losses of generative adversarial networks: precision, limits, sums, layouts, dtypes, and what PyTorch has."""

import math

import numpy as np
import pytest

import fastact as fa
from fastact.calls.elements import ROW, SLAB
from fastact.functions.gan_criteria import CROSS_ENTROPY, HINGE, KINDS, LEAST_SQUARES, LINEAR
from tests.placement import ways_to_lie
from tests.ulp import units

DTYPES = ("float16", "float32", "float64")
CRITERIA = (CROSS_ENTROPY, LEAST_SQUARES, HINGE, LINEAR)
SIZES = (0, 1, 2, 31, 33, 1025, ROW - 1, ROW, ROW + 1, 3 * ROW + 5, SLAB + 1)
ULP = 4


def outputs(*shape, dtype="float64", seed=0, scale=3.0):
    return np.random.default_rng(seed).normal(scale=scale, size=shape).astype(dtype)


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


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_bits_depend_on_neither_layout_nor_threads(kind, reduction, same_bits):
    """Of arrays that are worth threads."""
    shape, options = (5, 11, ROW + 13), {"kind": kind, "reduction": reduction}
    real, fake = outputs(*shape, dtype="float32"), outputs(*shape, dtype="float32", seed=1)
    expected = fa.gan_discriminator_loss_with_grad(real, fake, **options)
    generated = fa.gan_generator_loss_with_grad(fake, **options)
    for (how, placed), (_, other) in zip(ways_to_lie(real), ways_to_lie(fake), strict=True):
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
