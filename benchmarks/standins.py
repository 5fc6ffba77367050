"""NumPy's functions beside those that stand in for them: ``python -m benchmarks.standins``.

Each function of ``fastact.numpy`` that is not NumPy's, by dtype, number of elements and layout, at the default number of threads.
``with accelerate`` are programs of other packages, once as they are and once after ``fastact.accelerate()``.
"""

import math
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

import fastact as fa
from benchmarks.harness import accuracy, tables
from benchmarks.turns import Cells, Medians, command

PAGE = """\
<!-- Written by python -m benchmarks.standins --page: do not edit. -->
# NumPy's functions, and what stands in for them

How many times as long NumPy's own function takes as that of `fastact.numpy`, which raises the same floating-point exceptions: the
median over {rounds} rounds in turns, and the quartiles. Results go into an array that is given; *strided* is every other element of
one twice as long. The programs at the end know nothing of fastact: they are run as often as takes a tenth of a second, as they are,
and inside one `with fastact.accelerate()`.

{conditions} <vectors>

## In short

The geometric mean of all functions, the least of them, and how many are slower than NumPy's, by more than 3 %.

<summary>

## Errors

The largest error of a result in units of its last place, on this processor: of a million numbers with random bits and as many near
1. Where the processor has vectors of 512 bits, NumPy calls Intel's SVML, of which fastact shares out what is quicker than its own
and as exact: some of float64. `logaddexp` of float64 is left out, for want of exact values where terms cancel.

<errors>

## All

{table}
"""
DTYPES = ("float32", "float64")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return command("python -m benchmarks.standins", __doc__, "call", ("NumPy",), _makers, _page, arguments)


def _makers(quick: bool) -> list[Callable[[], Cells]]:
    sizes = (10, 1000) if quick else (10, 100, 1000, 10_000, 1_000_000, 16_000_000)
    calls: list[Callable[[], Cells]] = [partial(_calls, size, dtype) for size in sizes for dtype in DTYPES]
    calls += [partial(_calls, 1000 if quick else 100_000, dtype, strided=True) for dtype in DTYPES]
    return [*calls, partial(_selects, 10_000 if quick else 1_000_000), partial(_programs, quick)]


def _page(quick: bool, medians: Medians) -> str:
    """The page without the figures that every page has."""
    found = {"vectors": _vectors(), "summary": _summary(medians), "errors": _errors(10_000 if quick else 1_000_000)}
    page = PAGE
    for name, text in found.items():
        page = page.replace(f"<{name}>", text)
    return page


def _vectors() -> str:
    """For which vectors both sides are compiled."""
    from fastact.kernels import target
    from fastact.warm import vector_width

    known: Any = np._core._multiarray_umath  # type: ignore[attr-defined]
    kinds = [kind for kind in known.__cpu_dispatch__ if known.__cpu_features__[kind]]
    width = vector_width(target.vector_type())
    return f"Vectors: fastact {width}, NumPy {', '.join(kinds) or 'no more than its baseline'}."


def _ufuncs() -> list[str]:
    """Names of what stands in for a ufunc."""
    import fastact.numpy as fnp  # which older versions, beside whom asv imports this module, lack

    return [name for name in fnp.replaced if isinstance(getattr(np, name), np.ufunc)]


def _summary(medians: Medians) -> str:
    groups: dict[str, list[float]] = {}
    names = _ufuncs()
    for label, median in medians.items():
        name, _, group = label.partition(", ")
        if name in names:
            groups.setdefault(group, []).append(median["NumPy"])
    rows = [
        (
            group,
            f"{np.exp(np.mean(np.log(ratios))):.2f}",
            f"{min(ratios):.2f}",
            f"{sum(ratio < 0.97 for ratio in ratios)} of {len(ratios)}",
        )
        for group, ratios in groups.items()
    ]
    return tables.table(("elements", "mean", "least", "slower"), rows, markdown=True)


def _errors(count: int) -> str:
    """A table of errors, of both, where there is a wider float to compare with."""
    import fastact.numpy as fnp
    from fastact.functions.elementwise import OPS

    rows = []
    for name in sorted(op.stands_in.name for op in OPS.values() if op.stands_in):
        row = [name]
        for dtype, wide in (("float32", np.float64), ("float64", np.longdouble)):
            known = getattr(np, name)
            wider = np.finfo(wide).nmant > np.finfo(dtype).nmant + 8
            if not wider or (dtype == "float64" and name.startswith("logaddexp")):
                row += ["", ""]
                continue
            arrays = [_numbers(seed, count, dtype) for seed in range(known.nin)]
            with np.errstate(all="ignore"):
                exact = known(*[x.astype(wide) for x in arrays])
                row += [_shown_error(function(*arrays), exact) for function in (getattr(fnp, name), known)]
        rows.append(tuple(row))
    head = ("function", "fastact, float32", "NumPy, float32", "fastact, float64", "NumPy, float64")
    return tables.table(head, rows, markdown=True)


def _numbers(seed: int, count: int, dtype: str) -> np.ndarray:
    rng, size = np.random.default_rng(seed), np.dtype(dtype).itemsize
    x = rng.integers(0, 2 ** (8 * size), count, f"u{size}").view(dtype)
    near = 2 * rng.standard_normal(count).astype(dtype)
    return np.concatenate([np.where(np.isfinite(x), x, near), near])


def _shown_error(got: np.ndarray, exact: np.ndarray) -> str:
    """The largest error of results that are finite."""
    usual = np.abs(exact) < np.finfo(got.dtype).max
    return f"{accuracy.ulp(got[usual], exact[usual], np.abs(exact[usual]), got.dtype.name):.2f}"


def _operand(name: str, size: int, dtype: str, seed: int = 0) -> np.ndarray:
    """Numbers that the function is defined for."""
    x = np.random.default_rng(seed).standard_normal(size).astype(dtype)
    return np.abs(x) + np.dtype(dtype).type(0.1) if name.startswith(("log", "power")) else x


def _calls(size: int, dtype: str, strided: bool = False) -> Cells:
    import fastact.numpy as fnp

    cells: Cells = {}
    for name in _ufuncs():
        step = 1 + strided
        # Not the same twice, for which NumPy's logaddexp has a shorter way.
        arrays = [_operand(name, step * size, dtype, seed)[::step] for seed in range(getattr(np, name).nin)]
        out = np.empty(size, dtype)
        cells[f"{name}, {size:,} of {dtype}{', strided' * strided}"] = {
            "fastact": partial(getattr(fnp, name), *arrays, out=out),
            "NumPy": partial(getattr(np, name), *arrays, out=out),
        }
    return cells


def _selects(size: int) -> Cells:
    import fastact.numpy as fnp

    cells: Cells = {}
    for dtype in DTYPES:
        x = _operand("where", size, dtype)
        calls: dict[str, tuple[str, tuple[Any, ...]]] = {
            "where(x > 0, x, 0.0)": ("where", (x > 0, x, 0.0)),
            "select([x > 1, x > 0], [x, -x], 0.0)": ("select", ([x > 1, x > 0], [x, -x], 0.0)),
            "clip(x, -1, 1)": ("clip", (x, -1, 1)),
        }
        for label, (name, operands) in calls.items():
            cells[f"{label}, {size:,} of {dtype}"] = {
                "fastact": partial(getattr(fnp, name), *operands),
                "NumPy": partial(getattr(np, name), *operands),
            }
    return cells


def _accelerated(call: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        with fa.accelerate():
            call()

    return run


def _often(call: Callable[[], object], seconds: float) -> Callable[[], None]:
    call()
    start = time.perf_counter()
    call()
    repeats = math.ceil(seconds / (time.perf_counter() - start))

    def run() -> None:
        for _ in range(repeats):
            call()

    return run


def _programs(quick: bool) -> Cells:
    """Programs of packages that are installed."""
    found: dict[str, Callable[[], object]] = {}
    rng = np.random.default_rng(0)
    rows = 100 if quick else 5000
    x, y = rng.normal(size=(rows, 20)), rng.integers(0, 3, rows)
    try:
        from scipy import special

        logits = rng.normal(size=(rows, 1000))
        found[f"scipy.special.softmax, {rows} x 1000"] = partial(special.softmax, logits, axis=1)
        found[f"scipy.special.logsumexp, {rows} x 1000"] = partial(special.logsumexp, logits, axis=1)
    except ImportError:
        pass
    try:
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.linear_model import LogisticRegression
        from sklearn.neural_network import MLPClassifier

        network = MLPClassifier((64,), activation="tanh", max_iter=3, random_state=0, tol=0, n_iter_no_change=9)
        found[f"sklearn's MLPClassifier, {rows} rows"] = lambda: _quietly(network.fit, x, y)
        found[f"sklearn's LogisticRegression, {rows} rows"] = partial(LogisticRegression(max_iter=20).fit, x, y)
        few = max(50, rows // 10)
        process = GaussianProcessRegressor(random_state=0)
        found[f"sklearn's GaussianProcessRegressor, {few} rows"] = partial(process.fit, x[:few], x[:few, 0])
    except ImportError:
        pass
    found[f"a normal log-likelihood, {20 * rows}"] = lambda: (-0.5 * x**2 - np.log1p(np.exp(-x))).sum()
    cells: Cells = {}
    for name, call in found.items():
        often = _often(call, 0.001 if quick else 0.1)
        cells[f"{name}, with accelerate"] = {"fastact": _accelerated(often), "NumPy": often}
    return cells


def _quietly(function: Callable[..., object], *args: object) -> object:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three passes do not converge
        return function(*args)


if __name__ == "__main__":
    raise SystemExit(main())
