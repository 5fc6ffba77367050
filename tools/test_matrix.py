"""Run the tests on every supported Python that is found, with the newest and with the lowest versions of what fastact needs.

The lowest are those that ``pyproject.toml`` declares; they are tried on the oldest Python. Environments are kept in
``.venv/matrix``. ``--quick`` runs a few files of the tests, which shows that the package works at all.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
QUICK = ["tests/test_api.py", "tests/test_cache.py"]


@dataclass(frozen=True)
class Environment:
    """A Python and what is pinned in it."""

    python: str
    pins: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The Python and the pins, else that all is the newest."""
        return " ".join([self.python, *(self.pins or ["newest"])])

    def test(self, files: list[str]) -> str:
        """Install, run the tests, and return how they ended."""
        folder = str(ROOT / ".venv" / "matrix" / self.name.replace(" ", "-"))
        python = f"{folder}/bin/python"
        install = [python, "-m", "pip", "install", "--quiet", "--upgrade", "--upgrade-strategy=eager"]
        install += ["--editable", ".[test,bench,plot]", *self.pins]
        for command in ([self.python, "-m", "venv", folder], install):
            if subprocess.run(command, cwd=ROOT).returncode:
                return "FAILED to install"
        run = subprocess.Popen(
            [python, "-m", "pytest", "-q", *files],
            cwd=ROOT,
            env={**os.environ, "FASTACT_CACHE_DIR": f"{folder}/kernels"},
            stdout=subprocess.PIPE,
            text=True,
        )
        line = ""
        for line in run.stdout or ():
            print(line, end="", flush=True)
        return line.strip() if run.wait() == 0 else f"FAILED: {line.strip()}"


def environments() -> list[Environment]:
    """Those of the Pythons in the classifiers that are on ``PATH`` and start."""
    versions = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    found = [f"python{version}" for version in versions if starts(f"python{version}")]
    lowest = [requirement.replace(">=", "==") for requirement in PROJECT["dependencies"]]
    return [*map(Environment, found), *(Environment(python, lowest) for python in found[:1])]


def starts(python: str) -> bool:
    """Whether there is such a command and it runs: a version manager's stand-in may not."""
    return shutil.which(python) is not None and not subprocess.run([python, "-V"], capture_output=True).returncode


def main() -> int:
    """Test everywhere; 1 if the tests failed anywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}")
    files = QUICK if parser.parse_args().quick else []
    wanted, results = environments(), {}
    for i, environment in enumerate(wanted, start=1):
        print(f"[{i}/{len(wanted)}] {environment.name}", flush=True)
        results[environment.name] = environment.test(files)
    for name, result in results.items():
        print(f"{name:<40} {result}")
    return int(not results or any(result.startswith("FAILED") for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
