"""The command line: what each command prints and writes, its exit statuses, and that nobody sees a traceback."""

import os
import re
import signal
import struct
import subprocess
import sys
import xml.etree.ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fastact as fa
from fastact import __main__, warm
from fastact.cli import _curves, commands, plot

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def fastact(capsys):
    """``fastact(*arguments)`` runs the command line here: exit status, output, errors."""

    def run(*arguments):
        try:
            status = __main__.main([str(argument) for argument in arguments])
        except SystemExit as ended:  # argparse's
            status = ended.code
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


def child(*arguments, code="", stdout=subprocess.PIPE, **environment):
    """The command line in a process of its own, after some code."""
    path = os.pathsep.join([str(Path(fa.__file__).parent.parent), os.environ.get("PYTHONPATH", "")])
    env = dict(os.environ, PYTHONPATH=path, **{name: str(value) for name, value in environment.items()})
    start = f"import sys; from fastact.__main__ import main\n{code}\nsys.exit(main({list(map(str, arguments))}))"
    return subprocess.run(
        [sys.executable, "-c", start], env=env, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300
    )


class TestCommandLine:
    def test_help_lists_every_command(self, fastact):
        status, out, _ = fastact("--help")
        assert status == 0
        assert {"info", "plot", "warmup"} <= set(commands())
        for name, command in commands().items():
            assert re.search(rf"^    {name} +{command.__doc__.split()[0]}", out, re.M), name

    @pytest.mark.parametrize("command", commands())
    def test_help_of_a_command(self, fastact, command):
        status, out, _ = fastact(command, "--help")
        assert status == 0
        assert out.startswith(f"usage: fastact {command}")
        assert commands()[command].__doc__.partition("\n")[0] in out

    def test_help_is_light(self):
        done = child(
            "--help",
            code="import atexit; atexit.register(lambda: print({'numba', 'matplotlib', 'rich'} & {*sys.modules}))",
        )
        assert done.returncode == 0
        assert done.stdout.splitlines()[-1] == "set()"

    def test_version(self, fastact):
        assert fastact("--version") == (0, f"fastact {fa.__version__}\n", "")

    def test_as_a_module(self):
        environment = dict(os.environ, PYTHONPATH=str(Path(fa.__file__).parent.parent))
        command = [sys.executable, "-m", "fastact", "--version"]
        assert (
            subprocess.run(command, env=environment, capture_output=True).stdout.decode()
            == f"fastact {fa.__version__}\n"
        )

    def test_interrupted(self):
        patch = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # ignored in background jobs
            "from fastact.cli import info; info.show_config = lambda: signal.raise_signal(signal.SIGINT)"
        )
        done = child("info", code=patch)
        assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")

    @pytest.mark.parametrize("argument", ["info", "--help"])
    def test_reader_that_leaves(self, argument):
        reading, writing = os.pipe()
        os.close(reading)
        done = child(argument, stdout=writing, PYTHONUNBUFFERED="")
        os.close(writing)
        assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((), "COMMAND"),
            (("nonsense",), "invalid choice: 'nonsense'"),
            (("plot",), "name ops, or give --all"),
            (("plot", "gelu", "--all"), "name ops, or give --all"),
            (("plot", "gelu", "gleu"), "unknown op gleu; known are exp, "),
            (("plot", "gelu", "-o", "gelu.pdf"), "cannot draw gelu.pdf: a file must end in .png or .svg"),
            (("plot", "gelu", "-o", "gelu"), "cannot draw gelu: a file must end in .png or .svg"),
            (("plot", "--all", "-o", "all.gif"), "cannot draw all.gif: a file must end in .png or .svg"),
            (("warmup", "--op", "gelu", "gleu"), "unknown op gleu; known are exp, "),
            (("warmup", "--jobs", "0"), "argument --jobs: must be a positive integer, got '0'"),
            (("warmup", "--dtype", "float32", "int8"), "unknown dtype int8; known are float16, float32, float64"),
        ],
    )
    def test_bad_input(self, fastact, arguments, message, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        status, out, err = fastact(*arguments)
        assert (status, out) == (2, "")
        assert message in err
        assert not list(tmp_path.iterdir())


class TestInfo:
    def test_prints_what_was_found(self, fastact):
        status, out, err = fastact("info")
        assert (status, err) == (0, "")
        lines = {line[:16].rstrip(): line[17:] for line in out.splitlines()}
        expected = {name: str(value) for name, value in warm.config().items()}
        # Other processes may add kernels meanwhile.
        cached = r"\d+ kernels?, .+; \d+ kernels?, .+ with those of other versions"
        for found in (lines, expected):
            assert re.fullmatch(cached, found.pop("cached"))
        assert lines == expected
        assert lines["fastact"] == fa.__version__
        assert lines["numpy"] == np.__version__

    @pytest.mark.parametrize(
        ("architecture", "processor", "width"),
        [
            ("x86_64", "skylake-avx512", "512 bits"),
            ("x86_64", "haswell", "256 bits"),
            ("x86_64", "nehalem", "128 bits"),
            ("aarch64", "neoverse-n1", "128 bits"),
            ("aarch64", "neoverse-v1", "scalable, a multiple of 128 bits"),
            ("riscv64", "generic-rv64", "none: kernels compute one element at a time"),
        ],
    )
    def test_says_what_kernels_are_compiled_for(self, architecture, processor, width):
        """The processor that Numba's settings name, and the vectors that LLVM makes for it."""
        other = "import llvmlite.binding as llvm; llvm.initialize_all_targets(); llvm.initialize_all_asmprinters()\n"
        other += f"llvm.get_process_triple = lambda: '{architecture}-unknown-linux-gnu'"
        done = child("info", code=other, NUMBA_CPU_NAME=processor, NUMBA_CPU_FEATURES="")
        assert f"processor        {architecture} {processor}\nvector width     {width}\n" in done.stdout, done.stderr

    def test_says_why_so_many_threads(self):
        assert "threads          1 (FASTACT_NUM_THREADS=1)\n" in child("info", FASTACT_NUM_THREADS=1).stdout

    def test_a_variable_that_says_nothing(self):
        done = child("info", FASTACT_NUM_THREADS="nonsense")
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 2, "usage and message"
        assert "nonsense" in done.stderr


class TestWarmup:
    def test_fills_a_fresh_cache(self, tmp_path, python):
        kept = tmp_path / "kernels"
        arguments = ("warmup", "--op", "elu", "--dtype", "float32")
        done = child(*arguments, FASTACT_CACHE_DIR=kept)
        assert (done.returncode, done.stderr) == (0, "")
        files = list(kept.rglob("*.o"))
        names = {file.name for file in files}
        assert {
            "elu.float32.o",
            "elu_backward.float32.o",
            "elu.defaults.float32.o",
            "team.run_parallel.o",
            "team.serve.o",
        } <= names
        size = sum(file.stat().st_size for file in files) / 1e6
        found = rf"{len(files)} kernels, {size:.1f} MB in {re.escape(str(kept))}\n"
        progress = r"1 of 2: elu(_backward)? float32\n2 of 2: elu(_backward)? float32\n"
        compiled = rf"2 functions for float32: {len(files)} kernels compiled in \d+\.\d s; "
        assert re.fullmatch(progress + compiled + found, done.stdout)

        use = "import sys, numpy as np, fastact as fa; x = np.ones(400_001, 'f4'); fa.elu(x), fa.elu(x, 2), fa.elu_backward(x, x)"
        python(f"{use}; assert 'fastact.kernels.jit' not in sys.modules", FASTACT_CACHE_DIR=kept)
        assert " 0 kernels compiled " in child(*arguments, FASTACT_CACHE_DIR=kept).stdout

    def test_an_op_has_its_companions(self, fastact, monkeypatch):
        seen = []
        monkeypatch.setattr(warm, "warmup", lambda names, dtypes, progress: seen.append((names, dtypes)))
        for ops in (["maxout"], ["cross_entropy", "gelu_backward"], ["exp", "exp"]):
            fastact("warmup", "--jobs", "1", "--op", *ops, "--dtype", "float64")
        fastact("warmup", "--jobs", "1", "--op", "relu", "--op", "elu")
        fastact("warmup", "--jobs", "1")
        assert seen == [
            (["maxout", "maxout_with_index", "maxout_backward"], ["float64"]),
            (["gelu_backward", "cross_entropy", "cross_entropy_with_grad"], ["float64"]),
            (["exp"], ["float64"]),
            (["elu", "elu_backward", "relu", "relu_backward"], ["float16", "float32", "float64"]),
            (warm.functions(), ["float16", "float32", "float64"]),
        ]

    def test_nothing_can_be_kept(self, fastact, monkeypatch):
        monkeypatch.setenv("FASTACT_CACHE_DIR", "off")
        status, out, err = fastact("warmup", "--op", "relu")
        assert (status, out) == (1, "")
        assert "nothing can be kept" in err

    def test_interrupted_in_a_callback(self, tmp_path):
        """Where Python can only print an exception and go on."""
        code = "import ctypes, signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        code += "from fastact import warm\n"
        code += "callback = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGINT))\n"
        code += "warm.warmup = lambda *arguments: callback()"
        done = child("warmup", "--jobs", "1", code=code, FASTACT_CACHE_DIR=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, "", "")

    def test_a_bar_on_a_terminal(self, fastact, monkeypatch, tmp_path):
        names = []

        def advance_all(functions, dtypes, advance):
            names.extend(functions)
            for name in functions:
                advance(name)

        monkeypatch.setattr(warm, "warmup", advance_all)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("FASTACT_CACHE_DIR", str(tmp_path))  # to which no other process adds
        status, out, err = fastact("warmup", "--jobs", "1", "--op", "relu", "--dtype", "float32")
        assert (status, err, names) == (0, "", ["relu", "relu_backward"])
        assert "2 functions for float32: 0 kernels compiled" in out.splitlines()[-1]


class TestPlot:
    def test_png(self, fastact, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert fastact("plot", "gelu", "mish") == (0, "gelu-mish.png\n", "")
        contents = (tmp_path / "gelu-mish.png").read_bytes()
        assert contents.startswith(PNG)
        width, height = struct.unpack(">II", contents[16:24])
        assert (width, height) == (2 * 484, 429), "two panels of 4.4 by 3.9 inches at 110 dots per inch"

    def test_svg_is_the_same_every_time(self, fastact, tmp_path):
        for name in ("first.svg", "second.svg"):
            assert fastact("plot", "threshold", "-o", tmp_path / name)[0] == 0
        first, second = ((tmp_path / name).read_text() for name in ("first.svg", "second.svg"))
        assert first == second
        root = xml.etree.ElementTree.fromstring(first)
        assert root.tag.endswith("svg")
        assert root.get("viewBox") == "0 0 316.8 280.8"
        assert _curves.fingerprint(fa.ops["threshold"]) in first
        assert str(Path.cwd()) not in first

    def test_a_picture_of_each(self, fastact, tmp_path, monkeypatch):
        monkeypatch.setattr(plot, "OPS", {name: fa.ops[name] for name in ("relu", "erf", "swiglu")})
        assert fastact("plot", "--all", "-o", tmp_path / "new") == (0, f"3 pictures in {tmp_path / 'new'}\n", "")
        assert fastact("plot", "relu", "-o", tmp_path)[0] == 0
        found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.svg")}
        assert found == {"new/relu.svg", "new/erf.svg", "new/swiglu.svg", "relu.svg"}
        assert fastact("plot", "--all", "-o", tmp_path / "all.png")[0] == 0
        assert (tmp_path / "all.png").read_bytes().startswith(PNG)

    @pytest.mark.parametrize("output", ["missing/gelu.png", "file/gelu.png", "missing/new", "file/new"])
    def test_place_that_cannot_be_written(self, fastact, tmp_path, monkeypatch, output):
        (tmp_path / "file").touch()
        monkeypatch.setattr(plot, "_draw", lambda pictures: pytest.fail("drawn all the same"))
        ops = ["gelu"] if Path(output).suffix else ["--all"]
        status, out, err = fastact("plot", *ops, "-o", tmp_path / output)
        assert (status, out) == (1, "")
        assert re.fullmatch(r"fastact plot: cannot write .*: (No such file or|Not a) directory\n", err)

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
    def test_a_full_disk(self, fastact, tmp_path):
        (tmp_path / "gelu.png").symlink_to("/dev/full")
        status, out, err = fastact("plot", "gelu", "-o", tmp_path / "gelu.png")
        assert (status, out, err.count("\n")) == (1, "", 1)
        assert "No space left" in err

    def test_without_matplotlib(self, tmp_path):
        done = child("plot", "gelu", "-o", tmp_path / "x.png", code="sys.modules['matplotlib'] = None")
        assert done.returncode == 1
        assert done.stderr == "fastact plot: Matplotlib is missing: pip install 'fastact[plot]'\n"
        assert not list(tmp_path.iterdir())

    def test_every_formula_can_be_set(self, op):
        drawing = pytest.importorskip("fastact.cli._drawing")
        assert drawing.formula(op), f"Matplotlib's mathtext cannot set {op.formula}: see _drawing.formula"

    def test_a_formula_that_cannot_be_set_is_left_out(self):
        drawing = pytest.importorskip("fastact.cli._drawing")
        op = replace(fa.ops["relu"], formula=r"\begin{cases} x \end{cases}")
        assert drawing.formula(op) == ""
        assert drawing.picture([op], "png").startswith(PNG)


class TestCurves:
    @pytest.mark.parametrize(
        ("name", "jumps"), [("gelu", 0), ("exp", 0), ("log", 0), ("relu", 0), ("threshold", 1), ("hard_shrink", 2)]
    )
    def test_lines_break_at_jumps(self, name, jumps):
        curve = _curves.value_curves(fa.ops[name])[0]
        assert np.isnan(curve.x).sum() == jumps

    def test_limits_and_parameters_are_named(self):
        labels = [curve.label for curve in _curves.value_curves(fa.ops["leaky_relu"])]
        assert labels == [
            "leaky_relu(x, 0.01); limits \N{MINUS SIGN}\N{INFINITY} and \N{INFINITY}",
            "leaky_relu(x, 0.5)",
            "leaky_relu(x, 2)",
        ]
        assert _curves.derivative_curve(fa.ops["exp"]) is None

    def test_kinks_show_what_was_chosen(self):
        marks = _curves.derivative_marks(fa.ops["relu6"])
        assert marks == [
            _curves.Mark(0.0, 1.0, False),
            _curves.Mark(0.0, 0.0, True),
            _curves.Mark(6.0, 1.0, False),
            _curves.Mark(6.0, 0.0, True),
        ]

    def test_fingerprint_follows_the_record(self, op):
        assert _curves.fingerprint(op) == _curves.fingerprint(replace(op))
        assert _curves.fingerprint(op) != _curves.fingerprint(replace(op, limits={-np.inf: 7.0, np.inf: 7.0}))
        assert _curves.fingerprint(op) != _curves.fingerprint(replace(op, formula="x"))
