"""Write ``docs/choosing.md``: the properties of all activations as a table, pictures, and what networks made of them do.

The table comes from the records, the figures of networks from ``examples/choosing.json``, which ``choosing.py --write`` keeps.
"""

import json
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
sys.path[:0] = [str(HERE.parent), str(HERE), str(EXAMPLES)]

import choosing_pictures  # noqa: E402
from choosing import KEPT, deep_table, shallow_table  # noqa: E402
from pages import DOCS, main, write_or_check  # noqa: E402
from reference_pages import families, number  # noqa: E402

import fastact  # noqa: E402
from fastact.functions.common import INF  # noqa: E402
from fastact.functions.elementwise import Op  # noqa: E402
from fastact.functions.properties import Interval  # noqa: E402

PAGE = DOCS / "choosing.md"
WIDTH = 128
HEADER = "<!-- Written by tools/choosing_page.py from the records and from examples/choosing.json: do not edit. -->"

INTRODUCTION = """\
# Choosing an activation

In short:

- **Hidden layers**: `relu`, until there is a reason for something else. Units that die are a reason for `leaky_relu`, `elu` or
  `gelu`; a wish for a smooth function is one for `gelu` or `silu`, as transformers have them.
- **Very deep networks without normalisation**: `selu`, with weights of mean 0 and variance 1/n, or `relu` with variance 2/n. Not
  `sigmoid`, nor anything else whose slope is small everywhere.
- **Cheap arithmetic**: `relu6`, `hard_swish`, `hard_sigmoid`, `hard_tanh` take no exponential; all but `hard_swish` are bounded.
- **Outputs**: `sigmoid` for a probability, `softplus` or `squareplus` for a positive number, `tanh` for a bounded one, nothing for
  any real number, [`softmax`](reference/softmax.md#softmax) for one class of several.
- **Gates**: `sigmoid`, or `hard_sigmoid` where it must be cheap. **Sparse codes**: `soft_shrink`, `hard_shrink`.

Everything below is computed: the table is derived from the [records](design.md) and measured again on the compiled functions by
`tests/test_properties.py`, over every float32 by `tools/check_properties.py`; the networks are those of `examples/choosing.py`."""

PROPERTIES = """\
## Properties

{table}

They hold in exact arithmetic, and for the default parameters, or typical ones where there is no default: {parameters}.

What the columns mean:

- **Range**: the smallest interval that holds every value. A bracket says that the end is attained, a parenthesis that it is
  only approached. A discontinuous function leaves gaps in it.
- **Monotonic**: it nowhere falls.
- **Saturates at**: where it tends to a finite value, so that the slope tends to 0, and the gradient with it.
- **Zero-centred**: it is odd, so that outputs have mean 0 if inputs are symmetric about 0. Others may take both signs all the same,
  as their range says.
- **At 0**: value and slope there, at a kink the slope that fastact chose. Value 0 and slope 1 without a kink are *near the
  identity*: small signals pass as they are. That holds for {identity}.
- **Dead**: where the slope is exactly 0. A unit that is there for all data learns nothing any more.
- **Kinks**: where the slope, or the function itself, jumps.
- **Class**: how many derivatives are continuous; C∞ is all of them.
- **Lipschitz**: the largest slope, and so the most that a difference of inputs can grow.
- **Learnt**: how many parameters have a gradient of their own.

An op counts as an activation if it is a function of one array and has a gradient. So {functions} are none: they are what
activations are made of, and have no backward. Nor are the gated units {gated}, which multiply two arrays; see the activation of
their gate.

{fixed}"""

FIXED = """\
If each unit's weights sum to 0, and their squares to 1, sums over many inputs of variance v have mean 0 and variance v. With some
activations the mean and variance of outputs come to a fixed point after many layers, from smaller and from larger variances, and
do not vanish; others have none: {points}. The first is what is called *self-normalising*; the second is that of the parameters
above."""

CODE = """\
## In code

`fastact.ops` holds the records; `properties` of a record are the row of the table, and all `None` for what is no activation.

```python
>>> import fastact as fa
{examples}
```

`help(fa.gelu)` says the same in words."""
EXPRESSIONS = (
    "fa.ops['silu'].properties.range",
    "str(fa.ops['relu6'].properties.range), [str(part) for part in fa.ops['relu6'].properties.dead]",
    "[name for name, op in fa.ops.items() if op.properties.zero_centred]",
    "[name for name, op in fa.ops.items() if op.properties.smoothness == 1]",
    "[name for name, op in fa.ops.items() if op.properties.monotonic and op.properties.lipschitz < 1]",
    "[name for name, op in fa.ops.items() if op.is_activation and not op.properties.monotonic]",
)

PICTURES = """\
## Functions and derivatives

Dotted lines are finite limits. Grey are the dead regions. At a kink the filled point is the derivative that fastact chose, an open
one what it tends to from one side.

{pictures}"""

VANISHING = """\
## Vanishing gradients

A gradient reaches the first layer as a product: one matrix of weights and one slope for each layer. If the slopes are small, as
those of `sigmoid`, which are 1/4 at most, little is left of it after some layers. The table shows networks of {depth} layers of
{width} units that are to read digits: the root mean square of the gradient of some layers over that of layer {depth}, where
weights have variance 1/n for n inputs; by which factor it changes per layer; and how many of {held_out} held-out digits are
read after {epochs} epochs, at the better of the rates {deep_rates}. Guessing reads 10%. A dash: in some layer the gradient was
0, infinite or NaN.

![Gradients by layer](images/choosing/depth.svg)

{table}

A network whose gradients shrink or grow much per layer reads nothing, or little, after so few epochs. The factor depends on the
weights as much as on the activation: variance 2/n makes up for the half of the signal that `relu` cuts off, and is too much for
`selu` and `hard_tanh`. That gradients arrive is needed and not enough: `gelu` with variance 2/n passes them, and reads nothing
all the same. (Transformers have a normalisation between layers, and paths around them.) The Lipschitz constant says only how
fast a gradient may grow."""

DYING = """\
## Dead units

A unit is dead if its slope is exactly 0 for every one of {digits:,} training digits. No gradient reaches its weights then. The
table counts them among the {hidden} hidden units of two layers, before learning and after {epochs} epochs at several rates with
momentum 0.9: large steps throw units to where no input brings them back. Diverged: scores have become infinite or NaN. First
the activations that have a dead region:

{dead}

And the others, none of which has one. Where units are counted here, they were thrown so far off that their slopes are too small for
a float32, which makes no difference to them:

{alive}"""


def page() -> str:
    """The page, from the records and what is stored."""
    figures = json.loads(KEPT.read_text(encoding="utf-8"))
    found = activations()
    ops = [op for some in found.values() for op in some]
    held = ", ".join(f"`{op.name}`: {_held(op)}" for op in ops if op.recorded_at)
    fixed = " and ".join(_point(op) for op in ops if op.properties.fixed_point)
    others = [op for op in fastact.ops.values() if not op.is_activation]
    shown = [op for op in ops if op.name in figures["shallow"]]
    parts = [
        HEADER,
        INTRODUCTION,
        PROPERTIES.format(
            table=table(found),
            parameters=held,
            identity=_listed(op for op in ops if op.properties.identity_near_zero),
            functions=_listed(op for op in others if op.gradients == 1),
            gated=_listed(op for op in others if op.gradients > 1),
            fixed=FIXED.format(points=fixed),
        ),
        CODE.format(examples="\n".join(map(_example, EXPRESSIONS))),
        PICTURES.format(pictures="\n\n".join(_picture(name) for name in found)),
        VANISHING.format(
            **figures | {"deep_rates": " and ".join(map(str, figures["deep_rates"]))}, table=deep_table(figures)
        ),
        DYING.format(
            **figures,
            dead=shallow_table(figures, [op.name for op in shown if op.properties.dead]),
            alive=shallow_table(figures, [op.name for op in shown if not op.properties.dead]),
        ),
    ]
    return "\n\n".join(map(_filled, "\n\n".join(parts).split("\n\n"))) + "\n"


def _filled(block: str) -> str:
    """A paragraph whose lines became too long when it was filled in, wrapped; tables, lists, code and headings as they are."""
    if block[0] in "|-#!`<" or max(map(len, block.splitlines())) <= WIDTH:
        return block
    return textwrap.fill(block, WIDTH, break_long_words=False, break_on_hyphens=False)


def activations() -> dict[str, list[Op]]:
    """All activations by their page of the reference."""
    found = {page: [op for op in family.ops if op.is_activation] for page, family in families().items()}
    return {page: ops for page, ops in found.items() if ops}


HEAD = (
    "",
    "range",
    "monotonic",
    "saturates at",
    "zero-centred",
    "at 0",
    "slope at 0",
    "dead",
    "kinks",
    "class",
    "Lipschitz",
    "learnt",
)


def table(found: dict[str, list[Op]]) -> str:
    """A row for each activation."""
    rows: list[Sequence[str]] = [HEAD, [":--", *["--:"] * (len(HEAD) - 1)]]
    rows += [row(op, page) for page, ops in found.items() for op in ops]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def row(op: Op, page: str) -> list[str]:
    """What the table says of an activation."""
    p = op.properties
    saturated = [number(end) for end, at_end in ((-INF, p.saturates_left), (INF, p.saturates_right)) if at_end]
    return [
        f"[`{op.name}`](reference/{page}.md#{op.name})",
        _unbroken(p.range),
        "yes" if p.monotonic else "no",
        ", ".join(saturated),
        "yes" if p.zero_centred else "no",
        number(p.at_zero),
        number(p.slope_at_zero),
        ", ".join(map(_unbroken, p.dead)),
        ", ".join(map(number, p.kinks)),
        p.smoothness_class.replace("-infinity", "∞"),
        number(p.lipschitz),
        str(p.learnt_parameters or ""),
    ]


def _unbroken(interval: Interval) -> str:
    """An interval that stays on one line."""
    return interval.shown(number).replace(" ", "\N{NO-BREAK SPACE}")


def _held(op: Op) -> str:
    return " and ".join(f"{name} = {number(value)}" for name, value in op.recorded_at.items())


def _point(op: Op) -> str:
    mean, variance = map(number, op.properties.fixed_point or ())
    return f"mean {mean} and variance {variance} of `{op.name}`"


def _listed(ops: Iterable[Op]) -> str:
    names = [f"`{op.name}`" for op in ops]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _example(expression: str) -> str:
    return f">>> {expression}\n{eval(expression, {'fa': fastact})!r}"


def _picture(name: str) -> str:
    return f"![The activations of {name} and their derivatives](images/choosing/{name}.svg)"


def write(check: bool) -> bool:
    """Write the page and its pictures, or check them; whether all are fresh."""
    drawn = choosing_pictures.write(activations(), json.loads(KEPT.read_text(encoding="utf-8")), check)
    return write_or_check(PAGE, page(), check) and drawn


if __name__ == "__main__":
    sys.exit(main(__doc__, write))
