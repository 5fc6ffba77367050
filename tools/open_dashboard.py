"""Open every graph of asv's dashboard in a headless browser: ``python tools/open_dashboard.py .asv/html``.

After ``make dashboard``. The exit status is 1 if there is none, or one shows no point. It takes Chromium and its driver.
"""

import argparse
import functools
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SECONDS = 60
"""To wait for a page at most."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,900",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # no internet, wherever this runs
)

POINTS = """
const plot = $("#main-graph").data("plot");
if (!plot) return [];
const canvas = plot.getCanvas(), scale = canvas.width / canvas.clientWidth, offset = plot.getPlotOffset();
const painted = (series, [x, y]) => canvas.getContext("2d").getImageData(
    scale * (offset.left + series.xaxis.p2c(x)), scale * (offset.top + series.yaxis.p2c(y)), 1, 1).data[3] > 0;
return plot.getData().flatMap(series => series.data.filter(point => point[1] !== null)
    .map(point => [point[0], painted(series, point)]));
"""
"""Every point of the graph that has a value: its revision, and whether the canvas is painted there."""


class NoBrowserError(Exception):
    """There is no Chromium, or no driver for it."""


def browser() -> Any:
    """A browser without the internet."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if program is None or driver is None:
        raise NoBrowserError("no browser: install chromium and chromium-driver")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(pages: Path) -> Iterator[str]:
    """The address where pages are served to this machine."""
    handler = functools.partial(_QuietHandler, directory=str(pages))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def points(chrome: Any, address: str, benchmark: str) -> list[tuple[int, bool]]:
    """What a benchmark's graph shows, reached from the grid of all of them; empty if no point appears in time."""
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.wait import WebDriverWait

    wait = WebDriverWait(chrome, SECONDS)
    link = (By.CSS_SELECTOR, f'a.benchmark-container[href="#{benchmark}"]')
    chrome.get(address)
    try:
        wait.until(lambda page: page.find_elements(*link))[0].click()
        found: list[tuple[int, bool]] = wait.until(lambda page: page.execute_script(POINTS))
    except TimeoutException:
        return []
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("html", type=Path, help="the folder that asv publish has written")
    html = parser.parse_args(arguments).html
    benchmarks = sorted(file.stem for file in (html / "graphs" / "summary").glob("*.json"))
    if not benchmarks:
        parser.error(f"{html} holds no graphs: run make dashboard first")
    failed = False
    try:
        chrome = browser()
    except NoBrowserError as error:
        parser.error(str(error))
    with chrome, served(html) as address:
        for benchmark in benchmarks:
            found = points(chrome, address, benchmark)
            if found and all(painted for _, painted in found):
                print(f"{benchmark}: {len(found)} point{'s' * (len(found) > 1)}")
            else:
                print(f"{benchmark} shows no point, or fewer than it has", file=sys.stderr)
                failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
