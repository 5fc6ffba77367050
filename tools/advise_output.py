"""Write what ``fastact advise`` says of a sample program into ``docs/advise.md``."""

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from pages import DOCS, ROOT

PROGRAM = "tests/programs/transformer.py"
BEGIN, END = "<!-- output:begin -->\n", "<!-- output:end -->\n"


def output() -> str:
    """The report, as a terminal shows it."""
    command = [sys.executable, "-m", "fastact", "advise", "--top", "5", PROGRAM]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    return "\n".join(line.rstrip() for line in done.stderr.strip().splitlines())


def main() -> None:
    """Replace what stands between the marks."""
    page = DOCS / "advise.md"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}```\n$ fastact advise {PROGRAM}\n{output()}\n```\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
