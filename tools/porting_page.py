"""Write ``docs/porting.md``: three programs before and after, and what functions of other libraries are called here.

Names are those of the benchmark's statements, figures those that ``tools/porting_profiles.py --write`` has kept.
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from pages import DOCS, main, write_or_check  # noqa: E402
from porting_programs import KEPT, section  # noqa: E402

import fastact as fa  # noqa: E402
from fastact import table  # noqa: E402
from fastact.bench.idioms import IDIOMS, fresh  # noqa: E402
from fastact.bench.rows import ROWS  # noqa: E402

PAGE = DOCS / "porting.md"
LONGEST = 72
"""Characters of the longest statement that is shown."""
HEADER = "<!-- Written by tools/porting_page.py from examples/porting and the statements that the benchmark times: do not edit. -->"
INTRODUCTION = """\
# Port your program

What you wrote with NumPy, SciPy, PyTorch or JAX, and what it is called here. [`fastact advise script.py`](advise.md) says which
lines of a program in NumPy are in this table, where the program leaves float32, and what either costs; `import fastact.numpy as np`
and `fa.accelerate()` speed up [NumPy's own functions](standins.md) without any change, of all but short arrays, and
`fastact.special` has SciPy's names.

## What differs

- **Arrays are NumPy's.** Results are fresh arrays unless `out=` is given; nothing is recorded, so gradients are functions of their
  own: `X_backward(grad, x)`, or `X_with_grad(...)` for losses, which return both from one pass.
- **Dtypes.** float16, float32 and float64 give themselves, integers what NumPy makes of them, and a Python number changes nothing.
  NumPy's expressions become float64 where a list, an `np.float64` or an integer array takes part.
- **`axis`.** The softmax family, norms and losses take the last axis by default, as PyTorch's modules do and `scipy.special` does
  not: `fastact.special.softmax` takes all axes, as there. Several axes may be given as a tuple.
- **gelu** is the exact one, with the normal distribution function, as in PyTorch; JAX's `jax.nn.gelu` and Keras' approximate it by
  tanh unless told otherwise, which is `gelu_tanh` here.
- **hard_sigmoid** has the slope 1/6, as PyTorch and JAX; Keras had 0.2 before version 3.
- **Losses** are means by default, as in PyTorch, and `reduction=` says otherwise; `ignore_index` is -100 as there. Binary losses
  take logits where their name says so.
- **Kinks.** `relu_backward(grad, 0.0)` is 0, and each page of the [reference](reference/index.md) says what its function gives.
- **NaN** gives NaN, in `relu` and maxima too; `numpy.fmax` and some others drop it.
- **Random numbers** come from a `numpy.random.Generator` that is given; a seed gives the same on any number of threads.
- **Layout.** Channels are axis 1 in `batch_norm`, `group_norm` and `instance_norm`, as in PyTorch; `axis=-1` is Keras' order.
- **Floating-point warnings** are not raised, but by `fastact.numpy` and `accelerate`.
"""
NAMES = """\
## Names

Statements are those that [the benchmarks](performance.md) time: `special` is SciPy's, `F` is `torch.nn.functional`, `nn` is
`jax.nn`. A function without an entry in a column has no such function there, or none in one short statement.

| fastact | NumPy, SciPy | PyTorch | JAX | also known as |
| :-- | :-- | :-- | :-- | :-- |
"""


def write(check: bool) -> bool:
    """Write or check the page."""
    programs = section(json.loads(KEPT.read_text(encoding="utf-8")))
    return write_or_check(PAGE, f"{HEADER}\n{INTRODUCTION}\n{programs}\n{NAMES}{''.join(map(_line, _names()))}", check)


def _names() -> list[str]:
    return [name for name in table.functions() if name in IDIOMS or name in ROWS]


def _line(name: str) -> str:
    """A row of the table; nothing of a function that has no other name anywhere."""
    known = fa.ops[name].known_as if name in fa.ops else ()
    statements = IDIOMS.get(name) or ROWS[name]
    numpy = _shown(getattr(statements, "scipy", "") or statements.numpy)
    torch = _shown(getattr(statements, "torch_fresh", "") or statements.torch)
    torch = re.sub(r"\bnn\.", "F.", torch).replace("log_sigmoid", "logsigmoid")
    cells = [numpy, torch, _shown(statements.jax), " ".join(f"`{alias}`" for alias in known)]
    return f"| `{name}` | {' | '.join(cells)} |\n" if any(cells) else ""


def _shown(statement: str) -> str:
    """A statement as one would write it; nothing of one that calls the benchmark's helpers or is too long to read."""
    text = fresh(statement).replace(", {axis}", "").replace("{axis}", "-1").replace("{pieces}", "k")
    text = re.sub(r"\baten\.", "torch.ops.aten.", text)
    home = re.match(r"([a-z_]+)\.", text)
    helpers = home and home[1] not in ("np", "special", "torch", "nn", "jnp", "lax", "x")
    return "" if not text or helpers or len(text) > LONGEST else f"`{text}`"


if __name__ == "__main__":
    sys.exit(main(__doc__, write))
