"""The programs of ``examples/porting``: the same results before and after, different ones are found, and the page shows both."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastact as fa

ROOT = Path(fa.__file__).parent.parent
PROGRAMS = ROOT / "examples" / "porting"
NAMES = ("scoring", "training", "tagging")

pytestmark = pytest.mark.skipif(not PROGRAMS.exists(), reason="the examples are not part of an installed package")


@pytest.fixture
def profiles(monkeypatch):
    pytest.importorskip("rich")
    alone = pytest.importorskip("threadpoolctl").threadpool_limits
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    with alone(1), fa.threads(1):
        yield importlib.import_module("porting_profiles")
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith((str(ROOT / "tools"), str(PROGRAMS))):
            del sys.modules[name]


@pytest.mark.parametrize("name", NAMES)
def test_both_give_the_same(name, profiles):
    assert tuple(profiles.TEXTS) == NAMES
    assert profiles.differences(name, profiles.QUICK[name]) == []


def test_a_difference_is_found(profiles, monkeypatch, capsys):
    _, after = profiles.programs("scoring")
    run = after.run
    monkeypatch.setattr(after, "run", lambda *given: {**run(*given), "loss": 1.01 * run(*given)["loss"]})
    (found,) = profiles.differences("scoring", 20)
    assert found.startswith("scoring: loss is ")
    monkeypatch.setattr(profiles, "TEXTS", {"scoring": ""})
    assert profiles.main(["--quick"]) == 1
    assert "scoring: loss is " in capsys.readouterr().err


def test_each_runs_by_itself_and_prints_the_same():
    printed = []
    for when in ("before", "after"):
        command = [sys.executable, "-W", "error", str(PROGRAMS / f"scoring_{when}.py"), "30"]
        printed.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines())
    assert len(printed[0]) == 5
    for a, b in zip(*printed, strict=True):
        assert a.split(":")[0] == b.split(":")[0]
        assert float(a.split(":")[1]) == pytest.approx(float(b.split(":")[1]), abs=2e-4)


def test_profiles_name_the_lines_that_take_time(profiles, monkeypatch):
    monkeypatch.setattr(profiles, "LEAST", 0.0)  # whatever else the machine does meanwhile
    monkeypatch.setattr(profiles, "MOST", 99)
    before, after = (profiles.profile(module, 50) for module in profiles.programs("scoring"))
    assert any("np.exp" in code for _, code in before)
    assert any("fa.cross_entropy" in code for _, code in after)
    for found in (before, after):
        assert 0 < sum(share for share, _ in found) <= 1 + 1e-3 * len(found)
        assert found == sorted(found, key=lambda line: -line[0])


TIME, RATIO = r"[\d.]+ (us|ms)", r"[\d.]+ \([\d.]+ to [\d.]+\)"


def test_times_and_ratios_are_as_the_page_shows_them(profiles):
    found = profiles.measured("scoring", 50, 3)
    assert re.fullmatch(TIME, found["fastact"])
    assert re.fullmatch(RATIO, found["ratio"])


def test_what_is_kept_is_of_these_programs():
    kept = json.loads((PROGRAMS / "profiles.json").read_text())["programs"]
    assert tuple(kept) == NAMES
    for name in NAMES:
        assert re.fullmatch(TIME, kept[name]["fastact"])
        assert re.fullmatch(RATIO, kept[name]["ratio"])
        for when in ("before", "after"):
            lines = {line.strip() for line in (PROGRAMS / f"{name}_{when}.py").read_text().splitlines()}
            assert len(lines) < 80
            assert {code for _, code in kept[name][when]} <= lines, "run python tools/porting_profiles.py --write"


def test_the_page_shows_what_was_kept(profiles):
    shown = importlib.import_module("porting_programs")
    kept = json.loads(shown.KEPT.read_text())
    text = shown.section(kept)
    for name in NAMES:
        assert kept["programs"][name]["ratio"] in text
        assert f"({'../examples/porting/' + name}_after.py)" in text
    assert "\n-    order = np.argsort(-p, axis=1)[:, :k]\n" in text
    assert "\n+    values, classes = fa.top_k(p, 5)\n" in text
