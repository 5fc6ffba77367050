"""asv's pages without the internet: copies of the right libraries, and points in a real browser."""

import base64
import functools
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parent.parent
BENCHMARK = "bench_elementwise.Overhead.track_nanoseconds"


def load(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tool():
    return load("offline_dashboard")


@pytest.fixture(scope="module")
def opening():
    return load("open_dashboard")


CONTENT = b"what jQuery is"
HASH = "sha256-" + base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()
JQUERY = '<script src="https://example.org/jquery-3.3.1.min.js" integrity="{}" crossorigin="anonymous"></script>'
REST = '<script src="asv.js"></script><a href="https://example.org/asv">asv</a>'


@pytest.fixture
def html(tmp_path):
    """A folder with a page that loads jQuery from elsewhere."""
    (tmp_path / "index.html").write_text(JQUERY.format(HASH) + REST)
    return tmp_path


def fetch(packages, folder, content=CONTENT, member="package/dist/jquery.min.js"):
    """As npm does: an archive for every package."""
    archives = {package: folder / f"{package}.tgz" for package in packages}
    for archive in archives.values():
        with tarfile.open(archive, "w:gz") as packed:
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return archives


def test_page_loads_the_copy(tool, html):
    for expected in (1, 0):  # the second time there is nothing left to do
        assert tool.make_offline(html, fetch) == expected
        page = (html / "index.html").read_text()
        assert page == '<script src="libraries/jquery.min.js"></script>' + REST
        assert (html / "libraries" / "jquery.min.js").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("page", "archive", "message"),
    [
        (JQUERY.format(HASH), {"content": b"another"}, "is not what the page wants: sha256-"),
        (JQUERY.format("md5-abc"), {}, "is not what the page wants: md5-abc"),
        (JQUERY.format(HASH), {"member": "package/README"}, "holds no dist/jquery.min.js"),
        (JQUERY.replace("jquery-3", "jquery-4"), {}, "has no npm package; it has one for /jquery-3.3.1.min.js, "),
    ],
)
def test_page_stays_where_a_copy_cannot_stand_in(tool, html, page, archive, message):
    (html / "index.html").write_text(page)
    with pytest.raises(tool.PageError, match=re.escape(message)):
        tool.make_offline(html, functools.partial(fetch, **archive))
    assert (html / "index.html").read_text() == page
    assert not (html / "libraries").exists()


def test_without_npm_the_page_stays(tool, html, capsys, monkeypatch):
    monkeypatch.setenv("PATH", str(html))
    before = (html / "index.html").read_text()
    assert tool.main([str(html)]) == 0
    assert "npm is not installed; the dashboard loads its libraries from the internet" in capsys.readouterr().out
    assert (html / "index.html").read_text() == before


def test_npm_that_fails(tool, html, monkeypatch):
    npm = html / "npm"
    npm.write_text("#!/bin/sh\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setenv("PATH", str(html), prepend=os.pathsep)
    with pytest.raises(tool.NpmError, match=re.escape("npm could not fetch jquery@3.3.1")):
        tool.make_offline(html)


def test_folder_without_pages(tool, tmp_path, capsys):
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path)])
    assert "run asv publish first" in capsys.readouterr().err


def test_every_library_of_asv_is_known(tool):
    page = (Path(importlib.util.find_spec("asv").origin).parent / "www" / "index.html").read_text()
    addresses = [match["address"] for match in tool.LOADED.finditer(page)]
    assert {tool.library_for(address) for address in addresses} == set(tool.LIBRARIES)


@pytest.fixture(scope="module")
def pages(tmp_path_factory, tool):
    """The pages of two commits, each with a quick run of one benchmark, made to work without the internet."""
    folder = tmp_path_factory.mktemp("dashboard")

    def run(*command):
        environment = os.environ | {"HOME": str(folder)}  # where asv keeps its description of the machine
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    asv = (sys.executable, "-m", "asv")
    config = json.loads((ROOT / "asv.conf.json").read_text())
    config |= {"benchmark_dir": str(ROOT / "benchmarks"), "results_dir": "results", "html_dir": "html"}
    (folder / "asv.conf.json").write_text(json.dumps(config))
    run("git", "init", "--quiet")
    run(*asv, "machine", "--yes")
    for message in ("first", "second"):
        author = ("-c", "user.name=test", "-c", "user.email=test@example.org")
        run("git", *author, "commit", "--quiet", "--allow-empty", "--message", message)
        commit = run("git", "rev-parse", "HEAD")
        run(*asv, "run", "--python=same", "--quick", "--bench", BENCHMARK, "--set-commit-hash", commit)
    run(*asv, "publish")
    try:
        tool.make_offline(folder / "html")
    except tool.NpmError as error:
        pytest.skip(f"{error}: no copies of the libraries that the pages load")
    return folder / "html"


@pytest.fixture(scope="module")
def browser(opening):
    try:
        chrome = opening.browser()
    except opening.NoBrowserError as error:
        pytest.skip(str(error))
    with chrome:
        yield chrome


def requests(browser):
    """The addresses that the browser has asked for."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if urlsplit(url).scheme in ("http", "https")]  # the browser's own pages are chrome:


def test_from_the_grid_to_the_points_of_two_commits(opening, browser, pages):
    with opening.served(pages) as address:
        points = opening.points(browser, address, BENCHMARK)
        assert {painted for _, painted in points} == {True}
        assert len({revision for revision, _ in points}) == 2
        asked = requests(browser)
        assert any(url.endswith("/libraries/jquery.flot.js") for url in asked)
        assert {urlsplit(url).netloc for url in asked} == {urlsplit(address).netloc}


def test_opened_as_a_file(tool, opening, browser, pages):
    tool.embed_data(pages)
    points = opening.points(browser, (pages / "index.html").as_uri(), BENCHMARK)
    assert {painted for _, painted in points} == {True}
    assert len({revision for revision, _ in points}) == 2
    assert not requests(browser)


def test_every_graph_is_opened(opening, browser, pages, capsys):
    assert opening.main([str(pages)]) == 0
    assert capsys.readouterr().out == f"{BENCHMARK}: 6 points\n"


def test_a_graph_without_points_is_noticed(opening, browser, pages, tmp_path, capsys, monkeypatch):
    empty = tmp_path / "html"
    shutil.copytree(pages, empty)
    for graph in empty.rglob(f"{BENCHMARK}.json"):
        graph.write_text("[]")
    monkeypatch.setattr(opening, "SECONDS", 5)
    assert opening.main([str(empty)]) == 1
    assert f"{BENCHMARK} shows no point" in capsys.readouterr().err
    shutil.rmtree(empty / "graphs" / "summary")
    with pytest.raises(SystemExit):
        opening.main([str(empty)])
    assert "run make dashboard first" in capsys.readouterr().err
