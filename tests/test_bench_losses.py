"""The benchmark's statements for losses and scores: each computes what fastact does, in the same dtype."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import special

from fastact import table
from fastact.bench import accuracy, cases, labelledidioms, lossidioms, peers, rows
from fastact.bench.case import Case
from fastact.functions.pointwise import LOSSES

SHAPE = (40, 9)
NAMES = [*rows.LOSSES, *labelledidioms.ENTROPIES]
CURVED, WITH_GRAD = "_with_grad_hess", "_with_grad"


def case_of(name, dtype, variant):
    return Case(name, "forward", dtype, SHAPE[0] * SHAPE[1], variant, SHAPE)


def called(name, arrays, peer="numpy"):
    """What NumPy's statement gives, or one of JAX's that needs no derivatives, with NumPy in JAX's place."""
    statement = getattr(rows.ROWS[name], peer).replace(", out=out)", ")")
    nn = SimpleNamespace(
        softplus=lambda x: np.logaddexp(x, 0),
        sigmoid=special.expit,
        log_sigmoid=special.log_expit,
        softmax=lambda x: special.softmax(x, -1),
        log_softmax=lambda x: special.log_softmax(x, -1),
        logsumexp=special.logsumexp,
    )
    lax = SimpleNamespace(top_k=lambda x, k: (np.sort(x)[-k:],))
    return eval(statement, {**rows.NAMESPACES, "jnp": np, "nn": nn, "lax": lax, **arrays})


def test_every_function_has_statements():
    """Nothing in the table is compared with its reference alone."""
    assert rows.others() == {}
    assert set(lossidioms.LOSSES) == {name for loss in LOSSES for name in (loss, f"{loss}_with_grad")}
    for name in NAMES:
        assert all(rows.ROWS[name].statement(peer) for peer in ("numpy", "torch", "jax")), name


@pytest.mark.parametrize("peer", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_statements_give_the_same(name, dtype, peer):
    if not peers.installed(peer):
        pytest.skip(f"{peer} is not installed")
    if peer == "jax" and dtype == "float64":
        pytest.skip("it compiles for long, and knows no other formula")
    for variant in ("fresh", "out") if rows.idiom_of(name).out else ("fresh",):
        with peers.equal_terms(1, [peer]):
            found = cases.contenders(case_of(name, dtype, variant), [peer])
            assert set(found) - {"scipy"} == {"fastact", peer}
            ours, *others = found.values()
            expected = [np.copy(part) for part in accuracy.parts(ours.result())]
            for contender in others:
                got = [np.copy(part) for part in accuracy.parts(contender.result())]
                for g, e in zip(got, expected, strict=peer != "jax" or not rows.ROWS[name].changed):
                    given = "float64" if name == "clip_grad_norm" else dtype  # which returns a sum of squares' root
                    assert (g.dtype, g.shape) == (e.dtype, e.shape) == (given, e.shape)
                    # The others' Lovasz derivatives are differences of neighbours that are nearly 1.
                    largest = 1 if name.startswith("lovasz") else np.max(abs(e))
                    np.testing.assert_allclose(g, e, rtol=0, atol=40 * np.finfo(dtype).eps * largest)


@pytest.mark.parametrize("name", rows.LOSSES)
def test_errors_are_measured_on_all_elements(name):
    """Of a mean none can be left out; NumPy's statement in the next wider float says what is exact.

    Of terms that cancel it is the largest whose last place counts: among so many elements there are some of which little is left.
    """
    shape = (1000, SHAPE[1])
    case = Case(name, "forward", "float32", 9000, "fresh", shape)
    contenders = cases.contenders(case, ("numpy",))
    exact = accuracy.exact(case, contenders["numpy"].names)
    derivatives = 2 if name.endswith(CURVED) or name.startswith("gan_discriminator") else 1
    assert [np.shape(value) for value in exact.values] == [(), *[shape] * derivatives * (WITH_GRAD in name)]
    assert all(value.dtype == np.float64 for value in exact.values)
    assert exact.error(accuracy.parts(contenders["fastact"].result())) < 20
    assert exact.error([2 * value.astype("float32") for value in exact.values]) > 1000


@pytest.mark.parametrize("name", rows.LOSSES)
def test_data_are_what_the_function_takes(name):
    arrays = rows.arrays_of(case_of(name, "float16", "fresh"))
    named = [key for key in ("x", "target", "fake") if key in arrays]
    for key, operand in zip(named, table.function(name).operands, strict=True):
        values, kind = arrays[key].astype(float), operand.kind
        if arrays[key].dtype.kind == "i":
            assert kind == "labels"
            assert values.shape == operand.shape(SHAPE, 1)
            assert set(np.unique(values)) == set(range(operand.below or SHAPE[1]))
        else:
            assert arrays[key].dtype == np.float16
        if kind in ("shares", "probabilities"):
            assert np.all((values >= 0) & (values <= 1))
        if kind == "logarithms":
            np.testing.assert_allclose(np.exp(values).sum(-1), 1, rtol=1e-2)
    loss = LOSSES.get(name.removesuffix(CURVED).removesuffix(WITH_GRAD))
    if loss is not None and loss.target.operand.kind in ("probabilities", "labels"):
        assert set(np.unique(arrays["target"])) == ({0, 1} if loss.target.operand.kind == "probabilities" else {-1, 1})


def test_numpy_gradients_match_differences():
    step, rng = 2.0**-20, np.random.default_rng(3)
    for name in (name for name in rows.LOSSES if name.endswith(WITH_GRAD)):
        arrays = rows.arrays_of(case_of(name, "float64", "fresh"))
        loss, *grads = called(name, arrays)
        value = name.removesuffix(WITH_GRAD)
        np.testing.assert_allclose(
            loss, np.sum(called(value, arrays)), rtol=1e-13, err_msg=name
        )  # of entropies, of rows
        for key, grad in zip(("x", "fake"), grads, strict=False):
            x = arrays[key]
            near = abs(abs(x - arrays["target"]) - 1) < 1e-3 if np.shape(arrays.get("target")) == x.shape else False
            direction = rng.normal(size=x.shape) * ~np.asarray(near)
            above, below = (np.sum(called(value, arrays | {key: x + d * direction})) for d in (step, -step))
            slope = (above - below) / (2 * step)
            np.testing.assert_allclose(np.sum(grad * direction), slope, rtol=1e-5, err_msg=f"{name} by {key}")


def test_numpy_second_derivatives_match_differences():
    step = 2.0**-14
    for name in (name for name in rows.LOSSES if name.endswith(CURVED)):
        arrays = rows.arrays_of(case_of(name, "float64", "fresh"))
        x, (loss, _, hess) = arrays["x"], called(name, arrays)
        for j in range(SHAPE[1]):
            direction = np.eye(SHAPE[1])[j]
            above, below = (called(name, arrays | {"x": x + d * direction}) for d in (step, -step))
            slope = (above[1] - below[1])[:, j] / (2 * step)
            np.testing.assert_allclose(hess[:, j], slope, rtol=1e-5, atol=1e-10, err_msg=name)
        assert loss == pytest.approx((above[0] + below[0]) / 2, rel=1e-6)


def test_jax_expressions_hold_in_numpy():
    """Where JAX is not installed, too: its functions are NumPy's and SciPy's, but for derivatives."""
    for name in (name for name in NAMES if not name.endswith(WITH_GRAD)):
        arrays = rows.arrays_of(case_of(name, "float64", "fresh"))
        got, expected = called(name, arrays, "jax"), called(name, arrays)
        pure = not rows.ROWS[name].changed  # else JAX, which changes nothing, returns what others have changed as well
        for g, e in zip(accuracy.parts(got), accuracy.parts(expected), strict=pure):
            np.testing.assert_allclose(g, e, rtol=1e-11, atol=1e-16, err_msg=name)
