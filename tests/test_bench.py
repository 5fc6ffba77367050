"""``fastact bench``: what it prints and keeps, what it refuses, and that its errors in ULP are right."""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import fastact as fa
from fastact import table
from fastact.bench import accuracy, cases, company, page, peers, programidioms, report, results, rows
from fastact.bench.case import Case
from fastact.bench.programs import PROGRAMS
from fastact.cli import bench
from fastact.functions.record import FUNCTIONS

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
KEPT = [file for file in sorted(RESULTS.glob("*.json")) if '"cells"' in file.read_text()]
FEW = ("--peers", "numpy", "--rounds", "2", "--quick")
RELU = ("--op", "relu", "--size", "100", *FEW)
BRIEF = ("--rounds", "2", "--quick")


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    """The machine that runs the tests is busy; that is not what they are about."""
    monkeypatch.setattr(bench, "busy", lambda: "")


def run(*arguments):
    parser = argparse.ArgumentParser(prog="fastact bench")
    bench.add_options(parser)
    return bench.run(parser.parse_args(list(map(str, arguments))), parser)


def read(file):
    return {results.identity(cell): cell for cell in json.loads(file.read_text())["cells"]}


def test_prints_a_table_and_nothing_else_in_a_pipe(capsys):
    assert run(*RELU, "--direction", "forward", "--variant", "out") == 0
    out, err = capsys.readouterr()
    head, _, row, *_ = out.splitlines()
    assert err == ""
    assert head.split()[:8] == ["op", "direction", "dtype", "size", "variant", "fastact", "GB/s", "ULP"]
    assert row.split()[:5] == ["relu", "forward", "float32", "100", "out"]


def test_keeps_every_figure(tmp_path, capsys):
    file = tmp_path / "result.json"
    assert run(*RELU, "--json", file) == 0
    result = json.loads(file.read_text())
    assert {"machine", "versions", "threads", "date", "busy"} < set(result)
    for cell in result["cells"]:
        read_and_written = 400 * (2 if cell["direction"] == "forward" else 3)
        assert (cell["op"], cell["size"], cell["rounds"], cell["bytes"]) == ("relu", 100, 2, read_and_written)
        assert cell["seconds"]["fastact"] == cell["spread"]["fastact"][0] > 0
        assert cell["ratio"]["numpy"] == sorted(cell["ratio"]["numpy"])
        assert cell["ulp"] == {"fastact": 0, "numpy": 0}
    assert {(cell["direction"], cell["variant"]) for cell in result["cells"]} == {
        (direction, variant) for direction in ("forward", "backward") for variant in ("out", "fresh")
    }


def test_adds_to_a_file_and_replaces_what_is_measured_anew(tmp_path, capsys):
    file = tmp_path / "result.json"
    for op in ("relu", "reglu", "relu"):
        assert run("--op", op, "--size", "100", *FEW, "--direction", "forward", "--variant", "out", "--json", file) == 0
    assert [cell["op"] for cell in json.loads(file.read_text())["cells"]] == ["reglu", "relu"]


def test_results_of_machines_do_not_mix(tmp_path, capsys, monkeypatch):
    file = tmp_path / "result.json"
    run(*RELU, "--json", file)
    file.write_text(file.read_text().replace('"threads": ', '"threads": 99'))
    before = file.read_text()
    monkeypatch.setattr(bench, "measure", _must_not_measure)
    assert run(*RELU, "--json", file) == 1
    assert "holds results for other threads" in capsys.readouterr().err
    assert file.read_text() == before


def _must_not_measure(*_):
    raise AssertionError("this must be found out before anything is measured")


@pytest.mark.parametrize("option", ["--json", "--html"])
@pytest.mark.parametrize("place", ["missing/file", "."])
def test_a_file_that_cannot_be_written_is_found_before_measuring(option, place, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(bench, "measure", _must_not_measure)
    assert run(*RELU, option, tmp_path / place) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert str(tmp_path) in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_holds_no_result(tmp_path, capsys):
    for text in ("", "[]", "{}"):
        (tmp_path / "file.json").write_text(text)
        assert run("--targets", "--json", tmp_path / "file.json") == 1
        assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--op", "gleu"), "unknown op gleu; known are exp, expm1, "),
        (("--peers", "cuda"), "unknown peers cuda; known are numpy, numexpr, torch, jax, onnxruntime"),
        (("--size", "many"), "--size"),
        (("--size", "0"), "0 is no whole number from 1 on"),
        (("--rounds", "1.5"), "1.5 is no whole number from 1 on"),
        (("--op", "exp", "--direction", "backward"), "there is no such case"),
        (("--programs", "--op", "gelu"), "argument --op: not allowed with argument --programs"),
        (("--programs", "--html", "page.html"), "argument --html: not allowed with argument --programs"),
        (("--programs", "--size", "100"), "argument --size: not allowed with argument --programs"),
        (("--shapes", "--programs"), "argument --programs: not allowed with argument --shapes"),
        (("--programs", "mpl"), "unknown programs mpl; known are mlp, lstm, transformer, "),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        run(*arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_number_of_threads(tmp_path, capsys, monkeypatch):
    for options, threads in (((), fa.get_num_threads()), (("--threads", 1), 1)):
        file = tmp_path / f"{threads}.json"
        assert run(*RELU, *options, "--json", file) == 0
        assert json.loads(file.read_text())["threads"] == threads
    monkeypatch.setattr(fa, "get_num_threads", lambda: int("many"))
    with pytest.raises(SystemExit) as stopped:
        run(*RELU)
    assert stopped.value.code == 2
    assert "many" in capsys.readouterr().err


def test_interrupt_loses_nothing(tmp_path, capsys, monkeypatch):
    measure, done = bench.measure, []

    def interrupted(*arguments):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return measure(*arguments)

    monkeypatch.setattr(bench, "measure", interrupted)
    file, html = tmp_path / "result.json", tmp_path / "page.html"
    assert run(*RELU, "--json", file, "--html", html) == 130
    out, err = capsys.readouterr()
    assert "interrupted" in err
    assert out.count("\nrelu ") == len(read(file)) == 1
    assert "<td>relu</td>" in html.read_text()


def test_peers_that_are_not_installed_are_left_out(capsys, monkeypatch):
    monkeypatch.setattr(bench, "installed", lambda peer: peer == "numpy")
    assert run("--op", "relu", "--size", "100", "--quick", "--peers", "numpy", "torch") == 0
    assert capsys.readouterr().err == "left out: torch (pip install 'fastact[peers]' has all)\n"


def test_without_rich_there_is_no_progress_bar(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "rich.console", None)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(*RELU, "--direction", "forward", "--variant", "out") == 0
    out, err = capsys.readouterr()
    assert err == "no progress bar without rich: pip install 'fastact[bench]'\n"
    assert "\nrelu " in out


def test_progress_is_drawn_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run(*RELU, "--direction", "forward", "--variant", "out") == 0
    out, err = capsys.readouterr()
    assert "relu float32 1e+02 out" in err
    assert "1e+02" not in out


def test_functions_over_rows(tmp_path, capsys):
    file, ops = tmp_path / "result.json", ("softmax", "cross_entropy", "maxout", "linear_cross_entropy_with_grad")
    assert run("--op", *ops, "--size", "10", *FEW, "--direction", "forward", "--json", file) == 0
    shapes = {cell["op"]: cell["shape"] for cell in read(file).values()}
    assert shapes == {
        "softmax": [1, 10],
        "cross_entropy": [1, 10],
        "maxout": [1, 10],
        "linear_cross_entropy_with_grad": [1, 10, 10],
    }
    variants = {cell["variant"] for cell in read(file).values() if cell["op"] == "softmax"}
    assert variants == {"out", "fresh"}
    assert all(cell["ulp"]["fastact"] < 8 for cell in read(file).values())


@pytest.mark.parametrize("size", [2, 7, 10, 999, 1001, 1_000_000])
def test_rows_of_a_size(size):
    for op in rows.op_names():
        for case in rows.cases(op, "forward", "float32", size, "fresh", False):
            assert case.shape[-1] == min(1000, size) or case.shape[-1] == min(1000, size) // 2 * 2
            assert 0.5 * size < case.shape[0] * case.shape[1] <= size


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_function_without_statements_is_called_as_its_record_says(monkeypatch, dtype):
    named = {name: replace(table.function(f"softmax{name}"), name=f"another{name}") for name in ("", "_backward")}
    for name, record in named.items():
        monkeypatch.setitem(FUNCTIONS, f"another{name}", record)
    assert "another" in cases.op_names()
    found = list(cases.every_case(["another"], dtypes=[dtype], sizes=[1000, 5000]))
    assert [case.name for case in found] == ["another", "another_backward"] * 2
    assert {case.variant for case in found} == {"fresh"}
    for case in found:
        contenders = cases.contenders(case)
        assert [*contenders] == ["fastact", "numpy"]
        exact = accuracy.exact(case, contenders["numpy"].names)
        assert all(np.size(value) == case.size for value in exact.values)
        assert exact.error(accuracy.parts(contenders["fastact"].result())) < 10
        assert exact.error([2 * value.astype(dtype) for value in exact.values]) > 1000


CELL = {
    "op": "gelu",
    "direction": "forward",
    "dtype": "float32",
    "size": 1000,
    "variant": "out",
    "seconds": {"fastact": 2e-6, "numpy": 4e-6, "torch": 1e-6, "jax": 2e-6},
    "ratio": {"numpy": [2.0] * 5, "torch": [0.4, 0.4, 0.5, 0.6, 0.6], "jax": [0.8, 0.8, 0.9, 1.1, 1.1]},
    "allocates": ["jax"],
}


def test_a_peer_that_wins_is_marked():
    _, _, row, *_ = report.report([CELL]).splitlines()
    assert row.endswith("torch, ~jax")
    lost = report.report([{**CELL, "ratio": {"numpy": [2.0] * 5}}]).splitlines()[2]
    assert "torch" not in lost


class Tags(HTMLParser):
    """The tags of a page, with their classes."""

    def __init__(self):
        super().__init__()
        self.found, self.addresses = [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.found.append((tag, attributes.get("class", "")))
        self.addresses += [attributes[name] for name in ("src", "href") if name in attributes]


def test_page_needs_nothing_else_and_marks_what_is_lost():
    conditions = {"machine": {"processor": "a <b>", "cores": 2, "caches": {}}, "versions": {"numpy": "2.4"}}
    text = page.page({**conditions, "threads": 2, "date": "2026-01-01", "busy": True, "cells": [CELL]})
    tags = Tags()
    tags.feed(text)
    assert tags.addresses == []
    assert "@import" not in text
    assert "url(" not in text
    assert ("tr", "lost") in tags.found
    assert tags.found.count(("b", "lost")) == 3  # two ratios and the names
    assert "a &lt;b&gt;" in text
    assert ("p", "warning") in tags.found


@pytest.mark.parametrize("file", KEPT, ids=lambda file: file.name)
def test_kept_results_can_be_read(file, capsys):
    result = results.read(file)
    assert report.report(result["cells"]).count("\n") > len(result["cells"])
    assert page.page(result).count("<tr") == len(result["cells"]) + 1
    if programs := result.get("programs"):
        assert report.report_of_programs(result).count("\n") > len(programs)
    assert run("--targets", "--json", file) == 0
    assert ("met" if result["cells"] else "no cell") in capsys.readouterr().out


ACCURATE = [("gelu", "forward"), ("silu", "backward"), ("softmax", "forward"), ("logsumexp", "forward")]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("op", "direction"), ACCURATE)
def test_errors_in_ulp(op, direction, dtype):
    if dtype == "float64" and np.finfo(np.longdouble).nmant < 60:
        pytest.skip("longdouble is float64 here")
    (case,) = cases.every_case([op], [direction], [dtype], [1000], ["fresh"])
    fastact = cases.contenders(case, ())["fastact"]
    truth = accuracy.exact(case, fastact.names)
    (got,) = accuracy.parts(fastact.result())
    error = truth.error([got])
    assert 0 < error <= 6
    at = np.argmax(np.abs(got))
    worse = got.copy()
    for _ in range(50):
        worse.flat[at] = np.nextafter(worse.flat[at], np.inf)
    assert 50 - error <= truth.error([worse]) <= 50 + error
    worse.flat[at] = np.nan
    assert truth.error([worse]) == np.inf


def test_every_op_has_a_case():
    found = {case.name for case in cases.every_case(cases.op_names(), sizes=[100])}
    assert found == set(table.names())


def test_shapes_are_cases_of_the_same_list():
    shaped = list(cases.shaped_cases(cases.op_names()))
    assert shaped == list(cases.SHAPED)
    assert Case("softmax", "forward", "float32", 10, "out", (1, 10)) in shaped
    assert {case.op for case in cases.shaped_cases(["maxout"])} == {"maxout"}


def test_contenders_compute_the_same_for_every_setting():
    for case in (
        Case("softmax", "forward", "float32", 60, "out", (4, 15), "axis=0"),
        Case("softmax", "forward", "float32", 120, "out", (2, 3, 4, 5), "axis=1"),
        Case("maxout", "forward", "float32", 60, "out", (60,), "num_pieces=4"),
    ):
        with peers.equal_terms(2):
            found = cases.contenders(case)
            assert {"fastact", "numpy"} <= set(found)
            (expected,) = accuracy.parts(found.pop("fastact").result())
            for name, contender in found.items():
                (got,) = accuracy.parts(contender.result())
                np.testing.assert_allclose(got, expected, rtol=1e-5, err_msg=f"{name} {case}")


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.name)
def program(request):
    return request.param


def assert_agree(program):
    """Three steps of both versions, each of which the results of the one before may have gone into."""
    numpys, ours = program.make(programidioms.numpy_maths()), program.make(programidioms.fastact_maths())
    for _ in range(3):
        for got, expected in zip(ours(), numpys(), strict=True):
            assert got.dtype == expected.dtype
            rtol = {"float32": 2e-3, "float64": 1e-8}[got.dtype.name]
            np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * np.max(np.abs(expected)))


def test_versions_of_a_program_agree(program):
    assert_agree(program)


def test_without_scipy_both_versions_take_the_form_with_tanh(monkeypatch):
    monkeypatch.setattr(programidioms, "has_erf", lambda: False)
    assert_agree(next(program for program in PROGRAMS if program.name.startswith("mlp")))
    x = np.linspace(-3, 3, 7, dtype=np.float32)
    y = np.empty_like(x)
    programidioms.fastact_maths().gelu(x, y, (y, y))
    np.testing.assert_array_equal(y, fa.gelu_tanh(x))


def test_parts_make_the_step(program):
    if program.parts is not None:
        maths = programidioms.fastact_maths()
        for got, expected in zip([part() for part in program.parts(maths)], program.make(maths)(), strict=True):
            np.testing.assert_array_equal(got, expected)


def assert_ascending(quantiles):
    assert len(quantiles) == 5
    assert quantiles[0] > 0
    assert quantiles == sorted(quantiles)


@pytest.mark.parametrize("name", ["logistic 20000 x 50", "product, gelu of 65536"])
def test_cell_of_a_program(name):
    program = next(program for program in PROGRAMS if program.name == name)
    cell = company.measure(program, rounds=2, turn=1e-4)
    assert (cell["program"], cell["rounds"]) == (name, 2)
    assert set(cell["steps"]) == set(cell["seconds"]) == {"numpy", "fastact", "fastact on one thread"}
    assert min(cell["steps"].values()) >= 2
    for seconds in cell["seconds"].values():
        assert set(seconds) == {"median", "mean", "p99"}
        assert 0 < seconds["median"] <= seconds["p99"]
    assert set(cell["ratio"]) == {"numpy", "fastact on one thread"}
    for ratio in cell["ratio"].values():
        assert set(ratio) == {"median", "mean"}
        for quantiles in ratio.values():
            assert_ascending(quantiles)
    assert ("company" in cell) == (program.parts is not None)
    if program.parts is not None:
        apart = cell["company"]
        assert set(apart["seconds"]) == {
            "product",
            "op",
            "op on one thread",
            "product beside one thread",
            "product alone",
            "op alone on one thread",
        }
        assert set(apart["ratio"]) == {"sum", "product", "product beside one thread", "op"}
        for quantiles in apart["ratio"].values():
            assert_ascending(quantiles)


def test_cell_of_a_call_beside_a_busy_process():
    cell = company.measure_beside("gelu of 65536", 1, rounds=2, turn=1e-4)
    assert (cell["call"], cell["beside"], cell["rounds"]) == ("gelu of 65536", 1, 2)
    assert set(cell["steps"]) == set(cell["seconds"]) == {"fastact", "fastact on one thread"}
    assert list(cell["ratio"]) == ["median", "mean", "p99"]
    for quantiles in cell["ratio"].values():
        assert_ascending(quantiles)


def test_one_thread_is_set_for_a_turn(threads):
    seen = []
    contender = company.Contender((lambda: seen.append(fa.get_num_threads()),), threads=1)
    with threads(2):
        company.take_turns({"alone": contender}, rounds=1, turn=1e-5)
        assert fa.get_num_threads() == 2
    assert set(seen) == {1}


def test_each_part_of_each_step_is_timed():
    times = company.take_turns({name: company.Contender((int, int)) for name in "ab"}, rounds=3, turn=1e-5)
    for turns in times.values():
        assert len(turns) == 3
        assert all(turn.shape[1] == 2 and (turn >= 0).all() for turn in turns)


def test_busy_processes_are_gone_afterwards(monkeypatch):
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            started.append(self)

    def interrupted():
        with company.busy_processes(2):
            assert [process.poll() for process in started] == [None, None]
            raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert all(process.returncode for process in started)


def test_busy_processes_end_with_their_parent():
    command = [sys.executable, "-I", "-S", "-c", company.BUSY_LOOP]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdin.close()  # as when the process at the other end dies, however
        assert process.wait(timeout=30) == 0


def test_programs_make_a_table_and_a_result(tmp_path, capsys):
    file = tmp_path / "result.json"
    assert run("--programs", "logistic", *BRIEF, "--json", file) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[0].split()[:4] == ["program", "NumPy", "fastact", "p99"]
    assert "\nlogistic 20000 x 50 " in out
    assert "what one in a hundred of fastact's steps exceeds" in out
    assert "logistic 20000 x 50: one step of logistic regression" in out
    result = json.loads(file.read_text())
    assert set(result) == {"machine", "versions", "threads", "date", "busy", "programs", "cells"}
    assert [cell["program"] for cell in result["programs"]] == ["logistic 20000 x 50"]
    assert result["cells"] == []
    assert run("--programs", "logistic", *BRIEF, "--markdown") == 0
    assert capsys.readouterr().out.startswith("| program | NumPy | fastact |")


def test_programs_and_ops_share_a_file(tmp_path, capsys, monkeypatch):
    file = tmp_path / "result.json"
    monkeypatch.setattr(company, "BUSY", (0, 1))
    for options in (("beside",), ("decoder", "logistic"), ("decoder",)):
        assert run("--programs", *options, *BRIEF, "--json", file) == 0
    assert run(*RELU, "--json", file) == 0
    result = results.read(file)
    assert [cell["program"].split()[0] for cell in result["programs"]] == ["logistic", "decoder"]
    beside = [(cell["call"], cell["beside"]) for cell in result["beside"]]
    assert beside == [(call, count) for call in company.calls() for count in (0, 1)]
    assert len(result["cells"]) == 4
    capsys.readouterr()
    assert run("--targets", "--json", file) == 0
    file.write_text(file.read_text().replace('"threads": ', '"threads": 99'))
    monkeypatch.setattr(company, "measure", _must_not_measure)
    assert run("--programs", "decoder", *BRIEF, "--json", file) == 1
    assert "holds results for other threads" in capsys.readouterr().err


def test_number_of_threads_of_programs(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(company, "measure", lambda *_: seen.append(fa.get_num_threads()) or {"program": "none"})
    monkeypatch.setattr(report, "report_of_programs", lambda *_: "")
    for options in ((), ("--threads", 1)):
        assert run("--programs", "decoder", *options) == 0
    assert seen == [fa.get_num_threads(), 1]


def test_interrupt_loses_no_program(tmp_path, capsys, monkeypatch):
    measure, done = company.measure, []

    def interrupted(program, *arguments):
        if done:
            raise KeyboardInterrupt
        done.append(program.name)
        return measure(program, *arguments)

    monkeypatch.setattr(company, "measure", interrupted)
    file = tmp_path / "result.json"
    assert run("--programs", "logistic", "decoder", *BRIEF, "--json", file) == 130
    assert [cell["program"] for cell in results.read(file)["programs"]] == done == ["logistic 20000 x 50"]


def test_a_report_of_nothing():
    assert report.report_of_programs({"versions": {}}) == "nothing was measured"
    assert "with tanh" in report.gelu_note({"versions": {"numpy": "2.4"}})
