"""The worked example of CONTRIBUTING, a norm with a weight and its backward, as a module: the tables of tests run over it."""

import doctest
from pathlib import Path

PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"
TITLE = "## Adding an op over rows"


def namespace():
    """What the example's block defines: its code is run up to the first line that shows a use."""
    section = PAGE.read_text().partition(TITLE)[2].partition("\n## ")[0]
    names = {}
    for example in doctest.DocTestParser().get_examples(section):
        if example.want:
            break
        exec(compile(example.source, str(PAGE), "exec"), names)
    return names
