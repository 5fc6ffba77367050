"""Measure the properties of activations over every float32, and compare them with what their records say.

    python tools/check_properties.py                 every input: about a minute per activation
    python tools/check_properties.py relu gelu       of some
    python tools/check_properties.py --quick         the inputs that the tests take: seconds
    python tools/check_properties.py --write         keep the outcome with those of other long runs

Range, turns, dead inputs, kinks, jumps, the largest slope and symmetry are found without the record; what shows at a few inputs,
such as the slope at zero, is compared too. How smooth a function without kinks is, and fixed points, are measured by
``tests/test_properties.py`` alone.
"""

import argparse
import sys

import long_runs
from pages import ROOT
from rich.progress import track

sys.path.insert(0, str(ROOT))

import fastact
from fastact.functions.elementwise import Op
from fastact.functions.properties import phrases
from tests.measured import Found, disagreements, every_float32, measure, samples

CHUNKS = 256
"""A step of the progress bar is so many-th of the inputs."""


def found(op: Op, quick: bool) -> Found:
    """What is measured of an activation, behind a progress bar."""
    if quick:
        return measure(op, samples(op))
    chunks = track(range(CHUNKS), f"{op.name:12}", disable=not sys.stderr.isatty())
    return measure(op, every_float32(chunks, CHUNKS))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if a property is not what the record says."""
    known = [op.name for op in fastact.ops.values() if op.is_activation]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="an activation, such as gelu; default all")
    parser.add_argument("--quick", action="store_true", help="only the inputs that the tests take")
    parser.add_argument("--write", action="store_true", help=f"keep the outcome in {long_runs.KEPT.name}")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(known):
        parser.error(f"no such activation: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    if options.write and (options.quick or options.names):
        parser.error("--write keeps whole runs, not --quick ones or those of some")
    fastact.set_num_threads(1)  # blocks are small
    failed = 0
    for name in options.names or known:
        op = fastact.ops[name]
        wrong = disagreements(op, found(op, options.quick))
        print("\n".join(wrong or [f"{name:12} as its record says: {'; '.join(phrases(op.properties))}"]), flush=True)
        failed += bool(wrong)
    if options.write and not failed:
        long_runs.keep("check_properties", activations=len(known), inputs="every finite float32")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
