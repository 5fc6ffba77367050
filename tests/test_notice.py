"""Who waits for a compilation at a terminal is told why, once; whoever else reads the output sees nothing."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fastact as fa
from fastact.runtime import notice

CODE = """
import numpy as np, fastact as fa
from fastact.runtime import notice
notice.PATIENCE = 0.05
fa.relu(np.ones(3))
fa.gelu(np.ones(3))
"""


def on_terminal(code, **environment):
    """What a program writes to its standard error stream where that is a terminal."""
    pty = pytest.importorskip("pty", reason="no terminals on this platform")
    ours, theirs = pty.openpty()
    env = dict(os.environ, PYTHONPATH=str(Path(fa.__file__).parent.parent), **environment)
    child = subprocess.Popen([sys.executable, "-c", code], stderr=theirs, stdout=subprocess.PIPE, env=env)
    out, _ = child.communicate(timeout=300)
    os.close(theirs)
    os.set_blocking(ours, False)
    try:
        seen = os.read(ours, 10_000).decode()
    except (BlockingIOError, OSError):
        seen = ""
    os.close(ours)
    assert (child.returncode, out) == (0, b""), seen
    return seen.replace("\r\n", "\n")


def test_a_terminal_is_told_once():
    assert on_terminal(CODE, FASTACT_CACHE_DIR="off") == notice.TEXT + "\n"


def test_nothing_is_said_of_what_is_only_loaded_or_warmed_up(tmp_path):
    warm = CODE.replace("fa.relu(np.ones(3))", "fa.warmup(['gelu'], ['float64'])")
    assert on_terminal(warm, FASTACT_CACHE_DIR=str(tmp_path)) == ""
    assert on_terminal(CODE.replace("fa.relu(np.ones(3))", ""), FASTACT_CACHE_DIR=str(tmp_path)) == ""


def test_a_pipe_sees_nothing():
    env = dict(os.environ, PYTHONPATH=str(Path(fa.__file__).parent.parent), FASTACT_CACHE_DIR="off")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, env=env, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_notebook_is_told(monkeypatch, capsys):
    monkeypatch.setattr(notice, "_told", False)
    monkeypatch.setattr(notice, "PATIENCE", 0.0)
    assert not notice._is_watched()
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    for _ in range(2):
        with notice.of_compilation():
            deadline = time.monotonic() + 60
            while not notice._told and time.monotonic() < deadline:
                time.sleep(0.001)
    assert capsys.readouterr().err == notice.TEXT + "\n"


def test_what_is_short_goes_unnoticed(monkeypatch, capsys):
    monkeypatch.setattr(notice, "_told", False)
    monkeypatch.setattr(notice, "_compiled", 0.0)
    monkeypatch.setattr(notice, "PATIENCE", 3600.0)
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    with notice.of_compilation():
        pass
    assert 0.0 < notice._compiled < 3600.0
    assert capsys.readouterr().err == ""
