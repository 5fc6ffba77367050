"""Every function keeps the error that its record promises, and none grows worse than ``tools/sweep.py`` measured it."""

from typing import Any

import numpy as np
import pytest

import fastact
from tests import mpmaths
from tests.conftest import REPRESENTATIVES
from tests.ulp import (
    compute,
    float32_errors,
    float32_samples,
    float64_samples,
    functions,
    halves_rounded_twice,
    load_accuracy,
    parameters,
    promised,
    split,
    stored_inputs,
    ulp_error,
)

STORED = load_accuracy()
SLACK = 1e-3
"""Between measurements of one kernel on two machines: float64 references differ in their last places."""
EVERY = 30
"""The sweep measures all float64 samples, the test one of so many."""

every_function = pytest.mark.parametrize("name", functions())
variants = [(name, sample) for name in functions() for sample in range(1, len(split(name)[0].samples))]


def check(name: str, dtype: str, x: Any, errors: Any) -> None:
    """Fail if the largest error breaks the promise, or exceeds the stored one."""
    at = int(np.argmax(errors))
    found = f"{name} at {x[at]!r} ({float(x[at]).hex()}) is {errors[at]:.6g} ULP off in {dtype}"
    bound = promised(name, dtype)
    assert errors[at] <= bound, f"{found}; its record promises {bound:g}"
    stored = STORED.get(name, {}).get(dtype)
    if stored:
        option = " --float64" if dtype == "float64" else ""
        assert errors[at] <= stored["max_ulp"] + SLACK, (
            f"{found}; the largest error so far was {stored['max_ulp']:g}. Make the function as exact as it was or,"
            f" if the loss is worth it, run `python tools/sweep.py {name}{option} --write` and say why in the commit."
        )


def stored_worst(name: str, dtype: str) -> Any:
    entry = STORED.get(name, {}).get(dtype, {"at": []})
    return stored_inputs(entry, dtype)


@every_function
def test_float32(name: str) -> None:
    x = np.concatenate([float32_samples(split(name)[0]), stored_worst(name, "float32")])
    check(name, "float32", x, float32_errors(name, x))


@pytest.mark.parametrize("variant", variants, ids=[f"{name}-{sample}" for name, sample in variants])
def test_float32_with_other_parameters(variant: tuple[str, int]) -> None:
    name, sample = variant
    x = float32_samples(split(name)[0])
    errors = float32_errors(name, x, sample)
    at = int(np.argmax(errors))
    given = parameters(split(name)[0], np.float32, sample)
    assert errors[at] <= promised(name, "float32"), f"{name}({x[at]!r}, {given}) is {errors[at]:.6g} ULP off"


@every_function
def test_float64(name: str) -> None:
    samples = float64_samples(split(name)[0])
    x = np.concatenate([samples[::EVERY], stored_worst(name, "float64")])
    check(name, "float64", x, mpmaths.float64_errors(name, x))


@pytest.mark.parametrize("name", [case.name for case in REPRESENTATIVES if case.name in functions()])
def test_float16_rounds_the_float32_result_once(name: str) -> None:
    """Of some: ``tools/sweep.py --float16`` tries all, each a kernel to compile that differs from others in its formula only."""
    found = halves_rounded_twice(name)
    assert not found, found


@every_function
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_measurement_is_stored_and_within_the_promise(name: str, dtype: str) -> None:
    option = " --float64" if dtype == "float64" else ""
    assert dtype in STORED.get(name, {}), f"run `python tools/sweep.py {name}{option} --write`"
    stored = STORED[name][dtype]
    assert stored["max_ulp"] <= promised(name, dtype), f"{name} is {stored['max_ulp']:g} ULP off at {stored['at'][0]}"


def test_nothing_is_stored_of_functions_that_are_gone() -> None:
    assert set(STORED) <= set(functions()), "delete these from tests/data/accuracy.json"


class TestUlpError:
    """The ruler itself."""

    def test_counts_spacings(self) -> None:
        x = np.float32([1.0, -3.0, 1e-45, 0.0])
        off = np.nextafter(x, np.float32(np.inf))
        assert ulp_error(off, x, np.float32).tolist() == [1, 1, 1, 1]

    def test_spacing_is_of_the_exact_values_binade(self) -> None:
        below_one = 1 - 2.0**-30
        assert ulp_error(np.float32(1), below_one, np.float32)[0] == 2.0**-6

    def test_measures_by_a_scale(self) -> None:
        assert ulp_error(np.float32(2.0**-23), 0.0, np.float32, scale=1.0)[0] == 1

    @pytest.mark.parametrize("dtype", [np.float16, np.float32])
    def test_specials(self, dtype: Any) -> None:
        largest = np.finfo(dtype).max
        beyond = 2.0 ** np.finfo(dtype).maxexp
        computed = np.array([np.nan, np.nan, 1, np.inf, -np.inf, np.inf, largest, np.inf, largest, -0.0], dtype=dtype)
        exact = np.array([np.nan, 1, np.nan, np.inf, np.inf, beyond, beyond, largest, np.inf, 0])
        assert ulp_error(computed, exact, dtype).tolist() == [0, np.inf, np.inf, 0, np.inf, 0, 1, 1, np.inf, 0]

    @pytest.mark.parametrize("name", ["silu", "silu_backward", "log1p"])
    def test_both_rulers_agree(self, name: str) -> None:
        x = np.float32([-0.75, -0.1, 0.3, 2.5])
        results = compute(name, x)
        exactly = [
            mpmaths.ulp_error(float(y), *mpmaths.exact(name, float(at))) for at, y in zip(x, results, strict=True)
        ]
        np.testing.assert_allclose(float32_errors(name, x), np.array(exactly) / 2.0**29, rtol=1e-6)


def test_every_op_is_measured() -> None:
    """Whatever has a reference is in the tables above."""
    assert {split(name)[0].name for name in functions()} == set(fastact.ops)
