"""One call of every public function, with operands that containers can hold, for tests that run through all of them."""

from dataclasses import dataclass, field

import numpy as np

import fastact as fa
from fastact.functions.elementwise import public_names
from fastact.functions.rows import NAMES
from fastact.table import FUNCTIONS

ROWS, CLASSES = 6, 10
rng = np.random.default_rng(0)
X = rng.normal(size=(ROWS, CLASSES)).astype(np.float32)
GRAD = rng.normal(size=(ROWS, CLASSES)).astype(np.float32)
HALF = np.ascontiguousarray(GRAD[:, :5])
LABELS = rng.integers(0, CLASSES, ROWS)
Q = (rng.random((ROWS, CLASSES)) / 5).astype(np.float32)
W = rng.normal(size=(7, CLASSES)).astype(np.float32)


@dataclass(frozen=True)
class EveryCall:
    """A function by name, the arrays it is called with, by position, and other arguments."""

    name: str
    arrays: tuple
    options: dict = field(default_factory=dict)

    def __call__(self, wrap=lambda array: array, **options):
        arrays = [wrap(x) if isinstance(x, np.ndarray) else x for x in self.arrays]
        given = {name: wrap(x) if isinstance(x, np.ndarray) else x for name, x in self.options.items()}
        return getattr(fa, self.name)(*arrays, **given, **options)

    @property
    def lengths(self):
        """The lengths of the axes of all operands."""
        return {n for x in (*self.arrays, *self.options.values()) for n in np.shape(x)}

    def results(self, wrap=lambda array: array, **options):
        results = self(wrap, **options)
        return results if isinstance(results, tuple) else (results,)


def elementwise(name):
    op = fa.ops[name if name in fa.ops else name.removesuffix("_backward")]
    arrays = (X,) if name == op.name else (GRAD, X)
    if op.arrays == 2:
        return EveryCall(name, (*arrays, Q))
    if name == "prelu_backward":
        return EveryCall(name, (*arrays, np.linspace(-1, 1, CLASSES, dtype=np.float32)))
    sample = op.samples[0]
    return EveryCall(name, (*arrays, *sample, *list(op.defaults.values())[len(sample) :]))


EVERY_CALL = {
    "softmax": [EveryCall("softmax", (X,), axis) for axis in ({}, {"axis": 0}, {"axis": None}, {"axis": (1, 0)})],
    "softmin": [EveryCall("softmin", (X,), axis) for axis in ({}, {"axis": 0})],
    "log_softmax": [EveryCall("log_softmax", (X,), axis) for axis in ({}, {"axis": 0})],
    "logsumexp": [
        EveryCall("logsumexp", (X,), options)
        for options in ({}, {"axis": 0}, {"keepdims": True}, {"axis": None}, {"axis": None, "keepdims": True})
    ],
    "softmax_backward": [EveryCall("softmax_backward", (GRAD, Q), axis) for axis in ({}, {"axis": 0}, {"axis": None})],
    "log_softmax_backward": [EveryCall("log_softmax_backward", (GRAD, -Q), axis) for axis in ({}, {"axis": 0})],
    "glu": [EveryCall("glu", (X,)), EveryCall("glu", (X,), {"axis": 0})],
    "glu_backward": [EveryCall("glu_backward", (HALF, X)), EveryCall("glu_backward", (GRAD[:3], X), {"axis": 0})],
    "maxout": [EveryCall("maxout", (X, 5)), EveryCall("maxout", (X, 2), {"axis": 0})],
    "maxout_with_index": [EveryCall("maxout_with_index", (X, 5)), EveryCall("maxout_with_index", (X, 3), {"axis": 0})],
    "maxout_backward": [
        EveryCall("maxout_backward", (HALF, np.tile(np.int32([0, 1, 0, 1, 1]), (ROWS, 1)), 2)),
        EveryCall("maxout_backward", (HALF, np.tile(np.int32([0, 2, 0, 1, 1]), (ROWS, 1)), 3), {"axis": 0}),
    ],
    "cross_entropy": [
        EveryCall("cross_entropy", (X, LABELS)),
        EveryCall("cross_entropy", (X, LABELS), {"reduction": "sum", "label_smoothing": 0.1, "softcap": 2.0}),
        EveryCall("cross_entropy", (X, LABELS), {"reduction": "none", "weight": Q[0]}),
        EveryCall("cross_entropy", (X, LABELS), {"weight": Q[0], "ignore_index": int(LABELS[0])}),
        EveryCall("cross_entropy", (X, np.arange(CLASSES) % ROWS), {"axis": 0, "reduction": "none"}),
        EveryCall("cross_entropy", (X, Q)),
    ],
    "cross_entropy_with_grad": [
        EveryCall("cross_entropy_with_grad", (X, LABELS)),
        EveryCall("cross_entropy_with_grad", (X, LABELS), {"reduction": "none", "return_lse": True}),
        EveryCall("cross_entropy_with_grad", (X, np.arange(CLASSES) % ROWS), {"axis": 0, "return_argmax": True}),
        EveryCall("cross_entropy_with_grad", (X, Q), {"reduction": "sum"}),
    ],
    "linear_cross_entropy": [
        EveryCall("linear_cross_entropy", (X, W, LABELS % 7), {"reduction": reduction})
        for reduction in ("mean", "sum", "none")
    ],
    "linear_cross_entropy_with_grad": [
        EveryCall("linear_cross_entropy_with_grad", (X, W, LABELS % 7)),
        EveryCall("linear_cross_entropy_with_grad", (X, W, LABELS % 7), {"bias": W[:, 0], "reduction": "none"}),
        EveryCall("linear_cross_entropy_with_grad", (X, W, LABELS % 7), {"bias": W[:, 0], "ignore_index": 2}),
    ],
}
"""By the function's name."""
EVERY_CALL |= {name: [elementwise(name)] for name in public_names()}
EVERY_CALL["rrelu"].append(EveryCall("rrelu", (X,), {"training": True, "rng": 0}))
EVERY_CALL["rrelu_backward"].append(EveryCall("rrelu_backward", (GRAD, X), {"slopes": Q}))

PUBLIC = [*public_names(), *FUNCTIONS, *NAMES]
"""The names that the records make public."""
CALLS = [call for name in PUBLIC for call in EVERY_CALL[name]]


def ids(call):
    shown = ", ".join(f"{name}={np.shape(x) or x}" for name, x in call.options.items())
    return f"{call.name}({', '.join(str(np.shape(x)) for x in call.arrays if isinstance(x, np.ndarray))} {shown})"
