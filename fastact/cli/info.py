"""Say what fastact found: versions, processor, threads and why that many, and the kernels that it keeps."""

import argparse

from fastact.engine import threads
from fastact.warm import show_config


def add_options(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Start the threading layer, so as to name it, and print what is known."""
    try:
        threads.default_num_threads()
        threads.start_layer()
    except ValueError as error:  # of a variable such as FASTACT_NUM_THREADS or NUMBA_THREADING_LAYER
        parser.error(" ".join(str(error).split()))
    show_config()
    return 0
