"""Watch a few lines of a program in this process."""

import numpy as np

from fastact.advice import findings
from fastact.advice.recorder import Recorder

PRELUDE = """\
import math
import numpy as np
from numpy.random import default_rng
rng = default_rng(0)
"""
START = PRELUDE.count("\n")


def watch(text, **names):
    """The recorder of a program that has run, and what its names stand for; its first line is line 1."""
    recorder = Recorder()
    code = compile(recorder.instrumented("program.py", text), "program.py", "exec", dont_inherit=True)
    space = {"__name__": "program", "np": np, **names}
    recorder.install()
    try:
        exec(code, space)
    finally:
        recorder.stop()
    return recorder, space


def found_in(text, measure=False, **names):
    """What is found in a program."""
    recorder, _ = watch(text, **names)
    return findings.assemble("program.py", recorder, 1.0, measure=measure)
