"""Say what fastact found: versions, processor, threads and why that many, and the kernels that it keeps."""

import argparse

from fastact.runtime import threads
from fastact.warm import show_config


def add_options(parser: argparse.ArgumentParser) -> None:
    """It has none."""


def run(options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print what is known."""
    try:
        threads.default_num_threads()
    except ValueError as error:  # of FASTACT_NUM_THREADS
        parser.error(" ".join(str(error).split()))
    show_config()
    return 0
