"""Make asv's dashboard work without the internet and without a server: ``python tools/offline_dashboard.py .asv/html``.

After ``asv publish``, whose page loads jQuery, Flot, Bootstrap and others from public servers. This puts copies from npm beside the
page and lets it load those. A copy must be the very file whose integrity hash the page states; npm has Flot and Stupid Table in
another form or version only, and those must have the hash that stands below. Without npm the page goes on loading them from there.

A page that is opened as a file may not read others, so what asv has written as JSON is put into a script for it as well.
"""

import argparse
import base64
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = "libraries"
NPM_SECONDS = 300


@dataclass(frozen=True)
class Library:
    """A file of an npm package that stands in for one that asv's page loads."""

    address: str
    """How the address in the page ends."""
    package: str
    member: str
    """The file's path in the package."""
    integrity: str = ""
    """Empty where the page's own must hold."""

    @property
    def name(self) -> str:
        """The copy's name."""
        return self.member.rpartition("/")[2]


LIBRARIES = (
    Library("/jquery-3.3.1.min.js", "jquery@3.3.1", "dist/jquery.min.js"),
    Library(
        "/flot/0.8.3/jquery.flot.min.js",
        "flot@0.8.3",
        "jquery.flot.js",
        "sha256-t7kx8nPDixJ3ucbB9OBcTsCYhaSHvdrzJ54tfkmjjhI=",
    ),
    Library(
        "/flot/0.8.3/jquery.flot.time.min.js",
        "flot@0.8.3",
        "jquery.flot.time.js",
        "sha256-pYLIMq3HE4prBar2HxbrrCdHAfG+Sv6nfnOaHDS5xBo=",
    ),
    Library(
        "/flot/0.8.3/jquery.flot.selection.min.js",
        "flot@0.8.3",
        "jquery.flot.selection.js",
        "sha256-5shfbB6+S02inYriOMfFBgKD8F9+8FT2uRgX0CwJKRg=",
    ),
    Library(
        "/flot/0.8.3/jquery.flot.categories.min.js",
        "flot@0.8.3",
        "jquery.flot.categories.js",
        "sha256-boFmSyjqeVxzSQb0qhVhRkCnWsf705mn+5CEBAaYNRo=",
    ),
    Library(
        "/stupidtable/1.0.1/stupidtable.min.js",
        "stupid-table-plugin@1.1.3",
        "stupidtable.min.js",
        "sha256-RkI4Dyjr6e18rCUXk7KB74YgxDhiBdkniPmxL1zOtOA=",
    ),
    Library("/flot-orderbars@1.0.0/js/jquery.flot.orderBars.js", "flot-orderbars@1.0.0", "js/jquery.flot.orderBars.js"),
    Library("/blueimp-md5/2.19.0/js/md5.min.js", "blueimp-md5@2.19.0", "js/md5.min.js"),
    Library("/bootstrap@3.1.1/dist/js/bootstrap.min.js", "bootstrap@3.1.1", "dist/js/bootstrap.min.js"),
    Library("/bootstrap@3.1.1/dist/css/bootstrap.min.css", "bootstrap@3.1.1", "dist/css/bootstrap.min.css"),
)

LOADED = re.compile(r'<(?:script|link)\b[^>]*?\b(?:src|href)="(?P<address>(?:https?:)?//[^"]+)"[^>]*>')
INTEGRITY = re.compile(r'\bintegrity="(?P<hash>[^"]*)"')
ORIGIN = re.compile(r' (?:integrity|crossorigin)="[^"]*"')
"""What a copy needs no longer, and what a browser refuses of a file."""

DATA = "data.js"
HEAD_ENDS = "</head>"
LOAD_DATA = f"""\
<script>
if (location.protocol === "file:") document.write('<script src="{FOLDER}/{DATA}"><\\/script>');
</script>
"""
SERVE_DATA = """\
const files = %s;
$.ajaxTransport("+json", options => {
  const file = files[decodeURIComponent(options.url.split("?")[0])];
  const answer = done => done(200, "OK", {json: structuredClone(file)});
  return file && {send: (_, done) => setTimeout(answer, 0, done), abort() {}};
});
"""
"""jQuery asks such a transport before it asks for a file; asv's scripts expect answers when all of them have been read."""

Fetch = Callable[[Collection[str], Path], Mapping[str, Path]]


class NpmError(Exception):
    """npm is missing, or could not fetch the packages."""


class PageError(Exception):
    """The page asks for what cannot be stood in for."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if the page asks for something unknown or a copy is not what it must be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("html", type=Path, help="the folder that asv publish has written")
    html = parser.parse_args(arguments).html
    if not (html / "index.html").is_file():
        parser.error(f"{html} holds no index.html: run asv publish first")
    embed_data(html)
    try:
        count = make_offline(html)
    except NpmError as error:
        print(f"{error}; the dashboard loads its libraries from the internet")
        return 0
    except PageError as error:
        print(f"{error}; {html} goes on loading its libraries from the internet", file=sys.stderr)
        return 1
    print(f"the dashboard loads nothing from the internet; copied {count} libraries to {html / FOLDER}")
    return 0


def make_offline(html: Path, fetch: Fetch | None = None) -> int:
    """Copy what ``index.html`` loads from elsewhere, and let it load the copies; return how many there are.

    ``fetch`` puts npm packages into a folder and returns the archive of each; default: ``npm_pack``.
    """
    index = html / "index.html"
    page = index.read_text(encoding="utf-8")
    tags = {match["address"]: match[0] for match in LOADED.finditer(page)}
    libraries = {address: library_for(address) for address in tags}
    packages = list(dict.fromkeys(library.package for library in libraries.values()))
    copies = {}
    with tempfile.TemporaryDirectory() as temporary:
        archives = (fetch or npm_pack)(packages, Path(temporary)) if packages else {}
        for address, library in libraries.items():
            copy = _member(archives[library.package], library.member)
            stated = INTEGRITY.search(tags[address])
            integrity = library.integrity or (stated["hash"] if stated else "")
            if not is_intact(copy, integrity):
                raise PageError(
                    f"{library.member} of {library.package} is not what the page wants: {integrity or 'no hash'}"
                )
            tag = ORIGIN.sub("", tags[address]).replace(address, f"{FOLDER}/{library.name}")
            page = page.replace(tags[address], tag)
            copies[library.name] = copy
    (html / FOLDER).mkdir(exist_ok=True)
    for name, copy in copies.items():
        (html / FOLDER / name).write_bytes(copy)
    index.write_text(page, encoding="utf-8")
    return len(copies)


def embed_data(html: Path) -> None:
    """Put all that the page reads into a script, which ``index.html`` loads where it is opened as a file."""
    files = {
        file.relative_to(html).as_posix(): json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(html.rglob("*.json"))
    }
    (html / FOLDER).mkdir(exist_ok=True)
    (html / FOLDER / DATA).write_text(SERVE_DATA % json.dumps(files), encoding="utf-8")
    index = html / "index.html"
    page = index.read_text(encoding="utf-8")
    if LOAD_DATA not in page:
        index.write_text(page.replace(HEAD_ENDS, LOAD_DATA + HEAD_ENDS, 1), encoding="utf-8")


def library_for(address: str) -> Library:
    """What stands in for the file at an address."""
    for library in LIBRARIES:
        if address.endswith(library.address):
            return library
    known = ", ".join(library.address for library in LIBRARIES)
    raise PageError(
        f"asv's page loads {address}, for which {Path(__file__).name} has no npm package; it has one for {known}"
    )


def is_intact(content: bytes, integrity: str) -> bool:
    """Whether ``content`` has a hash as a page states it, such as ``sha256-`` and the digest in base 64."""
    kind, _, digest = integrity.partition("-")
    if kind not in ("sha256", "sha384", "sha512"):
        return False
    return base64.b64encode(hashlib.new(kind, content).digest()).decode() == digest


def npm_pack(packages: Collection[str], folder: Path) -> dict[str, Path]:
    """Fetch packages from the registry that npm is configured for; npm checks the archives."""
    npm = shutil.which("npm")
    if npm is None:
        raise NpmError("npm is not installed")
    command = [npm, "pack", "--loglevel=error", "--prefer-offline", "--fetch-retries=1", *packages]
    print(f"npm pack {' '.join(packages)}", flush=True)
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=NPM_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise NpmError(f"npm did not fetch the packages within {NPM_SECONDS} s") from None
    archives = {package: folder / f"{package.replace('@', '-')}.tgz" for package in packages}
    missing = [package for package, archive in archives.items() if not archive.is_file()]
    if done.returncode or missing:
        reason = next((line for line in done.stderr.splitlines() if "code" in line), f"exit status {done.returncode}")
        raise NpmError(f"npm could not fetch {', '.join(missing or archives)} ({reason})")
    return archives


def _member(archive: Path, member: str) -> bytes:
    with tarfile.open(archive) as packed:
        try:
            file = packed.extractfile(f"package/{member}")
        except KeyError:
            file = None
        if file is None:
            raise PageError(f"{archive.name} holds no {member}")
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
