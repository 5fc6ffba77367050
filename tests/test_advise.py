"""``fastact advise``: programs behave as by themselves, and their reports say what is in them."""

# ruff: noqa: E501 - programs within programs are as long as they are

import html.parser
import importlib
import json
import linecache
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import fastact as fa
from fastact.advice import block, findings, page, report
from fastact.advice.recorder import EVERY, Recorder
from tests.conftest import PACKAGE
from tests.watched import found_in, watch

PROGRAMS = Path(__file__).parent / "programs"


def run(*arguments, advise=(), cwd=PROGRAMS, code=""):
    """A program by itself, or, with options, under ``fastact advise``."""
    env = dict(os.environ, PYTHONPATH=str(PACKAGE.parent), PYTHONHASHSEED="0", OPENBLAS_NUM_THREADS="1")
    command = [sys.executable, *(["-m", "fastact", "advise", *map(str, advise)] if advise is not None else [])]
    if code:
        command = [sys.executable, "-c", code, "advise", *map(str, advise)]
    return subprocess.run([*command, *arguments], env=env, cwd=cwd, capture_output=True, text=True, timeout=300)


class TestPrograms:
    @pytest.mark.parametrize("arguments", [(), ("3", "-x")])
    def test_nothing_changes_whatever_a_program_does(self, arguments):
        alone, watched = run("semantics.py", *arguments, advise=None), run("semantics.py", *arguments)
        assert alone.stdout.count("\n") > 35, alone.stderr
        assert watched.stdout == alone.stdout
        assert watched.returncode == alone.returncode == (3 if arguments else 1)
        assert watched.stderr.startswith(alone.stderr), watched.stderr
        assert "semantics.py: " in watched.stderr.removeprefix(alone.stderr)

    @pytest.mark.parametrize("name", ["char_rnn", "kmeans"])
    def test_programs_compute_the_same(self, name, tmp_path):
        alone, watched = run(f"{name}.py", advise=None), run(f"{name}.py", advise=["--json", tmp_path / "out.json"])
        assert watched.stdout == alone.stdout
        assert len(alone.stdout) > 20
        found = json.loads((tmp_path / "out.json").read_text())
        assert not found["promotions"]
        expected = {
            "char_rnn": {"adagrad_step", "softmax", "tanh_backward_from_output"},
            "kmeans": {"embedding_backward"},
        }
        assert expected[name] <= {one["function"] for one in found["idioms"]}

    def test_what_is_in_an_mlp(self, tmp_path):
        alone, watched = run("mlp.py", advise=None), run("mlp.py", advise=["--json", tmp_path / "out.json"])
        assert watched.stdout == alone.stdout
        found = json.loads((tmp_path / "out.json").read_text())
        first = found["promotions"][0]
        text = (PROGRAMS / "mlp.py").read_text().splitlines()
        assert text[first["line"] - 1].strip() == "d = (p - tb) / len(xb)"
        assert re.fullmatch(r"`tb` is a float64 array, made in line \d+ by `np.eye\(10\)\[y\]`", first["cause"])
        assert first["downstream_seconds"] > 0.3 * found["array_seconds"]
        assert {"relu", "softmax", "cross_entropy"} <= {one["function"] for one in found["idioms"]}

    def test_what_is_in_a_transformer(self, tmp_path):
        alone, watched = (
            run("transformer.py", advise=None),
            run("transformer.py", advise=["--json", tmp_path / "out.json"]),
        )
        assert watched.stdout == alone.stdout
        assert "float64" in alone.stdout
        found = json.loads((tmp_path / "out.json").read_text())
        (promotion,) = found["promotions"]
        assert promotion["cause"].startswith("`np.sqrt(q.shape[-1])` is an np.float64 scalar")
        by_name = {one["function"]: one["call"] for one in found["idioms"]}
        assert by_name == {
            "gelu_tanh": "fa.gelu_tanh(x)",
            "softmax": "fa.softmax(x, axis=-1)",
            "layer_norm": "fa.layer_norm(x, eps=eps)",
        }
        assert found["idioms"][0]["could_save_seconds"] is None, "nothing is timed unless asked for"

    def test_the_page_shows_what_it_says(self):
        """Times are others each time; the words are not."""
        shown = (
            (PACKAGE.parent / "docs" / "advise.md")
            .read_text()
            .split("<!-- output:begin -->")[1]
            .split("<!-- output:end -->")[0]
        )
        said = " ".join(run("transformer.py").stderr.split())
        told = [" ".join(line.split()) for line in shown.splitlines() if re.match(r" {10,}\S", line)]
        assert len(told) > 8
        assert [line for line in told if line not in said] == [], "run python tools/advise_output.py"

    def test_modules_of_the_folder_are_seen(self, tmp_path):
        (tmp_path / "main.py").write_text("import numpy as np, helper\nhelper.Model()(np.ones((99, 99), np.float32))\n")
        (tmp_path / "helper.py").write_text((PROGRAMS / "helper.py").read_text())
        done = run("main.py", advise=["--json", "out.json"], cwd=tmp_path)
        found = json.loads((tmp_path / "out.json").read_text())
        assert not done.stdout
        assert [Path(one["file"]).name for one in found["idioms"]] == ["helper.py"]
        assert found["promotions"][0]["cause"] == "`self.scale` is an np.float64 scalar"
        assert "helper.py:14" in done.stderr
        assert not (tmp_path / "__pycache__").exists(), "code with hooks is kept nowhere"

    def test_a_module_by_name(self, tmp_path):
        (tmp_path / "pack").mkdir()
        (tmp_path / "pack" / "__init__.py").write_text("")
        (tmp_path / "pack" / "__main__.py").write_text(
            "import sys\nfrom . import part\nprint(__name__, __package__, sys.argv[1:], part.y)\n"
        )
        (tmp_path / "pack" / "part.py").write_text(
            "import numpy as np\ny = (np.ones((300, 300), np.float32) * np.sqrt(2)).dtype\n"
        )
        done = run("-m", "pack", "--html", "1", cwd=tmp_path)
        assert done.stdout == "__main__ pack ['--html', '1'] float64\n"
        assert "part.py:2" in done.stderr
        assert done.returncode == 0

    @pytest.mark.parametrize(
        ("how", "status", "error"), [("interrupt", 130, "KeyboardInterrupt"), ("error", 1, "ValueError")]
    )
    def test_there_is_a_report_of_what_was_ended(self, how, status, error):
        alone, watched = run("interrupted.py", how, advise=None), run("interrupted.py", how)
        assert watched.returncode == status
        assert watched.stderr.startswith(alone.stderr.rstrip())
        assert f"It was ended by {error}" in watched.stderr
        assert "`np.sqrt(2)` is an np.float64 scalar" in watched.stderr

    def test_numba_is_not_imported(self, tmp_path):
        (tmp_path / "main.py").write_text("import numpy as np\nx = np.ones((99, 99))\n1 / (1 + np.exp(-x))\n")
        code = "import sys; from fastact.__main__ import main; main(); print({'numba', 'llvmlite', 'rich'} & set(sys.modules))"
        done = run("main.py", cwd=tmp_path, code=code)
        assert done.stdout == "set()\n"
        assert "fa.sigmoid(x)" in done.stderr

    def test_compiled_functions_are_left_alone(self):
        pytest.importorskip("numba")
        text = "import numba\ndef helps(a):\n    return a + 1\n@numba.njit\ndef f(a):\n    return helps(a) * 2\ndef g(a):\n    return a * 3\nh = numba.njit(g)\ny = f(1.0) + h(2.0)\n"
        recorder, space = watch(
            text.replace("numba.njit", "numba_njit").replace("import numba", "numba_njit = lambda f: f")
        )
        assert space["y"] == 10.0
        assert {site.line for site in recorder.sites} <= {9, 10}


class TestCommand:
    def test_page_and_json(self, tmp_path):
        (tmp_path / "main.py").write_text(
            "import numpy as np\nx = np.ones((500, 500), np.float32) * np.sqrt(2)  # <script>&\n"
        )
        done = run("main.py", advise=["--html", "a.html", "--json", "a.json", "--top", "1"], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        text = (tmp_path / "a.html").read_text()
        assert "<script>" not in text
        assert "&lt;script&gt;&amp;" in text
        assert "`np.sqrt(2)` is an np.float64 scalar" in text
        assert "http" not in text, "it needs nothing else"
        tags = Tags()
        tags.feed(text)
        assert not tags.open
        assert tags.count["tr"] > 5
        assert json.loads((tmp_path / "a.json").read_text())["lines"][0]["line"] == 2

    @pytest.mark.parametrize(
        ("arguments", "status", "words"),
        [
            (["missing.py"], 2, "cannot read missing.py: No such file or directory"),
            (["-m", "no_such_module"], 2, "no module named no_such_module"),
            ([], 2, "name a script"),
            (["--top", "0", "kmeans.py"], 2, "--top must be at least 1"),
            (["--html", "missing/a.html", "kmeans.py"], 1, "cannot write"),
        ],
    )
    def test_bad_calls(self, arguments, status, words):
        done = run(advise=arguments)
        assert done.returncode == status
        assert words in done.stderr
        assert not done.stdout

    def test_a_syntax_error_is_pythons(self, tmp_path):
        (tmp_path / "main.py").write_text("x = 1 +\n")
        alone, watched = run("main.py", advise=None, cwd=tmp_path), run("main.py", cwd=tmp_path)
        assert watched.returncode == alone.returncode == 1
        assert "SyntaxError: invalid syntax" in watched.stderr

    @pytest.mark.parametrize(
        ("text", "status", "reported"),
        [
            ("import sys\nprint(1)\nsys.stdout.close()\n", 0, True),
            ("import sys\nprint(1, flush=True)\nsys.stdout = None\n", 0, True),
            ("import sys\nprint(1)\nsys.stderr = None\nsys.exit(4)\n", 4, True),
            ("import io, sys\nprint(1)\nsys.stderr = io.StringIO()\nsys.exit(5)\n", 5, True),
            ("import sys\nprint(1)\nsys.stderr.close()\n", 0, False),
        ],
    )
    def test_streams_that_the_program_closes_or_replaces(self, text, status, reported, tmp_path):
        (tmp_path / "main.py").write_text(text)
        alone, watched = run("main.py", advise=None, cwd=tmp_path), run("main.py", cwd=tmp_path)
        assert watched.returncode == alone.returncode == status, watched.stderr
        assert watched.stdout == alone.stdout == "1\n"
        assert ("main.py: " in watched.stderr) == reported
        assert "Traceback" not in watched.stderr


class Tags(html.parser.HTMLParser):
    """Counts tags, and keeps which are open."""

    def __init__(self):
        super().__init__()
        self.open, self.count = [], {}

    def handle_starttag(self, tag, attrs):  # noqa: ARG002
        self.count[tag] = self.count.get(tag, 0) + 1
        if tag not in ("meta", "html", "body"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("html", "body"):
            assert self.open.pop() == tag


class TestWatching:
    def test_loops_without_arrays_are_watched_seldom(self):
        recorder, space = watch("n = 0\nfor i in range(20000):\n    n += i * 2 + 1\n")
        assert space["n"] == 20000**2
        (unit,) = recorder.units
        assert unit.every == EVERY
        assert unit.passes < 3000

    def test_what_is_seen_seldom_counts_as_often_as_it_is(self):
        recorder, _ = watch("x = np.ones(3)\nfor i in range(20000):\n    x + 1\n")
        site = next(site for site in recorder.sites if site.line == 3)
        assert recorder.units[0].every == EVERY
        assert 18000 < site.calls < 22000
        assert recorder.events < 6000

    def test_large_arrays_are_watched_always(self):
        recorder, _ = watch("x = np.ones(300000)\nfor i in range(700):\n    x + 1; x - 1; x * 2\n")
        assert recorder.units[0].every == 1
        assert [site.calls for site in recorder.sites if site.line == 3] == [700] * 3

    def test_time_inside_a_call_is_not_counted_twice(self):
        text = "import time\nx = np.ones(2)\ndef slow(a):\n    a + 1\n    time.sleep(0.05)\n    return a\nnp.apply_along_axis(slow, 0, x)\ny = slow(x) * 2\n"
        recorder, _ = watch(text)
        of_line = {site.line: site.seconds for site in recorder.sites if site.calls}
        assert of_line[7] > 0.04
        assert of_line[8] < 0.04, "a function of the program's own is timed by what it does"

    def test_an_operation_within_another_is_counted_once(self):
        text = "import time\nnap = np.frompyfunc(lambda v: time.sleep(0.05) or v, 1, 1)\ndef slow(a):\n    return nap(a)\nx = np.ones(2)\nstart = time.perf_counter()\nnp.apply_along_axis(slow, 0, x)\ntotal = time.perf_counter() - start\n"
        recorder, space = watch(text)
        assert 0.1 <= sum(site.seconds for site in recorder.sites if site.line in (4, 7)) <= space["total"]

    def test_temporaries_are_reused(self):
        """NumPy computes in the memory of an operand that nobody else holds: hooks must not hold it."""
        import tracemalloc

        x = np.ones(1_000_000)
        tracemalloc.start()
        try:
            watch("y = x + 1 + 1 + 1 + 1\n", x=x)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 1.9 * x.nbytes

    def test_arrays_live_no_longer(self):
        import weakref

        _, space = watch("y = np.ones(1000)\nz = y * np.float64(2)\nr = ref(z)\nf = y.sum\ndel z, f\n", ref=weakref.ref)
        assert space["r"]() is None

    def test_an_error_between_hooks_leaves_nothing_behind(self):
        text = "x = np.ones(3)\nfor i in range(4):\n    try:\n        x + (x * np.ones(i))\n    except ValueError:\n        pass\ny = 2 + 3\n"
        recorder, space = watch(text)
        (outer,) = [
            site for site in recorder.sites if site.line == 4 and site.kind == "binop" and site.position[1] == 8
        ]
        assert outer.calls == 2
        assert space["y"] == 5

    def test_other_threads_are_not_mixed_in(self):
        text = "import threading\nx = np.ones(3)\ndef f():\n    return x + 1\nt = threading.Thread(target=f)\nt.start()\nt.join()\n"
        recorder, _ = watch(text)
        assert not [site for site in recorder.sites if site.line == 4 and site.calls]

    def test_recorders_know_their_own_cost(self):
        recorder = Recorder()
        recorder.install()
        recorder.stop()
        assert 1e-7 < recorder.cost < 1e-3


def helps(x):
    return 1 / (1 + np.exp(-x))


class TestBlock:
    def test_functions_called_from_a_block(self):
        before = helps.__code__
        with fa.advise() as found:
            y = helps(np.ones((50, 50), np.float32))
        assert helps.__code__ is before
        assert y.dtype == np.float32
        assert [one.call for one in found.findings.idioms] == ["fa.sigmoid(x)"]
        assert found.findings.idioms[0].line == before.co_firstlineno + 1
        assert "fa.sigmoid(x)" in str(found)
        assert "fa.sigmoid(x)" in found._repr_html_()

    def test_errors_pass_through(self):
        found = fa.advise()
        with pytest.raises(ZeroDivisionError), found:
            helps(np.ones(9)) / (1 // 0)
        assert found.findings.ended_by == "ZeroDivisionError"
        assert not block._active

    def test_one_at_a_time(self):
        with fa.advise() as found:
            with pytest.raises(RuntimeError, match="already"):
                fa.advise().__enter__()
            with pytest.raises(RuntimeError, match="before the block has ended"):
                found.findings  # noqa: B018
        assert found.findings.seconds > 0

    def test_lines_of_a_module(self, tmp_path):
        text = """\
import numpy as np, fastact as fa, sys, traceback
x = np.ones((99, 99), np.float32)
print("before")
with fa.advise() as found:
    print("within")
    s = np.float64(2)
    y = x * s
print(y.dtype, [(p.site.line, p.cause) for p in found.findings.promotions], sys.gettrace())
try:
    with fa.advise() as found:
        z = y * 2
        1 / 0
except ZeroDivisionError:
    traceback.print_exc(file=sys.stdout)
for i in range(2):
    with fa.advise():
        if i: break
        k = i
found.save("a.html")
print(found.findings.ended_by, i, k)
"""
        (tmp_path / "main.py").write_text(text)
        done = run("main.py", advise=None, cwd=tmp_path)
        assert done.stdout.splitlines() == [
            "before",
            "within",
            "float64 [(7, '`s` is an np.float64 scalar, set in line 6 by `np.float64(2)`')] None",
            "Traceback (most recent call last):",
            f'  File "{tmp_path / "main.py"}", line 12, in <module>',
            "    1 / 0",
            "    ~~^~~",
            "ZeroDivisionError: division by zero",
            "ZeroDivisionError 1 0",
        ], done.stderr
        assert "z = y * 2" in (tmp_path / "a.html").read_text()

    def test_cells_of_a_notebook(self):
        """Cells are in no file, and their lines are known to `linecache` only."""
        cells = [
            "import numpy as np, fastact as fa\nclass Net:\n    def forward(self, x):\n        return np.tanh(x)\nnet = Net()\n",
            "def scale(x):\n    return x * np.sqrt(2)\n",
            "x = np.ones((50, 50), np.float32)\nwith fa.advise() as report:\n    y = scale(net.forward(x))\n    z = np.maximum(0, y)\nafter = 1\n",
        ]
        space = {"__name__": "__main__"}
        for number, cell in enumerate(cells):
            name = f"<cell {number}>"
            linecache.cache[name] = len(cell), None, cell.splitlines(keepends=True), name
            exec(compile(cell, name, "exec"), space)
        found = space["report"].findings
        assert space["after"] == 1
        assert {(one.file, one.line, one.idiom.name) for one in found.idioms} == {
            ("<cell 0>", 4, "tanh"),
            ("<cell 2>", 4, "relu"),
        }
        assert [(one.site.file, one.site.line) for one in found.promotions] == [("<cell 1>", 2)]
        assert "<cell 1>:2" in str(space["report"])


class TestReport:
    def test_plain_text(self):
        text = report.text(
            found_in(
                "x = np.ones((300, 300), np.float32)\nfor i in range(3):\n    y = x * np.sqrt(2)\n    z = np.maximum(y, 0)\n"
            )
        )
        assert text.startswith("program.py: 1 s, of which ")
        assert "Where float32 becomes float64\n---" in text
        assert re.search(
            r"^ *3  +[\d.]+ [mu]?s +\d+%  .*y = x \* np.sqrt\(2\)\n +`np.sqrt\(2\)` is an np.float64 scalar\n",
            text,
            re.M,
        )
        assert "in float64 because of it: 3-4" in text
        assert "fa.relu(y)" in text
        assert max(map(len, text.splitlines())) <= report.WIDTH

    def test_nothing_to_say(self):
        text = report.text(found_in("n = 1 + 2\n"))
        assert "No operation on arrays was seen" in text
        assert "Nowhere did float32 become float64." in text
        assert "---" not in text

    def test_rich_tables_at_a_terminal(self):
        rich = pytest.importorskip("rich.console")
        found = found_in("x = np.ones((300, 300), np.float32)\ny = x * np.sqrt(2)  # [bold]\n")
        import io

        class Terminal(io.StringIO):
            def isatty(self):
                return True

        stream = Terminal()
        report.show(found, stream)
        assert "[bold]" in stream.getvalue()
        assert "np.float64 scalar" in stream.getvalue()
        assert rich.Console

    @pytest.mark.parametrize(
        ("x", "shown"), [(2.345, "2.35 s"), (0.9999, "1 s"), (0.0123, "12.3 ms"), (4.2e-5, "42 us"), (0.0, "0 us")]
    )
    def test_durations(self, x, shown):
        assert report.seconds(x) == shown

    @pytest.mark.parametrize(("lines", "shown"), [((3,), "3"), ((1, 2, 3, 7), "1-3, 7"), ((9, 5, 6), "5-6, 9")])
    def test_line_numbers(self, lines, shown):
        assert report._numbers(lines) == shown

    def test_bars_are_as_long_as_times(self):
        found = found_in("x = np.ones((300, 300))\ny = np.exp(x)\nz = x + 1\n")
        found.lines = [findings.Line("program.py", 2, 0.4), findings.Line("program.py", 3, 0.1)]
        text = page.page(found)
        assert re.findall(r"width: ([\d.]+)%", text) == ["100.0", "25.0"]


def test_import_stays_light(python):
    python("import sys, fastact; assert not [name for name in sys.modules if name.startswith('fastact.advice')]")
    assert importlib.import_module("fastact").advise is block.advise
