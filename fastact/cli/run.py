"""Run a Python program with NumPy's own functions computed by fastact, as after fastact.accelerate().

    fastact run script.py --its --options
    fastact run -m module --its --options

What has been replaced is printed with --verbose, to standard error.
"""

import argparse
import runpy
import sys
from pathlib import Path


def add_options(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument("--verbose", action="store_true", help="say what is replaced")
    parser.add_argument("-m", dest="is_module", action="store_true", help="run a module, found as imports find it")
    parser.add_argument("program", help="a script, or a module's name")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program is given")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the program; its exit status is the command's."""
    from fastact.acceleration import accelerate

    if not options.is_module and not Path(options.program).exists():
        parser.error(f"there is no file {options.program}")
    with accelerate() as acceleration:
        if options.verbose:
            print(acceleration, file=sys.stderr)
        sys.argv = [options.program, *options.arguments]
        if options.is_module:
            sys.path.insert(0, str(Path.cwd()))
            runpy.run_module(options.program, run_name="__main__", alter_sys=True)
        else:
            sys.path.insert(0, str(Path(options.program).resolve().parent))
            runpy.run_path(options.program, run_name="__main__")
    return 0
