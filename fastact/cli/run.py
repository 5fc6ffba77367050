"""Run a Python program with NumPy's own functions computed by fastact, as after fastact.accelerate().

    fastact run script.py --its --options
    fastact run -m module --its --options

What has been replaced is printed with --verbose, to standard error.
"""

import argparse
import sys


def add_options(parser: argparse.ArgumentParser) -> None:
    """Define the options."""
    parser.add_argument("--verbose", action="store_true", help="say what is replaced")
    parser.add_argument("-m", dest="is_module", action="store_true", help="run a module, found as imports find it")
    parser.add_argument("program", help="a script, or a module's name")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="what the program is given")


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Run the program; its exit status is the command's."""
    from fastact import running
    from fastact.acceleration import accelerate

    try:
        program = running.find(options.program, options.is_module)
    except running.NoProgramError as error:
        parser.error(str(error))
    with accelerate() as acceleration:
        if options.verbose:
            print(acceleration, file=sys.stderr)
        ended = running.run(program, options.arguments)
        if ended.error is not None:
            running.show(ended.error, program)
    return ended.status
