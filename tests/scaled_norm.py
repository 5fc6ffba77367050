"""A pytest plugin that registers the worked example of CONTRIBUTING, a norm with a weight: then all tables of tests run over it."""

import doctest
from pathlib import Path

import fastact as fa

PAGE = Path(__file__).parent.parent / "CONTRIBUTING.md"
TITLE = "## Adding an op over rows"


def pytest_configure():
    """Run the example's block, up to the first line that shows a use."""
    section = PAGE.read_text().partition(TITLE)[2].partition("\n## ")[0]
    names = {"fa": fa, "__name__": "fastact.functions.softmax"}
    for example in doctest.DocTestParser().get_examples(section):
        if example.want:
            break
        exec(compile(example.source, str(PAGE), "exec"), names)
