"""One call of every function over an axis: what it is given, so that a test can run through them all."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

import fastact as fa


@dataclass(frozen=True)
class RowCall:
    """A function of operands, ``axis`` and, if there are ``outs``, that many arrays to write to."""

    function: Callable
    operands: Callable
    """Makes them from a generator, the shape of the result before any reduction, the axis and the dtype."""
    outs: int = 1


def like_result(count):
    """Operands that all have the shape."""
    return lambda rng, shape, axis, dtype: [rng.normal(scale=4, size=shape).astype(dtype) for _ in range(count)]


def logits_and_labels(rng, shape, axis, dtype):
    labels = rng.integers(0, min(shape[axis], 100), size=shape[:axis] + shape[axis + 1 :])
    label_dtype = rng.choice(["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
    return [rng.normal(scale=4, size=shape).astype(dtype), labels.astype(label_dtype)]


def logits_and_probabilities(rng, shape, axis, dtype):
    return [rng.normal(scale=4, size=shape).astype(dtype), rng.random(shape).astype(dtype)]


def groups(size):
    """``size`` elements along the axis for each of the result."""
    return lambda rng, shape, axis, dtype: [
        rng.normal(size=(*shape[:axis], size * shape[axis], *shape[axis + 1 :])).astype(dtype)
    ]


def gradient_and_halves(rng, shape, axis, dtype):
    return [rng.normal(size=shape).astype(dtype), *groups(2)(rng, shape, axis, dtype)]


def gradient_and_choices(pieces):
    return lambda rng, shape, axis, dtype: [
        rng.normal(size=shape).astype(dtype),
        rng.integers(0, pieces, shape).astype(np.int32),
    ]


def gradient(logits, target, *, axis, out=None):
    return fa.cross_entropy_with_grad(logits, target, axis=axis, reduction="none", out=out)[1]


def with_all(logits, target, *, axis):
    return fa.cross_entropy_with_grad(
        logits, target, axis=axis, label_smoothing=0.1, reduction="none", return_lse=True, return_argmax=True
    )


FEW_SOME_MANY = (2, 3, 12, 40)

ROW_CALLS = {
    "softmax": RowCall(fa.softmax, like_result(1)),
    "softmin": RowCall(fa.softmin, like_result(1)),
    "log_softmax": RowCall(fa.log_softmax, like_result(1)),
    "logsumexp": RowCall(fa.logsumexp, like_result(1)),
    "softmax_backward": RowCall(fa.softmax_backward, like_result(2)),
    "log_softmax_backward": RowCall(fa.log_softmax_backward, like_result(2)),
    "cross_entropy": RowCall(partial(fa.cross_entropy, reduction="none"), logits_and_labels, outs=0),
    "cross_entropy_with_grad": RowCall(gradient, logits_and_labels),
    "cross_entropy_with_grad and all": RowCall(with_all, logits_and_labels, outs=0),
    "cross_entropy of probabilities": RowCall(
        partial(fa.cross_entropy, reduction="none"), logits_and_probabilities, outs=0
    ),
    "glu": RowCall(fa.glu, groups(2)),
    "glu_backward": RowCall(fa.glu_backward, gradient_and_halves),
}
for k in FEW_SOME_MANY:
    ROW_CALLS |= {
        f"maxout of {k}": RowCall(partial(fa.maxout, num_pieces=k), groups(k)),
        f"maxout_with_index of {k}": RowCall(partial(fa.maxout_with_index, num_pieces=k), groups(k), outs=2),
        f"maxout_backward of {k}": RowCall(partial(fa.maxout_backward, num_pieces=k), gradient_and_choices(k)),
    }
