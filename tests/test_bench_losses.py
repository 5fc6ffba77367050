"""The benchmark's statements for losses of single elements: each computes what fastact does, in the same dtype."""

from types import SimpleNamespace

import numpy as np
import pytest

from fastact.bench import accuracy, cases, lossidioms, peers, rows
from fastact.bench.case import Case
from fastact.functions.pointwise import LOSSES

SHAPE = (4, 50)


def case_of(name, dtype, variant):
    return Case(name, "forward", dtype, SHAPE[0] * SHAPE[1], variant, SHAPE)


def test_every_loss_has_statements():
    assert set(lossidioms.LOSSES) == {name for loss in LOSSES for name in (loss, f"{loss}_with_grad")}
    for idiom in lossidioms.LOSSES.values():
        assert all(idiom.statement(peer) for peer in ("numpy", "torch", "jax"))


@pytest.mark.parametrize("peer", ["numpy", "torch", "jax"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", lossidioms.LOSSES)
def test_statements_give_the_same(name, dtype, peer):
    if not peers.installed(peer):
        pytest.skip(f"{peer} is not installed")
    if peer == "jax" and dtype == "float64":
        pytest.skip("it compiles for long, and knows no other formula")
    for variant in ("fresh", "out") if rows.idiom_of(name).out else ("fresh",):
        with peers.equal_terms(1, [peer]):
            found = cases.contenders(case_of(name, dtype, variant), [peer])
            assert set(found) == {"fastact", peer}
            expected = [np.copy(part) for part in accuracy.parts(found["fastact"].result())]
            got = [np.copy(part) for part in accuracy.parts(found[peer].result())]
        for g, e in zip(got, expected, strict=True):
            assert g.dtype == e.dtype == dtype
            np.testing.assert_allclose(g, e, rtol=0, atol=40 * np.finfo(dtype).eps * np.max(abs(e)))


@pytest.mark.parametrize("name", lossidioms.LOSSES)
def test_errors_are_measured_on_all_elements(name):
    """Of a mean none can be left out; NumPy's statement in the next wider float says what is exact."""
    case = case_of(name, "float32", "fresh")
    contenders = cases.contenders(case, ("numpy",))
    exact = accuracy.exact(case, contenders["numpy"].names)
    assert [np.shape(value) for value in exact.values] == [(), SHAPE][: 1 + name.endswith("_with_grad")]
    assert all(value.dtype == np.float64 for value in exact.values)
    assert exact.error(accuracy.parts(contenders["fastact"].result())) < 20
    assert exact.error([2 * value.astype("float32") for value in exact.values]) > 1000


@pytest.mark.parametrize("name", lossidioms.LOSSES)
def test_data_are_what_the_loss_takes(name):
    arrays = rows.arrays_of(case_of(name, "float16", "fresh"))
    loss = LOSSES[name.removesuffix("_with_grad")]
    x, target = (arrays[key].astype(float) for key in ("x", "target"))
    assert {arrays["x"].dtype, arrays["target"].dtype} == {np.dtype("float16")}
    kinds = {loss.takes.kind: x, loss.target.operand.kind: target}
    for kind, values in kinds.items():
        if kind in ("shares", "probabilities"):
            assert np.all((values >= 0) & (values <= 1))
        if kind == "logarithms":
            np.testing.assert_allclose(np.exp(values).sum(-1), 1, rtol=1e-2)
    if loss.target.operand.kind == "probabilities":
        assert set(np.unique(target)) == {0, 1}
    if loss.target.operand.kind == "labels":
        assert set(np.unique(target)) == {-1, 1}


def test_numpy_gradients_match_differences():
    step = 2.0**-20
    for name in LOSSES:
        value, with_grad = (getattr(lossidioms, f"{name}{suffix}") for suffix in ("", "_with_grad"))
        arrays = rows.arrays_of(case_of(name, "float64", "fresh"))
        x, target = arrays["x"], arrays["target"]
        direction = np.random.default_rng(3).normal(size=x.shape) * (abs(abs(x - target) - 1) > 1e-3)
        slope = (value(x + step * direction, target) - value(x - step * direction, target)) / (2 * step)
        loss, grad = with_grad(x, target)
        np.testing.assert_allclose(loss, value(x, target), rtol=1e-13)
        np.testing.assert_allclose(np.sum(grad * direction), slope, rtol=1e-5, err_msg=name)


def test_jax_expressions_hold_in_numpy():
    """Where JAX is not installed, too: its functions are NumPy's, but for two."""
    nn = SimpleNamespace(softplus=lambda x: np.logaddexp(x, 0), sigmoid=lambda x: 1 / (1 + np.exp(-x)))
    for name in LOSSES:
        arrays = rows.arrays_of(case_of(name, "float64", "fresh"))
        got = eval(lossidioms.LOSSES[name].jax, {"jnp": np, "nn": nn, **arrays})
        expected = getattr(lossidioms, name)(arrays["x"], arrays["target"])
        np.testing.assert_allclose(got, expected, rtol=1e-12, err_msg=name)
