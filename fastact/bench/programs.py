"""Whole steps of real programs, with NumPy's maths or with fastact's: a function that is fast alone can make a program slower.

Matrix products, biases, the optimiser and layer norm are the same lines for both. All large arrays are made before the first
step. A step computes what the one before computed, or nearly: learning rates are small, so that the numbers stay of a kind.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from .programidioms import Array, Maths, Value

Step = Callable[[], tuple[Array, ...]]

RATE, MOMENTUM = 1e-4, 0.9
PIXELS, CLASSES = 64, 10
"""Of the digits that the networks read."""
EPSILON = 1e-5
"""What layer norm adds to a variance."""
TEMPERATURE, BEST = 0.8, 5
"""What the decoder divides logits by, and how many tokens it chooses from."""
SIDE = 256
"""Of the square matrices in products that an op follows."""


@dataclass(frozen=True)
class Program:
    """A program to measure steps of."""

    name: str
    what: str
    make: Callable[[Maths], Step]
    """A function without arguments that takes one whole step and returns arrays to compare; the next one may write over them."""
    parts: Callable[[Maths], tuple[Callable[[], Array], ...]] | None = None
    """The parts of a step, where it has two that are to be timed apart: a matrix product, and an op."""


class _Linear:
    """``y = x @ weight + bias`` for a batch, with gradients and momentum."""

    def __init__(self, batch: int, inputs: int, outputs: int, dtype: str, rng: np.random.Generator) -> None:
        self.weight, self.bias = _weight(rng, inputs, outputs).astype(dtype), np.zeros(outputs, dtype)
        self.grad_weight, self.grad_bias = np.zeros_like(self.weight), np.zeros_like(self.bias)
        self.weight_velocity, self.bias_velocity = np.zeros_like(self.weight), np.zeros_like(self.bias)
        self.y, self.grad_x = np.empty((batch, outputs), dtype), np.empty((batch, inputs), dtype)
        self.activation, self.spare = np.empty_like(self.y), np.empty((2, *self.y.shape), dtype)

    def forward(self, x: Array) -> Array:
        """Map (batch, inputs) to (batch, outputs)."""
        self.x = x
        np.matmul(x, self.weight, out=self.y)
        self.y += self.bias
        return self.y

    def find_gradients(self, grad: Array) -> None:
        """Those of weight and bias, from the loss's gradient with respect to y."""
        np.matmul(self.x.T, grad, out=self.grad_weight)
        np.sum(grad, axis=0, out=self.grad_bias)

    def backward(self, grad: Array) -> Array:
        """The gradients of weight and bias as well, and that with respect to x."""
        self.find_gradients(grad)
        return np.matmul(grad, self.weight.T, out=self.grad_x)

    def learn(self) -> None:
        """Descend, with momentum."""
        for value, grad, velocity in (
            (self.weight, self.grad_weight, self.weight_velocity),
            (self.bias, self.grad_bias, self.bias_velocity),
        ):
            grad *= RATE
            velocity *= MOMENTUM
            velocity -= grad
            value += velocity


def _mlp(maths: Maths, batch: int, hidden: int, dtype: str) -> Step:
    rng = np.random.default_rng(1)
    pixels, labels = rng.random((batch, PIXELS)).astype(dtype), rng.integers(0, CLASSES, batch)
    widths = (PIXELS, hidden, hidden, CLASSES)
    layers = [_Linear(batch, *pair, dtype, rng) for pair in itertools.pairwise(widths)]
    first, *_, last = layers

    def step() -> tuple[Array, ...]:
        x = pixels
        for layer in layers[:-1]:
            maths.gelu(layer.forward(x), layer.activation, layer.spare)
            x = layer.activation
        grad = last.forward(x)  # the scores, until their gradient is written over them
        loss = maths.cross_entropy_with_grad(grad, labels)
        for layer, before in itertools.pairwise(layers[::-1]):
            grad = layer.backward(grad)
            maths.gelu_backward(grad, before.y, before.activation, before.spare)
        first.find_gradients(grad)
        for layer in layers:
            layer.learn()
        return (loss, *(array for layer in layers for array in (layer.weight_velocity, layer.bias_velocity)))

    return step


def _lstm(maths: Maths, batch: int, width: int) -> Step:
    """The gates, input, forget, output and candidate, have an array each: their ops find whole arrays and not columns."""
    rng = np.random.default_rng(1)
    x_and_h, cell, grad_h, grad_cell = (
        rng.standard_normal((batch, n), dtype=np.float32) for n in (2 * width, width, width, width)
    )
    weight = np.stack([_weight(rng, 2 * width, width) for _ in range(4)])
    bias = np.zeros((4, 1, width), np.float32)
    sums, gates, grads = np.empty((3, 4, batch, width), np.float32)
    new_cell, squashed, h, product, grad, grad_old_cell = np.empty((6, batch, width), np.float32)
    grad_weight, grad_bias, grad_x_and_h = np.empty_like(weight), np.empty_like(bias), np.empty_like(x_and_h)
    by_gate = np.empty((4, *x_and_h.shape), np.float32)
    sigmoids, (inputs, forget, output, candidate) = range(3), gates
    spare = product, product

    def step() -> tuple[Array, ...]:
        np.matmul(x_and_h, weight, out=sums)
        np.add(sums, bias, out=sums)
        for i in sigmoids:
            maths.sigmoid(sums[i], gates[i], spare)
        maths.tanh(sums[3], candidate, spare)
        np.multiply(forget, cell, out=new_cell)
        np.multiply(inputs, candidate, out=product)
        np.add(new_cell, product, out=new_cell)
        maths.tanh(new_cell, squashed, spare)
        np.multiply(output, squashed, out=h)

        np.multiply(grad_h, squashed, out=grads[2])
        np.multiply(grad_h, output, out=grad)
        maths.tanh_backward(grad, new_cell, squashed, spare)
        np.add(grad, grad_cell, out=grad)
        for i, factor in ((0, candidate), (1, cell), (3, inputs)):
            np.multiply(grad, factor, out=grads[i])
        np.multiply(grad, forget, out=grad_old_cell)
        for i in sigmoids:
            maths.sigmoid_backward(grads[i], sums[i], gates[i], spare)
        maths.tanh_backward(grads[3], sums[3], candidate, spare)
        np.matmul(x_and_h.T, grads, out=grad_weight)
        np.sum(grads, axis=1, keepdims=True, out=grad_bias)
        np.matmul(grads, weight.swapaxes(1, 2), out=by_gate)
        np.sum(by_gate, axis=0, out=grad_x_and_h)
        return h, new_cell, grad_x_and_h, grad_old_cell, grad_weight, grad_bias

    return step


def _transformer(maths: Maths, tokens: int, width: int, heads: int) -> Step:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((tokens, width), dtype=np.float32)
    shapes = ((width, 3 * width), (width, width), (width, 4 * width), (4 * width, width))
    to_qkv, to_mixed, to_wide, to_narrow = (_weight(rng, *shape) for shape in shapes)
    qkv_bias, mixed_bias, wide_bias, narrow_bias = (np.zeros(shape[1], np.float32) for shape in shapes)
    gain, shift = np.ones(width, np.float32), np.zeros(width, np.float32)
    normed, context, y, narrow = np.empty((4, tokens, width), np.float32)
    qkv, scores = np.empty((tokens, 3 * width), np.float32), np.empty((heads, tokens, tokens), np.float32)
    query, key, value = qkv.reshape(tokens, 3, heads, -1).transpose(1, 2, 0, 3)
    by_head = context.reshape(tokens, heads, -1).swapaxes(0, 1)
    up, wide = np.empty((2, tokens, 4 * width), np.float32)
    future = np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1)
    scale = 1 / math.sqrt(width // heads)

    def step() -> tuple[Array, ...]:
        _layer_norm(x, gain, shift, normed)
        np.matmul(normed, to_qkv, out=qkv)
        np.add(qkv, qkv_bias, out=qkv)
        np.multiply(query, scale, out=query)
        np.matmul(query, key.swapaxes(1, 2), out=scores)
        np.add(scores, future, out=scores)
        maths.softmax(scores, scores)
        np.matmul(scores, value, out=by_head)
        np.matmul(context, to_mixed, out=y)
        np.add(y, mixed_bias, out=y)
        np.add(y, x, out=y)

        _layer_norm(y, gain, shift, normed)
        np.matmul(normed, to_wide, out=up)
        np.add(up, wide_bias, out=up)
        maths.gelu_tanh(up, wide, (wide, wide))
        np.matmul(wide, to_narrow, out=narrow)
        np.add(narrow, narrow_bias, out=narrow)
        np.add(y, narrow, out=y)
        return scores, y

    return step


def _layer_norm(x: Array, gain: Array, shift: Array, out: Array) -> None:
    np.subtract(x, x.mean(-1, keepdims=True), out=out)
    variance = np.vecdot(out, out)[:, None] / x.shape[-1]
    out /= np.sqrt(variance + EPSILON)
    out *= gain
    out += shift


def _logistic(maths: Maths, rows: int, features: int) -> Step:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((rows, features), dtype=np.float32)
    weight = _weight(rng, features, 1)[:, 0]
    labels = (x @ _weight(rng, features, 1)[:, 0] > 0).astype(np.float32)
    is_other = 1 - labels
    z, p, log_p = np.empty((3, rows), np.float32)
    grad = np.empty_like(weight)

    def step() -> tuple[Array, ...]:
        np.matmul(x, weight, out=z)
        maths.sigmoid_and_log(z, p, log_p)
        loss = (np.dot(is_other, z) - log_p.sum()) / rows  # log(1 - p) is log(p) - z
        np.subtract(p, labels, out=p)
        np.matmul(p, x, out=grad)
        np.multiply(grad, RATE / rows, out=grad)
        np.subtract(weight, grad, out=weight)
        return loss, grad, weight

    return step


def _decoder(maths: Maths, rows: int, width: int, vocabulary: int) -> Step:
    rng = np.random.default_rng(1)
    hidden, weight = rng.standard_normal((rows, width), dtype=np.float32), _weight(rng, width, vocabulary)
    logits, spare = np.empty((rows, vocabulary), np.float32), np.empty((1, rows, vocabulary), np.float32)

    def step() -> tuple[Array, ...]:
        np.matmul(hidden, weight, out=logits)
        np.multiply(logits, 1 / TEMPERATURE, out=logits)
        maths.log_softmax(logits, logits, spare)
        best = np.argpartition(logits, -BEST, axis=-1)[:, -BEST:]
        return np.sort(np.take_along_axis(logits, best, -1)), logits

    return step


def _product_and_op(maths: Maths, op: str, size: int) -> tuple[Callable[[], Array], ...]:
    """The product and the op, which is given the product if the sizes agree, as in a layer."""
    rng = np.random.default_rng(1)
    a, b = rng.standard_normal((SIDE, SIDE), dtype=np.float32), _weight(rng, SIDE, SIDE)
    product = a @ b
    x = product.reshape(-1) if size == product.size else rng.standard_normal(size, dtype=np.float32)
    y = np.empty_like(x)
    value: Value = getattr(maths, op)

    def op_of_x() -> Array:
        value(x, y, (y, y))
        return y

    return lambda: np.matmul(a, b, out=product), op_of_x


def _weight(rng: np.random.Generator, inputs: int, outputs: int) -> Array:
    """Such that the outputs of a layer are about as large as its inputs."""
    return rng.standard_normal((inputs, outputs), dtype=np.float32) / np.float32(math.sqrt(inputs))


def _programs_of_products() -> list[Program]:
    found = []
    for size in (SIDE * SIDE, 1_000_000):
        for op in ("leaky_relu", "gelu"):
            parts = partial(_product_and_op, op=op, size=size)
            what = f"a product of 256 x 256 matrices, then {op} of {size:,} elements"
            found.append(Program(f"product, {op} of {size}", what, partial(_in_turn, parts=parts), parts))
    return found


def _in_turn(maths: Maths, parts: Callable[[Maths], tuple[Callable[[], Array], ...]]) -> Step:
    product, op = parts(maths)
    return lambda: (product(), op())


PROGRAMS = (
    *(
        Program(
            f"mlp {batch} x {hidden} {dtype}",
            f"one step of training a 64-{hidden}-{hidden}-10 network with gelu, {dtype}, a batch of {batch}",
            partial(_mlp, batch=batch, hidden=hidden, dtype=dtype),
        )
        for batch, hidden, dtype in ((256, 256, "float32"), (2048, 256, "float32"), (256, 256, "float64"))
    ),
    Program(
        "lstm 64 x 256",
        "one step in time of an LSTM cell, forward and backward, a batch of 64 with 256 units",
        partial(_lstm, batch=64, width=256),
    ),
    *(
        Program(
            f"transformer {tokens} x {width}",
            f"a transformer block forward, causal, with gelu_tanh, {tokens} tokens, {width} wide, {heads} heads",
            partial(_transformer, tokens=tokens, width=width, heads=heads),
        )
        for tokens, width, heads in ((64, 256, 4), (256, 768, 12))
    ),
    Program(
        "logistic 20000 x 50",
        "one step of logistic regression, 20,000 rows with 50 features",
        partial(_logistic, rows=20_000, features=50),
    ),
    Program(
        "decoder 8 x 32000",
        "from 8 hidden states of 256 to the log_softmax of 32,000 logits and the best 5",
        partial(_decoder, rows=8, width=256, vocabulary=32_000),
    ),
    *_programs_of_products(),
)


def named(words: Sequence[str]) -> list[Program]:
    """The programs whose names begin with one of some words; all of them if there are no words."""
    return [program for program in PROGRAMS if not words or kind(program.name) in words]


def kind(name: str) -> str:
    """The first word of a program's name."""
    return name.split()[0].strip(",")


def what(name: str) -> str:
    """What the program of a name does; empty if there is none any more."""
    return next((program.what for program in PROGRAMS if program.name == name), "")
