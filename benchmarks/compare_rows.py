"""The row family against PyTorch, NumPy and SciPy, in one process: ``python -m benchmarks.compare_rows``.

Prints for each piece of work the times, the median ratio to fastact's over the rounds with its quartiles, and the target. For
cross-entropy of large arrays "reading" is PyTorch's sum of the logits, which does nothing but read them.
``--quick`` takes small shapes, to see that it works; ``--json FILE`` keeps the figures.
"""

import argparse
import datetime
import json
import sys
import tracemalloc
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.cases import Contender
from benchmarks.measure import busy, conditions, equal_terms, ratios, take_turns
from benchmarks.rows import cross_entropy as numpy_cross_entropy
from benchmarks.rows import hidden_arrays, logits_arrays
from benchmarks.tables import table


class Work(NamedTuple):
    """One line of the table."""

    what: str
    shape: str
    calls: Mapping[str, Any]
    """By contender; "fastact" is one."""
    targets: Mapping[str, float]
    """The least ratio of a contender's time to fastact's."""
    bytes_read: int = 0


SHAPES = {
    "cross_entropy": ((1024, 32_000), (256, 128_256), (8192, 1000), (65_536, 10), (1, 10)),
    "with_grad": ((1024, 32_000), (256, 128_256)),
    "softmax": ((4096, 1000), (512, 32_000), (1, 10)),
    "axis": (((1000, 8192), 0), ((16, 21, 256, 256), 1)),
    "maxout": 16_000_000,
    "gated": 1_000_000,
    "linear": (2048, 1024, 32_000),
}
QUICK = {
    "cross_entropy": ((16, 1000), (1, 10)),
    "with_grad": ((16, 1000),),
    "softmax": ((16, 1000), (1, 10)),
    "axis": (((100, 64), 0), ((2, 21, 16, 16), 1)),
    "maxout": 16_000,
    "gated": 10_000,
    "linear": (64, 32, 1000),
}
LOSS_TARGETS = {
    (1024, 32_000): {"torch": 8.0, "numpy": 15.0, "reading": 0.6},
    (256, 128_256): {"torch": 8.0, "numpy": 15.0, "reading": 0.6},
    (8192, 1000): {"torch": 2.0},
    (65_536, 10): {"torch": 6.0},
    (1, 10): {"torch": 1.5},
}


def every_work(shapes: Mapping[str, Any]) -> Iterator[Work]:
    """The lines, one at a time, since their arrays are large."""
    yield from _losses(shapes["cross_entropy"])
    yield from _losses_with_grad(shapes["with_grad"])
    yield from _softmaxes(shapes["softmax"])
    yield from _other_axes(shapes["axis"])
    yield from _maxouts(shapes["maxout"])
    yield from _gated(shapes["gated"])
    yield _linear(*shapes["linear"])


def _losses(shapes: Sequence[tuple[int, int]]) -> Iterator[Work]:
    import fastact as fa

    for shape in shapes:
        arrays = logits_arrays(*shape)
        x, target = arrays["x"], arrays["target"]
        calls: dict[str, Any] = {
            "fastact": lambda x=x, target=target: fa.cross_entropy(x, target),
            "numpy": lambda x=x, target=target: numpy_cross_entropy(x, target),
        }
        if torch := _torch():
            tx, t = torch.from_numpy(x), torch.from_numpy(target)
            calls["torch"] = lambda tx=tx, t=t: torch.nn.functional.cross_entropy(tx, t)
            if x.size >= 10**7:
                calls["reading"] = lambda tx=tx: tx.sum()
        yield Work("cross_entropy", _name(shape), calls, LOSS_TARGETS.get(shape, {}), x.nbytes)


def _losses_with_grad(shapes: Sequence[tuple[int, int]]) -> Iterator[Work]:
    import fastact as fa

    for shape in shapes:
        arrays = logits_arrays(*shape)
        x, target = arrays["x"], arrays["target"]
        grad = np.empty_like(x)
        calls: dict[str, Any] = {
            "fastact": lambda x=x, t=target, g=grad: fa.cross_entropy_with_grad(x, t, out=g),
        }
        if torch := _torch():
            with torch.inference_mode(False):
                leaf, t = torch.from_numpy(x.copy()).requires_grad_(), torch.from_numpy(target)

            def backward(leaf: Any = leaf, t: Any = t) -> None:
                leaf.grad = None
                with torch.inference_mode(False), torch.enable_grad():
                    torch.nn.functional.cross_entropy(leaf, t).backward()

            calls["torch"] = backward
        yield Work("loss and gradient", _name(shape), calls, {"torch": 8.0})


def _softmaxes(shapes: Sequence[tuple[int, int]]) -> Iterator[Work]:
    import scipy.special

    import fastact as fa

    for shape in shapes:
        for name in ("softmax", "log_softmax"):
            x = logits_arrays(*shape)["x"]
            y, function, scipys = np.empty_like(x), getattr(fa, name), getattr(scipy.special, name)
            calls: dict[str, Any] = {
                "fastact": lambda f=function, x=x, y=y: f(x, out=y),
                "scipy": lambda f=scipys, x=x: f(x, axis=-1),
            }
            if torch := _torch():
                tx, ty, torchs = torch.from_numpy(x), torch.from_numpy(y.copy()), getattr(torch, name)
                calls["torch"] = lambda f=torchs, tx=tx, ty=ty: f(tx, -1, out=ty)
            small = shape[0] == 1
            yield Work(
                name, _name(shape), calls, {"torch": 1.3, "scipy": 5.0} if small else {"torch": 1.5, "scipy": 8.0}
            )


def _other_axes(shapes: Sequence[tuple[tuple[int, ...], int]]) -> Iterator[Work]:
    import fastact as fa

    for shape, axis in shapes:
        x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        y = np.empty_like(x)
        calls: dict[str, Any] = {"fastact": lambda x=x, y=y, axis=axis: fa.softmax(x, axis, out=y)}
        if torch := _torch():
            tx, ty = torch.from_numpy(x), torch.from_numpy(y.copy())
            calls["torch"] = lambda tx=tx, ty=ty, axis=axis: torch.softmax(tx, axis, out=ty)
        yield Work(f"softmax, axis {axis}", _name(shape), calls, {"torch": 2.0})


def _maxouts(size: int) -> Iterator[Work]:
    import fastact as fa

    if not hasattr(fa, "maxout"):
        return
    for pieces, targets in ((2, {"numpy": 40.0, "torch": 3.0}), (4, {"numpy": 20.0, "torch": 2.0})):
        x = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
        y = np.empty(size // pieces, np.float32)
        calls: dict[str, Any] = {
            "fastact": lambda x=x, y=y, k=pieces: fa.maxout(x, k, out=y),
            "numpy": lambda x=x, k=pieces: x.reshape(-1, k).max(-1),
        }
        if torch := _torch():
            tx, ty = torch.from_numpy(x), torch.from_numpy(y.copy())
            calls["torch"] = lambda tx=tx, ty=ty, k=pieces: torch.amax(tx.reshape(-1, k), -1, out=ty)
        yield Work(f"maxout, {pieces} pieces", f"{size:,}", calls, targets)


def _gated(size: int) -> Iterator[Work]:
    import fastact as fa

    torch = _torch()
    if not hasattr(fa, "swiglu") or not torch:
        return
    gate, value = np.random.default_rng(0).standard_normal((2, size), dtype=np.float32)
    out, a, b = np.empty_like(gate), torch.from_numpy(gate), torch.from_numpy(value)
    calls: dict[str, Any] = {
        "fastact": lambda: fa.swiglu(gate, value, out),
        "torch": lambda: torch.nn.functional.silu(a) * b,
    }
    yield Work("swiglu", f"{size:,}", calls, {"torch": 1.7})


def _linear(rows: int, width: int, classes: int) -> Work:
    """Loss and gradients; the peer makes all logits by ``matmul`` and leaves the loss to PyTorch."""
    import fastact as fa

    hidden, weight, target = (hidden_arrays(rows, width, classes)[name] for name in ("hidden", "weight", "target"))
    weight -= 0.5
    calls: dict[str, Any] = {"fastact": lambda: fa.linear_cross_entropy_with_grad(hidden, weight, target)}
    if torch := _torch():
        with torch.inference_mode(False):
            t = torch.from_numpy(target)

        def matmul_and_torch() -> Any:
            with torch.inference_mode(False), torch.enable_grad():
                leaf = torch.from_numpy(hidden @ weight.T).requires_grad_()
                torch.nn.functional.cross_entropy(leaf, t).backward()
            grad = leaf.grad.numpy()
            return grad @ weight, grad.T @ hidden

        calls["torch"] = matmul_and_torch
    return Work("linear_cross_entropy with gradients", f"{rows} x {width} x {classes}", calls, {"torch": 1.0})


def extra_memory(rows: int, width: int, classes: int) -> float:
    """The peak of what ``linear_cross_entropy_with_grad`` allocates beyond its results, as a part of all logits."""
    import fastact as fa

    hidden, weight, target = (hidden_arrays(rows, width, classes)[name] for name in ("hidden", "weight", "target"))
    fa.linear_cross_entropy_with_grad(hidden[:16], weight, target[:16])
    tracemalloc.start()
    results = fa.linear_cross_entropy_with_grad(hidden, weight, target)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    extra: float = (peak - sum(np.asarray(r).nbytes for r in results)) / (rows * classes * hidden.itemsize)
    return extra


def _name(shape: Sequence[int]) -> str:
    return "(" + ", ".join(map(str, shape)) + ")"


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    import fastact as fa

    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare_rows", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=fa.get_num_threads())
    parser.add_argument("--only", metavar="TEXT", default="", help="work whose name holds this")
    parser.add_argument("--quick", action="store_true", help="small shapes: to see that it works")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures here")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args(arguments)
    if warning := busy():
        print(warning, file=sys.stderr)
    shapes: Mapping[str, Any] = QUICK if options.quick else SHAPES
    lines, rows = [], []
    with equal_terms(options.threads):
        for work in every_work(shapes):
            if options.only not in work.what:
                continue
            contenders = {name: Contender("f()", {"f": call}) for name, call in work.calls.items()}
            seconds, ratio = ratios(take_turns(contenders, 2 if options.quick else options.rounds))
            lines.append({"what": work.what, "shape": work.shape, "seconds": seconds, "ratio": ratio})
            rows.append(_row(work, seconds, ratio))
            print(" | ".join(rows[-1]), file=sys.stderr)
        memory = extra_memory(*shapes["linear"]) if options.only in "linear" else 0.0
    if options.json:
        result = conditions(options.threads) | {"date": datetime.date.today().isoformat(), "work": lines}
        options.json.write_text(json.dumps(result | {"extra memory": memory}, indent=1) + "\n")
    print(table(["work", "shape", "fastact", "others: ratio (quartiles), wanted"], rows, options.markdown))
    print(f"\nlinear_cross_entropy_with_grad: {memory:.1%} of all logits beyond its results (wanted: below 10 %)")
    return 0


def _row(work: Work, seconds: Mapping[str, float], ratio: Mapping[str, Sequence[float]]) -> list[str]:
    others = []
    for name, (_, low, middle, high, _) in ratio.items():
        wanted = f", wanted {work.targets[name]:g}" if name in work.targets else ""
        missed = " MISSED" if wanted and middle < work.targets[name] else ""
        others.append(f"{name} {middle:.2f} ({low:.2f}-{high:.2f}{wanted}){missed}")
    rate = f" ({work.bytes_read / seconds['fastact'] / 1e9:.1f} GB/s)" if work.bytes_read else ""
    return [work.what, work.shape, f"{seconds['fastact'] * 1e6:,.4g} us{rate}", "; ".join(others)]


if __name__ == "__main__":
    sys.exit(main())
