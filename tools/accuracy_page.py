"""Write ``docs/accuracy.md``: the errors of fastact's functions, and of what others compute for them.

    python tools/accuracy_page.py              the page, from stored figures
    python tools/accuracy_page.py --measure    the figures of those peers that are installed, then the page

fastact's figures are those of the full sweeps, ``tests/data/accuracy.json``; the peers' are kept in
``benchmarks/results/accuracy-peers.json``.
"""

import argparse
import datetime
import importlib.util
import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from pages import DOCS, ROOT, write_or_check  # noqa: E402
from peers import PACKAGES, PEERS, computed  # noqa: E402

from tests.ulp import exact, functions, load_accuracy, neighbours, parameters, split, ulp_error  # noqa: E402

PAGE = DOCS / "accuracy.md"
FIGURES = ROOT / "benchmarks" / "results" / "accuracy-peers.json"

LARGEST_EXPONENT = 254
PER_BINADE = 2100
SMALLEST_NORMAL = float(np.finfo(np.float32).smallest_normal)
ROUNDING = 0.5001
"""An error that is nothing but the rounding of the exact result; float64 references are not exact."""

WIDTH = 128
BOUNDLESS = 1e9
"""No sensible result is so far from another."""

HEADER = "<!-- Written by tools/accuracy_page.py from measured figures: do not edit. -->"
INTRODUCTION = """\
The unit in the last place (ULP) is the distance between neighbouring floats: rounding the exact result costs at most half of one.
An error of a million ULP means that about six digits of seven are wrong, and 1.7e7 that the result is zero in place of a number.

fastact's figures are maxima over **every** float32 there is, 2^32 of them, subnormals included, as `tools/sweep.py` found them;
of a function of two arrays with one number for the second. {quick}The float64 figures come from samples of every binade,
compared with mpmath in as many digits as it takes. A test measures again what was worst, and fails when an error grows.

The others' figures are maxima over {inputs:,} float32 inputs, the same for all: {per_binade} from every binade of either sign, and
what lies next to powers of two and to kinks. So they may be worse than shown. A figure in parentheses leaves out subnormal inputs
and results, which some flush to zero. Derivatives are measured in units of their largest term, as near a zero of the derivative
every formula cancels, and not at kinks, where they are a matter of choice. ∞ stands for anything beyond 1e9, most often infinity
or NaN in place of a number. A dash: there is no such function.

What is measured is what people call: of PyTorch the function, or the one that its autograd calls; of JAX that of `jax.nn` under
`jit`, and its gradient by `jax.grad`; for NumPy and SciPy the expression that the benchmarks time."""

QUICK = """\
Those with an asterisk are maxima over a million
float32 so far, and all that lie next to powers of two and to kinks. """


def sample(name: str) -> Any:
    """Finite numbers of every binade of either sign, always the same, and the neighbours of edges and kinks.

    For a derivative without the kinks themselves, where it is a matter of choice.
    """
    op, backward = split(name)
    exponents = np.arange(512, dtype=np.uint32)
    exponents = exponents[exponents % 256 <= LARGEST_EXPONENT]
    mantissas = np.random.default_rng(4).integers(1 << 23, size=(exponents.size, PER_BINADE), dtype=np.uint32)
    powers = np.append(exponents, (255, 511)).astype(np.uint32) << 23  # and infinity, for what lies next to it
    near = [neighbours(powers.view(np.float32), np.float32, 2), neighbours(op.kinks, np.float32, 16)]
    x = np.concatenate([(exponents[:, None] << 23 | mantissas).ravel().view(np.float32), *near])
    return x[np.isfinite(x) & ~(backward & np.isin(x, [*op.kinks]))]


def measure() -> None:
    """Measure the peers that are installed, and keep their figures next to those of the others."""
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {"versions": {}, "errors": {}}
    present = [peer for peer in PEERS if all(importlib.util.find_spec(package) for package in PACKAGES[peer])]
    for name in functions():
        x = sample(name)
        wanted = exact(name, x, parameters(split(name)[0], np.float32))
        for peer in present:
            results = computed(peer, name, x)
            if results is not None:
                figures["errors"].setdefault(name, {})[peer] = _largest(x, results, wanted)
        print(name, json.dumps({peer: found["ulp"] for peer, found in figures["errors"].get(name, {}).items()}))
    figures["inputs"] = len(sample("exp"))
    figures["versions"] |= {package: version(package) for peer in present for package in PACKAGES[peer]}
    figures["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")


def _largest(x: Any, results: Any, wanted: tuple[Any, Any, Any]) -> dict[str, Any]:
    """The largest error, and the largest among normal numbers; JSON has no infinity."""
    errors = ulp_error(results, *wanted)
    value, _, scale = wanted
    normal = (np.abs(x) >= SMALLEST_NORMAL) & (np.abs(value if scale is None else scale) >= SMALLEST_NORMAL)
    found: dict[str, Any] = {}
    for key, some in (("ulp", errors), ("normal_ulp", np.where(normal, errors, 0.0))):
        at = int(np.argmax(some))
        found |= {key: float(f"{some[at]:.6g}") if np.isfinite(some[at]) else "inf", f"{key}_at": float(x[at]).hex()}
    return found


def page() -> str:
    """The page, from what is stored."""
    figures, ours = json.loads(FIGURES.read_text()), load_accuracy()
    names = [name for name in functions() if {"float32", "float64"} <= set(ours.get(name, {}))]
    exactly = [name for name in names if _everybody_rounds(ours[name], figures["errors"].get(name, {}))]
    quick = QUICK if any(ours[name]["float32"]["inputs"] == "quick" for name in names) else ""
    introduction = INTRODUCTION.format(inputs=figures["inputs"], per_binade=PER_BINADE, quick=quick)
    head = ["", "fastact", *PEERS.values(), "fastact, float64"]
    tables = []
    for title, backward in (("Values", False), ("Derivatives", True)):
        shown = [name for name in names if split(name)[1] == backward and name not in exactly]
        rows = [[f"`{name}`", *_errors(ours[name], figures["errors"].get(name, {}))] for name in shown]
        tables += [f"## {title}", _table(head, rows)]
    packages = ", ".join(f"{package} {number}" for package, number in sorted(figures["versions"].items()))
    closing = [
        f"Left out are those that nobody gets wrong by more than rounding: {', '.join(f'`{name}`' for name in exactly)}.",
        f"Measured on {figures['date']} with {packages}. To measure again: `python tools/accuracy_page.py --measure`; the inputs "
        f"where each error is largest are in `{FIGURES.relative_to(ROOT)}`.",
    ]
    closing = [textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) for text in closing]
    return "\n\n".join([HEADER, "# Accuracy", introduction, *tables, *closing]) + "\n"


def _everybody_rounds(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    errors = [entry["max_ulp"] for entry in ours.values()] + [float(entry["ulp"]) for entry in theirs.values()]
    return bool(max(errors) <= ROUNDING)


def _errors(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """A row of the table."""
    return [
        _number(ours["float32"]["max_ulp"]) + (r"\*" if ours["float32"]["inputs"] == "quick" else ""),
        *(_peer(theirs.get(peer)) for peer in PEERS),
        _number(ours["float64"]["max_ulp"]),
    ]


def _peer(entry: Mapping[str, Any] | None) -> str:
    """The largest error and, if it differs, the largest among normal numbers."""
    if entry is None:
        return "\N{EN DASH}"
    everywhere, normal = _number(float(entry["ulp"])), _number(float(entry["normal_ulp"]))
    return everywhere if normal == everywhere else f"{everywhere} ({normal})"


def _number(error: float) -> str:
    if error > BOUNDLESS:
        return "∞"
    return f"{error:.2f}" if error < 100 else f"{error:.0f}" if error < 10_000 else f"{error:.1e}".replace("e+0", "e")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruler = [":--", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *rows))


def write(check: bool) -> bool:
    """Write the page, or check it; whether it is fresh."""
    return write_or_check(PAGE, page(), check)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check", action="store_true", help="write nothing; the exit status is 1 if the page is stale")
    what.add_argument("--measure", action="store_true", help="measure the peers first")
    options = parser.parse_args()
    if options.measure:
        measure()
    return 0 if write(options.check) else 1


if __name__ == "__main__":
    sys.exit(main())
