"""Run the programs of ``examples/porting`` before and after they were ported: whether they agree, and how long what of them takes.

    python tools/porting_profiles.py           # prints what it finds, in a minute or two
    python tools/porting_profiles.py --write   # and keeps it for docs/porting.md, which tools/porting_page.py writes
    python tools/porting_profiles.py --quick   # small arrays, three rounds

Both run in turns on one thread, products of matrices too, so that what counts is the work. Profiles are those of ``fa.advise()``,
by lines. The exit status is 1 if a program's results differ. Needs threadpoolctl besides fastact.
"""

import argparse
import contextlib
import importlib
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE), str(ROOT / "examples" / "porting")]

from porting_programs import KEPT, LEAST, PROGRAMS, TEXTS  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

import fastact as fa  # noqa: E402
from benchmarks import turns  # noqa: E402
from benchmarks.harness import machine  # noqa: E402

QUICK = {"scoring": 50, "training": 3, "tagging": 2}
"""The size of each program's short form."""
AGREE = 1e-3
"""The largest relative difference of a number that both print."""
MOST = 8
"""Lines of a profile."""
CELL = "with fa.advise() as watched: module.run(*operands)"
"""A block that is in no file, as one in a notebook, sees the functions of the current folder."""


def programs(name: str) -> tuple[ModuleType, ModuleType]:
    """A program before and after."""
    before, after = (importlib.import_module(f"{name}_{when}") for when in ("before", "after"))
    return before, after


def differences(name: str, size: int) -> list[str]:
    """What of a program's results is not the same before and after."""
    before, after = (module.run(*module.given(size)) for module in programs(name))
    if before.keys() != after.keys():
        return [f"{name}: {', '.join(before)} before, {', '.join(after)} after"]
    return [
        f"{name}: {key} is {before[key]} before, {after[key]} after"
        for key in before
        if not math.isclose(before[key], after[key], rel_tol=AGREE, abs_tol=AGREE**2)
    ]


def profile(module: ModuleType, size: int) -> list[tuple[float, str]]:
    """The lines that take longest, with their shares of the time; what is compiled or loaded at first does not count."""
    operands = module.given(size)
    module.run(*operands)
    space: dict[str, Any] = {"fa": fa, "module": module, "operands": operands}
    with contextlib.chdir(PROGRAMS):
        exec(CELL, space)
    found = space["watched"].findings
    own = [line for line in found.lines if Path(line.file).name == Path(str(module.__file__)).name]
    shares = [(found.share(line.seconds), found.code(line.file, line.number)) for line in own]
    return [(round(share, 3), code) for share, code in shares if share >= LEAST][:MOST]


def measured(name: str, size: int, rounds: int) -> dict[str, Any]:
    """The time that the ported program takes, how many times as long the other does, and both profiles."""
    before, after = programs(name)
    operands = before.given(size)
    calls = {"fastact": lambda: after.run(*operands), "NumPy": lambda: before.run(*operands)}
    (seconds, ratio), _ = turns.figures(calls, ["NumPy"], rounds)
    return {"fastact": seconds, "ratio": ratio, "before": profile(before, size), "after": profile(after, size)}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--quick", action="store_true", help="small arrays and three rounds, which are not kept")
    parser.add_argument("--write", action="store_true", help=f"keep what is found in {KEPT.relative_to(ROOT)}")
    options = parser.parse_args(arguments)
    if options.quick and options.write:
        parser.error("figures of --quick are not for --write")
    rounds = 3 if options.quick else options.rounds
    found: dict[str, Any] = {"rounds": rounds, "programs": {}}
    wrong = []
    with threadpool_limits(1), fa.threads(1):
        found["conditions"] = turns.sentence(machine.conditions(fa.get_num_threads(), []))
        for name in TEXTS:
            size = QUICK[name] if options.quick else programs(name)[0].SIZE
            wrong += differences(name, size)
            found["programs"][name] = measured(name, size, rounds)
            print(
                f"{name}: {found['programs'][name]['fastact']}, NumPy {found['programs'][name]['ratio']} times as long"
            )
            for when in ("before", "after"):
                print("".join(f"    {share:4.0%}  {code}\n" for share, code in found["programs"][name][when]))
    print(machine.busy() or found["conditions"])
    print("\n".join(wrong), file=sys.stderr)
    if options.write and not wrong:
        KEPT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
