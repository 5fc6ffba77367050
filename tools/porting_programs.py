"""The part of ``docs/porting.md`` with programs before and after: how they change, and what ``porting_profiles.py`` has found."""

import difflib
from typing import Any

from pages import ROOT

PROGRAMS = ROOT / "examples" / "porting"
KEPT = PROGRAMS / "profiles.json"
LEAST = 0.02
"""A profile shows lines from this share of the time on."""
TEXTS = {
    "scoring": """\
### Scores of a saved model

The temperature at which a classifier's probabilities are those that it deserves, its five best classes, and what is left of its
error. `np.linspace` gives `np.float64` scalars, so that `logits / t` is in float64, which `fastact advise` names first; a softmax
of which one column is read is a cross-entropy, and a sort of which five are read is `top_k`.""",
    "training": """\
### A step of training

A network by hand, forward and backward. Functions that computed a gradient from what the forward pass had kept are gone: gradients
here take the input, as statistics of a row cost less than memory for them. `adam_step` takes the lists as they are.""",
    "tagging": """\
### Tags of documents

A mean of vectors for words, a sigmoid for each tag and the Dice loss. Its `smooth` is half of the program's 1, as the page of the
[loss](reference/region-losses.md) says, and `absent="count"` gives tags without a document the loss that the formula has. The
gradient of the vectors, `np.add.at`, is `embedding_backward`.""",
}
HEAD = """\
## Three programs

[examples/porting](../examples/porting) has three short programs as one writes them with NumPy, and as they are with fastact: either
prints the same. They take turns on one thread, products of matrices too, so that what counts is the work. Profiles are the shares
of lines in the time that a program takes, as `fa.advise()` sees them, from {least:.0%} on.
"""


def difference(name: str) -> str:
    """How a program changes, as a diff."""
    before, after = ((PROGRAMS / f"{name}_{when}.py").read_text(encoding="utf-8") for when in ("before", "after"))
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))[2:]
    return "\n".join("" if line == " " else "..." if line.startswith("@@") else line for line in lines[1:])


def section(kept: dict[str, Any]) -> str:
    """The part of the page that shows what was found."""
    parts = [HEAD.format(least=LEAST)]
    for name, text in TEXTS.items():
        found = kept["programs"][name]
        files = " and ".join(f"[{when}](../examples/porting/{name}_{when}.py)" for when in ("before", "after"))
        parts.append(
            f"{text}\n\nIn full: {files}.\n"
            f"fastact takes {found['fastact']}, NumPy {found['ratio']} times as long: "
            f"median and quartiles of {kept['rounds']} rounds.\n\n```diff\n{difference(name)}\n```\n"
        )
        for when in ("before", "after"):
            rows = "".join(f"| {share:.0%} | `{code}` |\n" for share, code in found[when])
            parts.append(f"| {when} | |\n| --: | :-- |\n{rows}")
    return "\n".join([*parts, kept["conditions"]]) + "\n"
