"""What fastact's threads bring, and cost: ``python -m benchmarks.threads``.

Each function is called in a loop on arrays of each size, with the threads that it takes by itself, on one, and with eight, in turns
in one process; every call is timed. A ratio is the time with threads over that on one, below 1 where they gain: of the median of a
turn and of its mean, in which a rare late call counts. On a machine with many processors or sockets, ``--threads 2 8 32 64`` shows
from where on more threads stop to gain, and ``--out fresh`` who first touches the memory of the results.
"""

import argparse
import itertools
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import company, machine, measure, report, tables

OPS = ("leaky_relu", "exp", "gelu", "gelu_backward", "softmax")
SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
EIGHT = 8


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    from rich.progress import track  # not at the top: asv imports this module in environments without Rich

    from fastact import get_num_threads
    from fastact.cli import require_writable

    parser = argparse.ArgumentParser(prog="python -m benchmarks.threads", description=__doc__)
    parser.add_argument(
        "--op", nargs="+", default=OPS, choices=OPS, metavar="OP", help=f"of {', '.join(OPS)}; default: all"
    )
    parser.add_argument("--size", nargs="+", type=lambda text: int(float(text)), default=SIZES, metavar="N")
    parser.add_argument(
        "--threads", nargs="+", type=int, default=(EIGHT,), metavar="N", help="beside the default; default: 8"
    )
    parser.add_argument(
        "--out", choices=("given", "fresh"), default="given", help="where results go; default: %(default)s"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the ratios here")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    options = parser.parse_args(arguments)
    for name in ("rounds", "size", "threads"):
        if np.min(getattr(options, name)) < 1:
            parser.error(f"--{name} must be at least 1")
    if options.json:
        try:
            require_writable(options.json)
        except OSError as error:
            parser.error(f"--json: {error}")
    rounds, turn = (2, 0.01) if options.quick else (options.rounds, 0.1)
    result = machine.conditions(get_num_threads(), ())
    result |= {"date": datetime.now(UTC).isoformat(timespec="seconds"), "busy": machine.busy(), "out": options.out}
    cases = list(itertools.product(options.op, options.size))
    result["calls"] = [
        measured(op, size, options.threads, options.out == "fresh", rounds, turn)
        for op, size in track(cases, "calls", disable=not sys.stderr.isatty())
    ]
    numbers = list(result["calls"][0]["ratio"])
    head = ["op", "size", "one thread", *(f"{number}, {kind}" for number in numbers for kind in ("median", "mean"))]
    print(tables.table(head, [_row(cell) for cell in result["calls"]], options.markdown))
    if result["busy"]:
        print(f"\n{result['busy']}", file=sys.stderr)
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def measured(op: str, size: int, threads: Sequence[int], fresh: bool, rounds: int, turn: float) -> dict[str, Any]:
    """The seconds of a call on one thread, and for each number of threads quartiles of the ratios."""
    call = _call(op, size, fresh)
    contenders = {"one": company.Contender((call,), 1), "default": company.Contender((call,))}
    contenders |= {str(number): company.Contender((call,), number) for number in threads}
    times = company.take_turns(contenders, rounds, turn)
    one = times.pop("one")
    ratio = {
        number: {
            kind: measure.quartiles(
                [
                    company.STATISTICS[kind](ours) / company.STATISTICS[kind](alone)
                    for ours, alone in zip(turns, one, strict=True)
                ]
            )
            for kind in ("median", "mean")
        }
        for number, turns in times.items()
    }
    return {"op": op, "size": size, "seconds": float(np.median(np.concatenate(one))), "ratio": ratio}


def _call(name: str, size: int, fresh: bool) -> Any:
    import fastact

    function, rng = getattr(fastact, name), np.random.default_rng(0)
    shape = (-1, 100) if name == "softmax" else (-1,)
    operands = [rng.standard_normal(size, dtype=np.float32).reshape(shape)] * (1 + name.endswith("_backward"))
    if fresh:
        return lambda: function(*operands)
    out = np.empty_like(operands[0])
    return lambda: function(*operands, out=out)


def _row(cell: dict[str, Any]) -> list[str]:
    ratios = [report.with_quartiles(values) for ratio in cell["ratio"].values() for values in ratio.values()]
    return [cell["op"], f"{cell['size']:,}", report.time(cell["seconds"]), *ratios]


if __name__ == "__main__":
    sys.exit(main())
