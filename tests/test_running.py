"""``fastact run`` and ``fastact advise`` run a program as Python does: what it sees of itself, its output, and how it ends."""

import os
import subprocess
import sys
import zipfile

import pytest

from fastact import running
from tests.conftest import PACKAGE

SEEN = """
import os, pickle, sys
import neighbour
class Own: known = __builtins__.len
main = sys.modules["__main__"]
print(sys.argv, sys.path[0], "".join(sys.path).count(sys.path[0]), neighbour.__name__)
print(__name__, __file__, __package__, __doc__, __cached__, __spec__ and (__spec__.name, __spec__.parent), type(__loader__))
print(vars(main) is globals(), sorted(x for x in globals()), pickle.loads(pickle.dumps(Own())).__class__ is Own)
"""
ENDS = {
    "at its end": "pass",
    "a status": "import sys; sys.exit(7)",
    "nothing": "import sys; sys.exit()",
    "words": "import sys; sys.exit('no more')",
    "an error": "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ValueError('so') from error",
    "a syntax error": "x = 1 +",
    "a hook of its own": "import sys\nsys.excepthook = lambda kind, error, trace: print(kind, trace.tb_lineno)\n1 / 0",
    "a thread": "import threading, time\nthreading.Thread(target=lambda: (time.sleep(0.1), print('late'))).start()\nprint('soon')",
    "at exit": "import atexit\natexit.register(print, 'last')\nprint('first')",
}
COMMANDS = (["run"], ["advise"])


def under(command, *arguments, cwd, options=()):
    """A program by itself, or under a command."""
    given = [sys.executable, *options, *(["-m", "fastact", *command] if command else []), *arguments]
    env = {**os.environ, "PYTHONPATH": str(PACKAGE.parent), "COLUMNS": "200"}
    return subprocess.run(given, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


@pytest.fixture
def folder(tmp_path):
    """A script, a package, a folder and an archive with the same program."""
    for place in ("work", "scripts", "scripts/unpacked", "work/pack"):
        (tmp_path / place).mkdir()
    for place in ("work", "scripts", "scripts/unpacked"):
        (tmp_path / place / "neighbour.py").write_text("")
    for file in ("scripts/program.py", "scripts/unpacked/__main__.py", "work/pack/__main__.py", "work/pack/part.py"):
        (tmp_path / file).write_text(SEEN)
    (tmp_path / "work" / "pack" / "__init__.py").write_text("")
    (tmp_path / "work" / "linked.py").symlink_to(tmp_path / "scripts" / "program.py")
    with zipfile.ZipFile(tmp_path / "scripts" / "packed.zip", "w") as archive:
        archive.writestr("__main__.py", SEEN)
        archive.writestr("neighbour.py", "")
    return tmp_path / "work"


@pytest.mark.parametrize(
    "target",
    [
        ["../scripts/program.py"],
        ["linked.py"],
        ["../scripts/unpacked"],
        ["../scripts/packed.zip"],
        ["-m", "pack"],
        ["-m", "pack.part"],
    ],
    ids=" ".join,
)
def test_a_program_sees_what_it_sees_by_itself(folder, target):
    alone = under((), *target, "--verbose", "-m", "3", cwd=folder)
    assert alone.stdout.count("\n") == 3, alone.stderr
    for command in COMMANDS if target[0] in ("-m", "linked.py") else COMMANDS[:1]:
        done = under(command, *target, "--verbose", "-m", "3", cwd=folder)
        assert (done.returncode, done.stdout) == (0, alone.stdout), done.stderr


@pytest.mark.parametrize("how", ENDS)
def test_a_program_ends_as_by_itself(tmp_path, how):
    (tmp_path / "program.py").write_text(ENDS[how] + "\n")
    alone, done = (under(command, "program.py", cwd=tmp_path) for command in ((), ["run"]))
    assert (done.returncode, done.stdout, done.stderr) == (alone.returncode, alone.stdout, alone.stderr)


def test_an_error_in_the_syntax_is_pythons_alone(tmp_path):
    (tmp_path / "program.py").write_text("x = 1 +\n")
    alone, watched = (under(command, "program.py", cwd=tmp_path) for command in ((), ["advise"]))
    assert watched.stderr.startswith(alone.stderr)


def test_an_interrupt_is_one(tmp_path):
    """Python dies of the signal, which a shell shows as 130."""
    (tmp_path / "program.py").write_text("raise KeyboardInterrupt\n")
    alone, done = (under(given, "program.py", cwd=tmp_path) for given in ((), ["run"]))
    assert (alone.returncode, done.returncode) == (-2, 130)
    assert done.stderr.strip() == alone.stderr.strip()


def test_a_safe_path_is_left_as_it_is(folder):
    (folder.parent / "scripts" / "program.py").write_text("import sys; print(sys.path)")
    alone, done = (under(how, "../scripts/program.py", cwd=folder, options=["-P"]).stdout for how in ((), ["run"]))
    assert done == alone


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (["missing.py"], "cannot read missing.py: No such file or directory"),
        (["pack"], "cannot find a file __main__.py in pack"),
        (["-m", "missing"], "no module named missing"),
        (["-m", "missing.part"], "no module named missing.part: "),
        (["-m", "numpy.linalg._umath_linalg"], "there is no Python code in "),
    ],
)
def test_what_is_no_program(tmp_path, monkeypatch, target, words):
    (tmp_path / "pack").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(running.NoProgramError, match=f"^{words}"):
        running.find(target[-1], as_module=len(target) > 1)


def test_a_module_without_source(tmp_path):
    import compileall

    (tmp_path / "bare.py").write_text("print(__name__, __spec__.name)\n")
    compileall.compile_file(tmp_path / "bare.py", legacy=True, quiet=1)
    (tmp_path / "bare.py").unlink()
    assert under(["run"], "-m", "bare", cwd=tmp_path).stdout == "__main__ bare\n"
    watched = under(["advise"], "-m", "bare", cwd=tmp_path)
    assert watched.returncode == 2
    assert "there is no source of bare" in watched.stderr
