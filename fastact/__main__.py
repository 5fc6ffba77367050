"""The command line: ``fastact COMMAND``, or ``python -m fastact COMMAND``."""

import argparse
import os
import sys
from collections.abc import Sequence

import fastact
from fastact.cli import BROKEN_PIPE, INTERRUPTED, commands, flush_stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    try:
        try:
            return _run(arguments)
        finally:
            flush_stdout()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as head, has left. Python would try to write the rest once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE


def _run(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(prog="fastact", description="Neural-network maths for NumPy on compiled kernels.")
    parser.add_argument("--version", action="version", version=f"fastact {fastact.__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, command in commands().items():
        doc = command.__doc__ or ""
        subparser = subparsers.add_parser(
            name,
            help=doc.partition("\n")[0],
            description=doc,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_options(subparser)
        subparser.set_defaults(command=command, parser=subparser)
    options = parser.parse_args(arguments)
    status: int = options.command.run(options, options.parser)
    return status


if __name__ == "__main__":
    sys.exit(main())
