"""Draw ops and their derivatives, with limits and kinks, as PNG or SVG.

A filled point at a kink is the value that fastact chose there, an open one what the derivative tends to from one side. Dotted
lines are finite limits. Thin lines belong to other parameters.
"""

import argparse
import sys
from pathlib import Path

from fastact.cli import require_writable
from fastact.functions.elementwise import OPS, Op

KINDS = {".png": "png", ".svg": "svg"}
EVERY_OP = "activations.png"


def add_options(parser: argparse.ArgumentParser) -> None:
    """What to draw, and where to."""
    parser.add_argument("ops", nargs="*", metavar="OP", help="an op such as gelu; several make one picture")
    parser.add_argument("--all", action="store_true", help="every op")
    parser.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        help=f"a file that ends in {' or '.join(KINDS)}, default the ops' names and .png; "
        "or a directory, for a picture of each op as SVG",
    )


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Draw one picture of all the ops, or one of each."""
    if bool(options.ops) == options.all:
        parser.error("name ops, or give --all")
    if unknown := [name for name in options.ops if name not in OPS]:
        parser.error(f"unknown op {', '.join(unknown)}; known are {', '.join(OPS)}")
    ops = [OPS[name] for name in dict.fromkeys(options.ops or OPS)]
    target = Path(options.output or (EVERY_OP if options.all else f"{'-'.join(op.name for op in ops)}.png"))
    several = target.is_dir() or (options.all and not target.suffix)
    if not several and target.suffix.lower() not in KINDS:
        parser.error(f"cannot draw {target}: a file must end in {' or '.join(KINDS)}")
    try:
        if several:
            target.mkdir(exist_ok=True)
        pictures = {target / f"{op.name}.svg": [op] for op in ops} if several else {target: ops}
        for path in pictures:
            require_writable(path)
        return _draw(pictures)
    except OSError as error:
        print(f"fastact plot: cannot write {error.filename or target}: {error.strerror}", file=sys.stderr)
        return 1


def _draw(pictures: dict[Path, list[Op]]) -> int:
    try:
        from fastact.cli._drawing import picture
    except ImportError as error:
        if not (error.name or "").startswith("matplotlib"):
            raise
        print("fastact plot: Matplotlib is missing: pip install 'fastact[plot]'", file=sys.stderr)
        return 1
    for path, ops in pictures.items():
        path.write_bytes(picture(ops, KINDS[path.suffix.lower()]))
    print(path if len(pictures) == 1 else f"{len(pictures)} pictures in {path.parent}")
    return 0
