"""NumPy's functions beside those that stand in for them: ``python -m benchmarks.standins``.

Each function of ``fastact.numpy`` that is not NumPy's, by dtype, number of elements and layout, at the default number of threads.
``with accelerate`` are programs of other packages, once as they are and once after ``fastact.accelerate()``.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

import fastact as fa
from benchmarks.turns import Cells, command

PAGE = """\
<!-- Written by python -m benchmarks.standins --page: do not edit. -->
# NumPy's functions, and what stands in for them

How many times as long NumPy's own function takes as that of `fastact.numpy`, which raises the same floating-point exceptions: the
median over {rounds} rounds in turns, and the quartiles. Results go into an array that is given; *strided* is every other element of
one twice as long. The last lines are programs that know nothing of fastact, as they are, and inside `with fastact.accelerate()`.

{table}

{conditions}
"""
DTYPES = ("float32", "float64")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    return command("python -m benchmarks.standins", __doc__, "call", ("NumPy",), _makers, lambda quick: PAGE, arguments)


def _makers(quick: bool) -> list[Callable[[], Cells]]:
    sizes = (10, 1000) if quick else (10, 100, 1000, 10_000, 1_000_000, 16_000_000)
    calls: list[Callable[[], Cells]] = [partial(_calls, size, dtype) for size in sizes for dtype in DTYPES]
    calls += [partial(_calls, 1000 if quick else 100_000, dtype, strided=True) for dtype in DTYPES]
    return [*calls, partial(_selects, 10_000 if quick else 1_000_000), partial(_programs, quick)]


def _operand(name: str, size: int, dtype: str) -> np.ndarray:
    """Numbers that the function is defined for."""
    x = np.random.default_rng(0).standard_normal(size).astype(dtype)
    return np.abs(x) + np.dtype(dtype).type(0.1) if name.startswith(("log", "power")) else x


def _calls(size: int, dtype: str, strided: bool = False) -> Cells:
    import fastact.numpy as fnp  # which older versions, beside whom asv imports this module, lack

    cells: Cells = {}
    for name in (name for name in fnp.replaced if isinstance(getattr(np, name), np.ufunc)):
        x = _operand(name, 2 * size, dtype)[::2] if strided else _operand(name, size, dtype)
        arrays, out = [x] * getattr(np, name).nin, np.empty(size, dtype)
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
        calls = {"where(x > 0, x, 0.0)": ("where", (x > 0, x, 0.0)), "clip(x, -1, 1)": ("clip", (x, -1, 1))}
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
    return {f"{name}, with accelerate": {"fastact": _accelerated(call), "NumPy": call} for name, call in found.items()}


def _quietly(function: Callable[..., object], *args: object) -> object:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three passes do not converge
        return function(*args)


if __name__ == "__main__":
    raise SystemExit(main())
