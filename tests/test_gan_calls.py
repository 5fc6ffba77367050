"""How losses of generative adversarial networks are called: with results given, masked, in containers, lazily, or wrongly."""

import tracemalloc

import numpy as np
import pytest

import fastact as fa
from fastact.functions.gan_criteria import KINDS
from tests.containers import nothing_computed


def outputs(*shape, dtype="float64", seed=0, scale=3.0):
    return np.random.default_rng(seed).normal(scale=scale, size=shape).astype(dtype)


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
    with pytest.raises(ValueError, match="out must be two arrays that do not overlap"):
        fa.gan_discriminator_loss_with_grad(fake, fake, out=(places[1], places[1]))
    shared = np.full(fake.size + 2, 7, fake.dtype)
    with pytest.raises(ValueError, match="out must be two arrays that do not overlap"):
        fa.gan_discriminator_loss_with_grad(fake, fake, out=(shared[:-2], shared[2:]))
    assert (shared == 7).all()
    with pytest.raises(TypeError, match="fake must be float16, float32 or float64, got complex"):
        fa.gan_discriminator_loss(real, 1j * fake)
    assert (places[0] == 7).all()
    assert (places[1] == 7).all()
