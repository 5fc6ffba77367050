"""What starting costs: the import, and the first call with a cold and a warm cache (``python -m benchmarks.startup``).

Every figure is the median over fresh interpreters, each timing itself.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.harness import tables

ROOT = Path(__file__).resolve().parent.parent

IMPORT = """
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""

FIRST_CALL = """
import time
import numpy
import fastact
x = numpy.ones({size}, numpy.float32)
start = time.perf_counter()
fastact.{function}(x)
print(time.perf_counter() - start)
"""

IMPORTED = "import sys, fastact; print(int('numba' in sys.modules or 'llvmlite' in sys.modules))"
SMALL, LARGE = 10, 1_000_000


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if ``import fastact`` imports Numba."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.startup", description=__doc__)
    parser.add_argument("--op", default="gelu", help="for the first call; default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="three interpreters for each figure instead of eleven")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args(arguments)
    import fastact

    if options.op not in fastact.ops:
        parser.error(f"unknown op {options.op!r}; known are {', '.join(fastact.ops)}")
    repeat = 3 if options.quick else 11
    numpy, both = (_median(IMPORT.format(module=module), repeat) for module in ("numpy", "fastact"))
    rows = [("import numpy", numpy), ("import fastact", both), ("import fastact, of its own", both - numpy)]
    for size in (SMALL, LARGE):
        code = FIRST_CALL.format(function=options.op, size=size)
        rows.append((f"first {options.op} of {size:,}, empty cache", _median(code, repeat, cold=True)))
        rows.append((f"first {options.op} of {size:,}, filled cache", _median(code, repeat)))
    imports_numba = _run(IMPORTED, os.environ) == 1
    print(tables.table(("", "ms"), [(text, f"{1e3 * seconds:.1f}") for text, seconds in rows], options.markdown))
    print(f"\nimport fastact imports numba: {'yes' if imports_numba else 'no'}")
    return int(imports_numba)


def _median(code: str, repeat: int, cold: bool = False) -> float:
    """The median of what ``code`` prints, with a cache directory for each run if ``cold``, else with a filled one."""
    with tempfile.TemporaryDirectory() as shared:
        times = []
        for i in range(repeat + (not cold)):
            folder = os.path.join(shared, str(i) if cold else "all")
            times.append(_run(code, {**os.environ, "FASTACT_CACHE_DIR": folder}))
        return statistics.median(times if cold else times[1:])


def _run(code: str, environment: Mapping[str, str]) -> float:
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=dict(environment), cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return float(done.stdout)


if __name__ == "__main__":
    sys.exit(main())
