"""Whether another processor computes the same bits: a digest of what each public function gives, written there, checked here.

    python tools/digests.py --write here.json
    NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= python tools/digests.py --check here.json

The second line computes with AVX2 what the first may have computed with AVX-512. Inputs are the same everywhere: of every binade,
special values among them, in lengths and shapes around which kernels change their ways. All NaNs count as one: which sign and
payload results is the processor's business. The functions of linear layers are left out: their products are BLAS's.

AArch64 needs no machine of its own: QEMU runs Debian's Python for it. With Debian's packages qemu-user-static and debootstrap,
as root, in a new folder:

    debootstrap --foreign --arch=arm64 --variant=minbase --include=python3 bookworm root
    for package in root/var/cache/apt/archives/*.deb; do dpkg-deb --extract $package root; done
    pip install --target site --only-binary :all: --python-version 3.11 --platform manylinux_2_28_aarch64 numba numpy rich
    export PYTHONPATH=$PWD/site:/where/fastact/is FASTACT_CACHE_DIR=$PWD/kernels
    qemu-aarch64-static -cpu max -L root root/usr/bin/python3.11 /where/fastact/is/tools/digests.py --quick --check here.json

There kernels are compiled for NEON; for SVE, set NUMBA_CPU_NAME=neoverse-v1 and an empty NUMBA_CPU_FEATURES. Compiling takes hours
there, computing minutes: less with ``--quick``, which must have been given to ``--write`` too, or ``--op``. ``--write-run`` keeps
what a check found.
"""

import argparse
import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import long_runs
import numpy as np
from rich.progress import Progress

from fastact import table, warm
from fastact.functions.record import INTEGERS, Fill, Function
from fastact.kernels import target
from fastact.kernels.dtypes import DTYPES

Array = Any
COMPARED = tuple(name for name, record in table.functions().items() if record.ulp is not None)
"""All but those of matrix products, which are BLAS's: it adds in an order of its own on each processor."""
LENGTHS = (1, 2, 7, 64, 1000)
THREADED = 300_001
"""Elements that are shared out to threads where there are any."""
SHAPES = ((1, 1), (3, 2), (9, 7), (2, 65), (70, 3), (5, 1031), (130, 33))
OF_ROWS = ("softmax", "cross-entropy", "region-losses")
"""Families for which one special value decides a whole row, or all."""


def values(size: int, dtype: str, seed: int) -> Array:
    """Numbers of either sign, most of them within what matters to functions, the others of every binade, and special values.

    They come from random integers: the logarithms in NumPy's normal distribution are the machine's.
    """
    rng, info = np.random.default_rng(seed), np.finfo(dtype)
    anything = rng.integers(0, 1 << info.bits, size, dtype=np.uint64).astype(f"u{info.dtype.itemsize}").view(dtype)
    usual = (rng.integers(-(2**20), 2**20, size) / 2.0 ** rng.integers(16, 24, size)).astype(dtype)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, info.max, info.min, info.tiny, -info.tiny]
    special += [info.smallest_subnormal, -info.smallest_subnormal, -np.nan, 3 * info.smallest_subnormal]
    kind = rng.integers(0, 16, size)
    return np.where(kind == 0, rng.choice(np.array(special, dtype), size), np.where(kind < 5, anything, usual))


def logits(shape: Sequence[int], dtype: str, seed: int) -> Array:
    """Rows of small numbers; one in five rows holds a special value or more."""
    rng = np.random.default_rng(seed)
    x = (rng.integers(-(2**16), 2**16, shape) / 2.0**12).astype(dtype)
    special = np.array([np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal], dtype)
    rows = rng.integers(0, 5, (*shape[:-1], 1)) == 0
    return np.where(rows & (rng.integers(0, 3, shape) == 0), rng.choice(special, shape), x)


def filling(seed: int, in_rows: bool) -> Fill:
    """Operands that are the same on every machine."""
    seeds = itertools.count(1000 * seed)

    def fill(kind: str, shape: Sequence[int], dtype: Any, below: int) -> Array:
        number, size = next(seeds), int(np.prod(shape))
        if kind in INTEGERS:
            labels = np.random.default_rng(number).integers(0, below, shape)
            return labels.astype(np.int32) if kind == "choices" else labels
        if kind == "masks":
            return np.random.default_rng(number).integers(0, 4, shape) > 0
        if kind == "values" and not in_rows:
            return values(size, dtype, number).reshape(shape)
        x = logits(shape, dtype, number) if shape else np.ones((), dtype)
        if kind == "probabilities":
            return np.minimum(abs(x) / 16, x.dtype.type(1))
        return x if kind == "values" else abs(x) / 16 if kind == "shares" else -abs(x)

    return fill


def results(record: Function, dtype: str, quick: bool) -> Iterator[Any]:
    """What a function gives for all its inputs, in each way that there is to call it."""
    shapes: Sequence[tuple[int, ...]] = SHAPES[:-1] if quick else SHAPES
    if record.op is not None:
        shapes = [(size,) for size in (LENGTHS if quick else (*LENGTHS, THREADED))]
    for variant, shape in itertools.product(record.variants, shapes):
        for axis in (-1, 0) if record.axis else (-1,):
            fill = filling(sum(shape), record.family in OF_ROWS)
            operands, options = record.arguments(variant, fill, shape[::-1] if axis == 0 else shape, dtype, axis)
            yield record.results(operands, options)


def digest(found: Iterator[Any]) -> str:
    """A digest of results, whatever the order of their bytes in memory."""
    total = hashlib.sha256()
    for given in found:
        for result in given if isinstance(given, tuple) else (given,):
            array = np.array(result, order="C")
            if array.dtype.kind == "f":
                array[np.isnan(array)] = np.nan
            total.update(f"{array.dtype.kind}{array.itemsize}{array.shape}".encode())
            total.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()[:16]


def digests(names: Sequence[str], dtypes: Sequence[str], quick: bool, done: Callable[[], object]) -> dict[str, str]:
    """The digests of functions, such as ``{"gelu float32": ...}``."""
    found = {}
    with np.errstate(all="ignore"):
        for name in names:
            for dtype in dtypes:
                found[f"{name} {dtype}"] = digest(results(table.function(name), dtype, quick))
                done()
    return found


def processor() -> str:
    """What this process computes with."""
    triple, name, _ = target.cpu()
    return f"{triple.partition('-')[0]} {name}, vectors {warm.config()['vector width']}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if digests differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    task = parser.add_mutually_exclusive_group(required=True)
    task.add_argument("--write", type=Path, metavar="FILE", help="compute, and keep the digests in a file")
    task.add_argument("--check", type=Path, metavar="FILE", help="compute those that a file holds, and compare")
    parser.add_argument("--quick", action="store_true", help="float32, and fewer inputs")
    parser.add_argument(
        "--op", nargs="+", metavar="NAME", choices=COMPARED, default=COMPARED, help="only these functions"
    )
    parser.add_argument("--write-run", action="store_true", help=f"keep what a check found in {long_runs.KEPT.name}")
    options = parser.parse_args(arguments)
    dtypes = ("float32",) if options.quick else DTYPES
    kept = json.loads(options.check.read_text(encoding="utf-8")) if options.check else {}
    if kept and kept["quick"] != options.quick:
        parser.error(f"{options.check} was written with{'' if kept['quick'] else 'out'} --quick")
    with Progress(disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("functions", total=len(options.op) * len(dtypes))
        found = digests(options.op, dtypes, options.quick, lambda: progress.advance(bar))
    if options.write:
        held = {"processor": processor(), "quick": options.quick, "digests": found}
        options.write.write_text(json.dumps(held, indent=1) + "\n", encoding="utf-8")
        print(f"{len(found)} digests on {processor()}, of {len(options.op)} functions")
        return 0
    if missing := sorted(found.keys() - kept["digests"]):
        parser.error(f"{options.check} does not hold {', '.join(missing)}")
    differ = [name for name in found if kept["digests"][name] != found[name]]
    if options.write_run:
        run = {"processors": [kept["processor"], processor()], "quick": options.quick}
        long_runs.keep(f"digests of {processor()}", functions=len(options.op), differ=differ, **run)
    print(f"{len(found) - len(differ)} of {len(found)} digests on {processor()} are those on {kept['processor']}")
    for name in differ:
        print(f"{name} differs")
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main())
