"""The pages of ``docs/``: that the scripts notice what is stale, that every function has its place, that links lead somewhere."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

import fastact as fa
from fastact import special, table
from tests.ulp import functions

ROOT = Path(fa.__file__).parent.parent
TOOLS = ROOT / "tools"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

pytestmark = pytest.mark.skipif(not TOOLS.exists(), reason="the scripts are not part of an installed package")


@pytest.fixture
def tool(monkeypatch):
    """``tool(name)`` imports a script."""
    monkeypatch.syspath_prepend(str(TOOLS))

    def load(name):
        return __import__(name)

    before = set(sys.modules)
    yield load
    for name in set(sys.modules) - before:
        if str(TOOLS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_pages_are_written_then_fresh_then_stale(tool, tmp_path, capsys):
    pages = tool("pages")
    page = tmp_path / "new" / "page.md"
    assert not pages.write_or_check(page, "text\n", check=True)
    assert not page.exists()
    assert "is stale: run python tools/" in capsys.readouterr().err
    assert pages.write_or_check(page, "text\n", check=False)
    assert pages.write_or_check(page, "text\n", check=True)
    assert not pages.write_or_check(page, "other text\n", check=True)
    assert page.read_text() == "text\n"
    assert not pages.remove_or_check(page, check=True)
    assert pages.remove_or_check(page, check=False)
    assert not page.exists()


def test_pictures_are_found_stale_without_drawing(tool, tmp_path, monkeypatch, capsys):
    pictures = tool("pictures")
    monkeypatch.setattr(pictures, "IMAGES", tmp_path)
    monkeypatch.setattr(fa, "ops", {"relu": fa.ops["relu"]})
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert not pictures.write(check=True)
    (tmp_path / "relu.svg").write_text(f"<svg>fastact {pictures.fingerprint(fa.ops['relu'])}</svg>")
    assert pictures.write(check=True)
    assert pictures.write(check=False), "nothing to draw"
    (tmp_path / "gone.svg").write_text("<svg/>")
    assert not pictures.write(check=True)
    assert "gone.svg is stale" in capsys.readouterr().err


def test_every_function_has_its_place_in_the_reference(tool):
    reference_pages = tool("reference_pages")
    families = reference_pages.families()
    accuracy = reference_pages.load_accuracy()
    texts = [reference_pages.family_page(family, accuracy) for family in families.values()]
    for name in table.names():
        where = [text for text in texts if f"\nfa.{name}(" in text]
        assert len(where) == 1, name
    contents = reference_pages.index(families)
    assert all(f"[`{name}`](" in contents for name in fa.ops)


def test_every_function_under_scipys_name_is_on_its_page(tool):
    reference_pages = tool("reference_pages")
    text = reference_pages.special_page(reference_pages.families())
    index = reference_pages.index(reference_pages.families())
    for name in special.__all__:
        section = text.split(f"\n## `{name}`\n")[1].split("\n## ")[0]
        assert section.startswith(f"\n```python\nspecial.{name}(")
        assert reference_pages.summary_of_special(name) in section
        assert f"({reference_pages.SPECIAL}.md#{name})" in index
    assert "has another default, the last axis" in text.split("## `softmax`")[1]
    assert "special.huber(delta, r, /" in text
    assert "[`fastact.huber_terms`](special_functions.md#huber_terms) under SciPy's name." in text


def test_a_docstring_as_markdown(tool):
    def half(x: float, *, by: int = 2) -> float:
        r"""Divide.

        Parameters
        ----------
        x : float
            What is divided,
            by two.

        Notes
        -----
        .. math:: \frac{x}{2}

        And so on.

        Examples
        --------
        >>> half(3.0)
        1.5
        """
        return x / by

    numpydoc = tool("numpydoc")
    assert numpydoc.signature("half", half) == "half(x, *, by=2)"
    assert numpydoc.markdown(half).split("\n\n") == [
        "Divide.",
        "**Parameters**",
        "- `x`: float\n  What is divided,\n  by two.",
        "$$\n\\frac{x}{2}\n$$",
        "And so on.",
        "```python\n>>> half(3.0)\n1.5\n```",
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#([^)]+))?\)", page.read_text(encoding="utf-8"))
    for path, anchor in links:
        target = page.parent / path
        assert target.exists(), path
        if anchor:
            assert f"## `{anchor}`\n" in target.read_text(encoding="utf-8"), f"{path}#{anchor}"


def test_peers_are_measured_over_every_binade(tool):
    accuracy_page = tool("accuracy_page")
    x = accuracy_page.sample("relu6")
    assert np.isfinite(x).all()
    assert len(x) > 1_000_000
    per_binade = np.bincount(x.view(np.uint32) >> 23, minlength=512)
    finite = np.arange(512) % 256 != 255
    assert (per_binade[finite] >= accuracy_page.PER_BINADE).all()
    info = np.finfo(np.float32)
    assert {0.0, 6.0, float(info.max), float(info.min), float(info.smallest_subnormal)} <= set(x.tolist())


@pytest.mark.parametrize("peer", ["numpy", "torch", "jax"])
def test_peers_compute_the_same_functions(tool, peer):
    """What is called an error of theirs is none of ours, such as the wrong expression."""
    peers, ulp = tool("peers"), tool("accuracy_page")
    for package in peers.PACKAGES[peer]:
        pytest.importorskip(package)
    x = np.float32([-4, -2.5, -0.75, -0.25, 0.25, 0.6, 1.5, 5, 7])
    compared = 0
    for name in functions():
        results = peers.computed(peer, name, x)
        if results is not None:
            value, *_ = ulp.exact(name, x, ulp.parameters(ulp.split(name)[0], np.float32))
            np.testing.assert_allclose(results, value, rtol=2e-5, atol=2e-6, err_msg=name)
            compared += 1
    assert compared > len(functions()) / 2


@pytest.mark.parametrize(("error", "shown"), [(0.5, "0.50"), (99.94, "99.94"), (1234.5, "1234"), (16302800.0, "1.6e7")])
def test_figures(tool, error, shown):
    assert tool("accuracy_page")._number(error) == shown
