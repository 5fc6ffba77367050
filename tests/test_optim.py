"""Optimizers that keep their state, and schedules: they take up where they were left, and do what PyTorch's do."""

import doctest
import pickle

import numpy as np
import pytest

from fastact import optim

EVERY = {
    "SGD": {"momentum": 0.9, "dampening": 0.5},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "RMSprop": {"centered": True, "momentum": 0.9},
    "Adagrad": {"lr_decay": 0.1},
}


def gradients(params, rng):
    return {key: rng.normal(size=x.shape).astype(x.dtype) for key, x in params.items()}


@pytest.mark.parametrize("name", EVERY)
def test_training_goes_on_from_its_state(name):
    """After half of the steps, in another process so to say: the same bits as without a break."""
    rng = np.random.default_rng(0)
    params = {"weight": rng.normal(size=(3, 5)).astype("f4"), "bias": np.zeros(5, "f2"), "scale": np.ones(())}
    grads = [gradients(params, rng) for _ in range(6)]
    schedule = optim.WarmUp(optim.CosineDecay(0.1, 5), 3)
    optimizer = getattr(optim, name)(params, lr=schedule, **EVERY[name])
    for grad in grads[:3]:
        optimizer.step(grad)
    kept = pickle.dumps((params, optimizer.state_dict()))
    for grad in grads[3:]:
        optimizer.step(grad)
    again, state = pickle.loads(kept)
    other = getattr(optim, name)(again, lr=schedule, **EVERY[name])
    other.load_state_dict(state)
    assert other.steps == 3
    for grad in grads[3:]:
        other.step(grad)
    for key, x in params.items():
        np.testing.assert_array_equal(x, again[key])
    assert {x.dtype for kept in other.state.values() for x in kept.values()} == {np.dtype("f4"), np.dtype("f8")}
    assert other.learning_rate == schedule(6)


def test_a_state_is_a_copy():
    weight = np.ones(3)
    optimizer = optim.Adam(weight)
    state = optimizer.state_dict()
    optimizer.step(np.ones(3))
    assert state["steps"] == 0
    assert (state["state"]["m"] == 0).all()
    optimizer.load_state_dict(state)
    optimizer.step(np.ones(3))
    assert (state["state"]["m"] == 0).all()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("steps"), "state_dict must have steps and state, got"),
        (lambda s: s.update(steps=-1), "steps must be at least 0, got -1"),
        (lambda s: s["state"].pop("v"), r"state must hold \['m', 'v'\], got \['m'\]"),
        (lambda s: s["state"].update(v=[np.ones(2)]), r"v must have the arrays"),
        (lambda s: s["state"]["v"].__setitem__(1, np.ones(3)), r"v\[1\] must have the shape \(2, 2\), got \(3,\)"),
    ],
)
def test_a_state_of_something_else(change, match):
    optimizer = optim.Adam([np.ones(2), np.ones((2, 2))])
    optimizer.step([np.ones(2), np.ones((2, 2))])
    before, wrong = optimizer.state_dict(), optimizer.state_dict()
    wrong["steps"] = 7
    wrong["state"]["m"][0][:] = 77
    change(wrong)
    with pytest.raises(ValueError, match=match):
        optimizer.load_state_dict(wrong)
    assert optimizer.steps == 1
    for name, arrays in before["state"].items():
        for x, old in zip(optimizer.state[name], arrays, strict=True):
            np.testing.assert_array_equal(x, old)


def test_a_step_that_is_refused_does_not_count():
    params = [np.ones(2), np.ones(3)]
    optimizer = optim.SGD(params, momentum=0.9)
    with pytest.raises(ValueError, match=r"grad\[1\] must have the shape \(3,\), got \(2,\)"):
        optimizer.step([np.ones(2), np.ones(2)])
    assert optimizer.steps == 0
    assert all((x == 1).all() for x in params)


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: optim.Adam([np.ones(2)], lr=-1.0), ValueError, "lr must be a finite number of at least 0, got -1.0"),
        (lambda: optim.Adam([np.ones(2)], betas=(0.9, 2.0)), ValueError, r"betas\[1\] must be"),
        (lambda: optim.Adam([1.0]), TypeError, r"params\[0\] must be an array, got float"),
        (lambda: optim.Adam(iter([])), TypeError, "params must be an array, or a list or dict of arrays, got"),
        (lambda: optim.Adam([np.ones(2)], amsgrad="yes"), TypeError, "amsgrad must be True or False, got 'yes'"),
        (lambda: optim.SGD([np.ones(2)], nesterov=True), ValueError, "nesterov must have a momentum"),
        (lambda: optim.SGD([np.ones(2, int)]), TypeError, r"params\[0\] must be an array of float16"),
        (lambda: optim.RMSprop([np.ones(2)], alpha=1.5), ValueError, "alpha must be"),
        (lambda: optim.Adagrad([np.ones(2)], initial_accumulator_value=-1), ValueError, "of at least 0, got -1"),
        (lambda: optim.SGD([np.ones(2)], lr=lambda steps: None), TypeError, "lr must be"),
        (lambda: optim.StepDecay(0.1, 0), ValueError, "every must be at least 1, got 0"),
        (lambda: optim.CosineDecay(0.1, 1.5), TypeError, "steps must be a number of steps, an integer, got 1.5"),
        (lambda: optim.WarmUp(0.1, 5, np.inf), ValueError, "start must be a finite number"),
    ],
)
def test_what_makes_no_optimizer(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda value: optim.StepDecay(value, 3), "lr"),
        (lambda value: optim.StepDecay(0.1, 3, value), "factor"),
        (lambda value: optim.CosineDecay(value, 3), "lr"),
        (lambda value: optim.CosineDecay(0.1, 3, value), "least"),
        (lambda value: optim.WarmUp(value, 3), "after"),
        (lambda value: optim.WarmUp(0.1, 3, value), "start"),
    ],
    ids=["step lr", "step factor", "cosine lr", "cosine least", "warm-up after", "warm-up start"],
)
def test_rates_that_make_no_schedule(make, name):
    for value, error in (
        (-0.1, ValueError),
        (np.nan, ValueError),
        (np.inf, ValueError),
        ("a", TypeError),
        (None, TypeError),
    ):
        with pytest.raises(error, match=f"{name} must be a finite number of at least 0, got "):
            make(value)


@pytest.mark.parametrize(
    ("state", "match"),
    [
        (None, "state_dict must be a mapping, got NoneType"),
        ([("steps", 1), ("state", {})], "state_dict must be a mapping, got list"),
        ({"steps": 1, "state": None}, "state must be a mapping, got NoneType"),
        ({"steps": "a", "state": {}}, "steps must be an integer, got 'a'"),
        (
            {"steps": 1, "state": {"m": None, "v": None}},
            "^m must be an array, or a list or dict of arrays, got NoneType",
        ),
        ({"steps": 1, "state": {"m": [None], "v": [None]}}, r"^m\[0\] must be float16, float32 or float64, got object"),
    ],
)
def test_a_state_of_another_type(state, match):
    optimizer = optim.Adam([np.ones(2)])
    with pytest.raises(TypeError, match=match):
        optimizer.load_state_dict(state)
    assert optimizer.steps == 0


def test_schedules_are_those_of_pytorch():
    torch = pytest.importorskip("torch")
    schedulers = torch.optim.lr_scheduler

    def course(make):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.4)
        scheduler, found = make(optimizer), []
        for _ in range(12):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return found

    def both(optimizer):
        parts = [schedulers.LinearLR(optimizer, 0.25, total_iters=4), schedulers.CosineAnnealingLR(optimizer, 8)]
        return schedulers.SequentialLR(optimizer, parts, milestones=[4])

    for ours, theirs in (
        (optim.StepDecay(0.4, 3, 0.5), lambda o: schedulers.StepLR(o, 3, 0.5)),
        (optim.CosineDecay(0.4, 11, 0.1), lambda o: schedulers.CosineAnnealingLR(o, 11, 0.1)),
        (optim.WarmUp(0.4, 5), lambda o: schedulers.LinearLR(o, total_iters=5)),
        (optim.WarmUp(optim.CosineDecay(0.4, 8), 4, 0.25), both),
    ):
        np.testing.assert_allclose([ours(k) for k in range(12)], course(theirs), rtol=1e-12, atol=1e-15)


def test_a_schedule_is_what_steps_use():
    weight = np.zeros(1)
    optimizer = optim.SGD(weight, lr=optim.StepDecay(1.0, 2, 0.5))
    for expected in (-1.0, -2.0, -2.5, -3.0, -3.25):
        optimizer.step(np.ones(1))
        assert weight[0] == expected
    optimizer.lr = 2.0
    optimizer.step(np.ones(1))
    assert weight[0] == -5.25
    assert repr(optimizer).startswith("SGD(1 arrays, lr=2.0, momentum=0.0")


def test_examples():
    assert doctest.testmod(optim).failed == 0
    assert doctest.testmod(optim).attempted > 10
