"""Derive the factors of ``fastact/maths/hashing.py``: of random odd ones those that mix the bits of an index best.

A mixing is good where each bit of the index turns each of the higher bits of the result, which random numbers are compared by,
every other time. Its bias is the root mean square, over all such pairs, of how much more or less often than that, in halves.
Candidates are tried on a few indices, the best of them on more, and the winner on indices that it was not chosen by, consecutive
ones among these, which are what a dropout has. The search takes a quarter of a minute. ``--check`` only measures the factors that
the source has.
"""

import argparse
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.progress import track

from fastact.maths import hashing

SEED = 20261127
HIGHER = range(12, 32)
"""Bits of the result that must be good: a probability takes steps of 2**-20 then."""
ALLOWED = 0.003
"""Bias of one mixing, and of both with a key between, that the source's factors may have."""


def mixed(index: Any, factors: Sequence[int]) -> Any:
    """What ``hashing.mixed`` makes of indices, with other factors."""
    first, second = (np.uint32(factor) for factor in factors)
    index = (index ^ (index >> np.uint32(hashing.SHIFTS[0]))) * first
    return (index ^ (index >> np.uint32(hashing.SHIFTS[1]))) * second


def bias(indices: Any, factors: Sequence[int], rounds: int = 1) -> float:
    """How far from one half the shares are of the times that a bit turns another."""
    key = np.uint32(0x9E3779B9)

    def of(values: Any) -> Any:
        for _ in range(rounds):
            values = mixed(values, factors) + key
        return values

    whole, total = of(indices), 0.0
    for bit in range(32):
        turned = whole ^ of(indices ^ np.uint32(1 << bit))
        for higher in HIGHER:
            share = np.mean((turned >> np.uint32(higher)) & np.uint32(1))
            total += (2 * float(share) - 1) ** 2
    return math.sqrt(total / (32 * len(HIGHER)))


def found(candidates: int, kept: int) -> tuple[int, int]:
    """The best of so many random pairs of factors."""
    rng = np.random.default_rng(SEED)
    few, many = (rng.integers(0, 2**32, n, np.uint32) for n in (2**10, 2**16))
    pairs = rng.integers(2**30, 2**32, (candidates, 2), np.uint32) | np.uint32(1)
    roughly = [bias(few, pair) for pair in track(pairs, "candidates")]
    best = pairs[np.argsort(roughly)[:kept]]
    first, second = min(track(best, "the best"), key=lambda pair: bias(many, pair))
    return int(first), int(second)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="measure the source's; the exit status is 1 if they are no good"
    )
    parser.add_argument("--candidates", type=int, default=600)
    options = parser.parse_args()
    factors = hashing.FIRST_FACTOR, hashing.SECOND_FACTOR
    if not options.check:
        factors = found(options.candidates, 40)
        print(f"FIRST_FACTOR, SECOND_FACTOR = 0x{factors[0]:08X}, 0x{factors[1]:08X}")
    rng = np.random.default_rng(SEED + 1)
    others = {"random": rng.integers(0, 2**32, 2**18, np.uint32), "consecutive": np.arange(2**18, dtype=np.uint32)}
    worst = 0.0
    for name, indices in others.items():
        for rounds in (1, 2):
            value = bias(indices, factors, rounds)
            worst = max(worst, value if rounds == 2 or name == "random" else 0.0)
            print(f"{name} indices, {rounds} mixing{'s' * (rounds > 1)}: bias {value:.4f}")
    return int(worst > ALLOWED)


if __name__ == "__main__":
    raise SystemExit(main())
