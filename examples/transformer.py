"""Teach a small transformer to write like Python's own documentation, character by character, by hand in NumPy.

    python examples/transformer.py             # about two minutes; writes a few lines in the end
    python examples/transformer.py --quick     # a few seconds, for a first look
    python examples/transformer.py --compare   # the time of a step and of its parts, in turns with plain NumPy and PyTorch

The text is the docstrings of the standard library that runs this, of which the last tenth is held out. Blocks of causal attention
with rotary positions, and of two layers with gelu, each behind a layer norm; the forward and backward passes are written out below,
on NumPy's matrix products and fastact's functions. What else there is to compute stands in two classes, `Plain` in NumPy and `Fast`
on fastact: all that differs between the two. Needs rich besides fastact.

Matrix products, and fastact, run on as many threads as they take by themselves, as in a program that sets nothing.
"""

import argparse
import ast
import math
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import BarColumn, Progress, TimeRemainingColumn

import fastact as fa

Array = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.int64]

LETTERS = 400_000
"""Characters of the text."""
RATE, DECAYS, EPSILON = 2e-3, (0.9, 0.99), 1e-8
"""Adam's."""
HELD_OUT = 0.1
"""The share of the text that nothing is learnt from."""


@dataclass(frozen=True)
class Size:
    """How large the network is, and how long it learns."""

    width: int
    heads: int
    layers: int
    context: int
    batch: int
    steps: int


WHOLE = Size(width=128, heads=4, layers=3, context=128, batch=16, steps=800)
QUICK = Size(width=32, heads=2, layers=1, context=32, batch=8, steps=60)


# --- the text --------------------------------------------------------------------------------------------------------


def docstrings(letters: int) -> list[str]:
    """The longer docstrings of the standard library, of so many letters together, if there are so many."""
    found, length = list[str](), 0
    for path in sorted(Path(ast.__file__).parent.glob("*.py")):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):  # a few are there to test editors
            continue
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        docs = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, kinds)]
        found += [doc for doc in docs if len(doc) > 80 and doc.isascii()]
        length = sum(map(len, found))
        if length >= letters:
            break
    return found


def load(letters: int = LETTERS) -> tuple[Tokens, str]:
    """The text as numbers, and the character of each number."""
    text = "\n\n".join(docstrings(letters))[:letters]
    alphabet = "".join(sorted(set(text)))
    number = {letter: i for i, letter in enumerate(alphabet)}
    return np.array([number[letter] for letter in text]), alphabet


# --- what is computed besides matrix products ------------------------------------------------------------------------


class Plain:
    """In NumPy."""

    def layer_norm(self, x: Array, weight: Array, bias: Array) -> Array:
        """Rows with a mean of 0 and a variance of 1, times a weight, plus a bias."""
        found: Array = self._normed(x)[0] * weight + bias
        return found

    def layer_norm_backward(self, grad: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
        """The gradients by the rows, the weight and the bias."""
        normed, scale = self._normed(x)
        rows = tuple(range(x.ndim - 1))
        of_weight, of_bias = (grad * normed).sum(axis=rows), grad.sum(axis=rows)
        grad = grad * weight
        products = (grad * normed).mean(axis=-1, keepdims=True)
        return (grad - grad.mean(axis=-1, keepdims=True) - normed * products) * scale, of_weight, of_bias

    @staticmethod
    def _normed(x: Array) -> tuple[Array, Array]:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = 1 / np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + np.float32(1e-5))
        return centred * scale, scale

    def rotary(self, x: Array) -> None:
        """Rotate the halves of queries and keys, (batch, tokens, ..., features), in place."""
        self._turn(x, 1)

    def rotary_backward(self, grad: Array) -> None:
        """Rotate gradients back, in place."""
        self._turn(grad, -1)

    def _turn(self, x: Array, sign: int) -> None:
        cos, sin = self._angles(x.shape[1], x.shape[-1])
        shape = (-1, *[1] * (x.ndim - 3), cos.shape[1])
        cos, sin = cos.reshape(shape), sign * sin.reshape(shape)
        half = x.shape[-1] // 2
        a, b = x[..., :half].copy(), x[..., half:].copy()
        x[..., :half] = a * cos - b * sin
        x[..., half:] = b * cos + a * sin

    @staticmethod
    def _angles(tokens: int, features: int) -> tuple[Array, Array]:
        angles = np.arange(tokens)[:, None] * 10000.0 ** (-np.arange(0, features, 2) / features)
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)

    def softmax(self, scores: Array, scale: float) -> None:
        """Softmax of scores, of each query's by the keys up to its own, in place."""
        scores *= np.float32(scale)
        np.copyto(scores, -np.inf, where=~np.tri(scores.shape[-1], dtype=bool))
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)

    def softmax_backward(self, grad: Array, weights: Array, scale: float) -> None:
        """The gradient by the scores, in place of that by the weights."""
        grad -= (grad * weights).sum(axis=-1, keepdims=True)
        grad *= weights
        grad *= np.float32(scale)

    def gelu(self, x: Array) -> Array:
        """The approximation by tanh."""
        found: Array = 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))
        return found

    def gelu_backward(self, grad: Array, x: Array) -> Array:
        """Its gradient."""
        square = x * x
        t = np.tanh(0.7978845608 * x * (1 + 0.044715 * square))
        slope = 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (0.7978845608 * (1 + 0.134145 * square))
        found: Array = grad * slope
        return found

    def cross_entropy(self, logits: Array, target: Tokens) -> tuple[float, Array]:
        """The mean loss, and its gradient."""
        rows = np.arange(len(target))
        logits = logits - logits.max(axis=-1, keepdims=True)
        own = logits[rows, target]
        np.exp(logits, out=logits)
        sums = logits.sum(axis=-1, keepdims=True)
        logits /= sums
        logits[rows, target] -= 1
        logits /= len(target)
        return float((np.log(sums[:, 0]) - own).mean()), logits

    def embedding_backward(self, grad: Array, tokens: Tokens, count: int) -> Array:
        """The sum of the gradients at each of so many tokens."""
        found = np.zeros((count, grad.shape[-1]), np.float32)
        np.add.at(found, tokens, grad)
        return found

    def adam_step(self, values: Array, grad: Array, mean: Array, square: Array, step: int, rate: float) -> None:
        """Take the step of that number, from 1 on, in place."""
        first, second = DECAYS
        mean *= first
        mean += (1 - first) * grad
        square *= second
        square += (1 - second) * grad * grad
        root = np.sqrt(square)
        root /= math.sqrt(1 - second**step)
        root += EPSILON
        values -= rate / (1 - first**step) * mean / root


class Fast(Plain):
    """On fastact."""

    def layer_norm(self, x: Array, weight: Array, bias: Array) -> Array:
        """Rows with a mean of 0 and a variance of 1, times a weight, plus a bias."""
        found: Array = fa.layer_norm(x, weight, bias)
        return found

    def layer_norm_backward(self, grad: Array, x: Array, weight: Array) -> tuple[Array, Array, Array]:
        """The gradients by the rows, the weight and the bias."""
        found: tuple[Array, Array, Array] = fa.layer_norm_backward(grad, x, weight)
        return found

    def embedding_backward(self, grad: Array, tokens: Tokens, count: int) -> Array:
        """The sum of the gradients at each of so many tokens."""
        found: Array = fa.embedding_backward(grad, tokens, count)
        return found

    def adam_step(self, values: Array, grad: Array, mean: Array, square: Array, step: int, rate: float) -> None:
        """Take the step of that number, from 1 on, in place."""
        fa.adam_step(values, grad, mean, square, step, lr=rate, betas=DECAYS, eps=EPSILON)

    def rotary(self, x: Array) -> None:
        """Rotate the halves of queries and keys, (batch, tokens, ..., features), in place."""
        fa.rotary(x, position_axis=1, out=x)

    def rotary_backward(self, grad: Array) -> None:
        """Rotate gradients back, in place."""
        fa.rotary_backward(grad, position_axis=1, out=grad)

    def softmax(self, scores: Array, scale: float) -> None:
        """Softmax of scores, of each query's by the keys up to its own, in place."""
        fa.softmax(scores, scale=scale, causal=True, out=scores)

    def softmax_backward(self, grad: Array, weights: Array, scale: float) -> None:
        """The gradient by the scores, in place of that by the weights."""
        fa.softmax_backward(grad, weights, scale=scale, causal=True, out=grad)

    def gelu(self, x: Array) -> Array:
        """The approximation by tanh."""
        found: Array = fa.gelu_tanh(x)
        return found

    def gelu_backward(self, grad: Array, x: Array) -> Array:
        """Its gradient, in place of that by the result."""
        found: Array = fa.gelu_tanh_backward(grad, x, out=grad)
        return found

    def cross_entropy(self, logits: Array, target: Tokens) -> tuple[float, Array]:
        """The mean loss, and its gradient in place of the logits."""
        loss, grad = fa.cross_entropy_with_grad(logits, target, out=logits)
        return float(loss), grad


# --- the network -----------------------------------------------------------------------------------------------------


class Transformer:
    """A decoder. All parameters lie in one vector, as their gradients do; those of linear layers have no biases."""

    def __init__(self, letters: int, size: Size, seed: int, maths: Plain) -> None:
        self.size, self.maths = size, maths
        width, rng = size.width, np.random.default_rng(seed)
        shapes: dict[str, tuple[int, ...]] = {"embedding": (letters, width)}
        for i in range(size.layers):
            shapes |= {f"{i} norm weight": (width,), f"{i} norm bias": (width,), f"{i} qkv": (width, 3 * width)}
            shapes |= {f"{i} heads": (width, width), f"{i} norm 2 weight": (width,), f"{i} norm 2 bias": (width,)}
            shapes |= {f"{i} up": (width, 4 * width), f"{i} down": (4 * width, width)}
        shapes |= {"norm weight": (width,), "norm bias": (width,), "letters": (width, letters)}
        self.vector, self.gradient, self.mean, self.square = np.zeros((4, sum(map(math.prod, shapes.values()))), "f4")
        self.values, self.grads = (self._views(vector, shapes) for vector in (self.vector, self.gradient))
        for name, value in self.values.items():
            if name.endswith("weight"):
                value[...] = 1
            elif not name.endswith("bias"):
                share = 2 * size.layers if name.endswith(("heads", "down")) else 1
                fan = 1 if name == "embedding" else len(value) * share
                value[...] = rng.standard_normal(value.shape) / math.sqrt(fan)
        self.steps = 0

    @staticmethod
    def _views(vector: Array, shapes: dict[str, tuple[int, ...]]) -> dict[str, Array]:
        found, start = {}, 0
        for name, shape in shapes.items():
            found[name] = vector[start : start + math.prod(shape)].reshape(shape)
            start += math.prod(shape)
        return found

    def _norm(self, name: str, x: Array) -> Array:
        self.kept[name] = x
        return self.maths.layer_norm(x, self.values[f"{name} weight"], self.values[f"{name} bias"])

    def _norm_backward(self, name: str, grad: Array) -> Array:
        of_x, of_weight, of_bias = self.maths.layer_norm_backward(grad, self.kept[name], self.values[f"{name} weight"])
        self.grads[f"{name} weight"][...], self.grads[f"{name} bias"][...] = of_weight, of_bias
        return of_x

    def _linear(self, name: str, x: Array) -> Array:
        self.kept[name] = x
        found: Array = x @ self.values[name]
        return found

    def _linear_backward(self, name: str, grad: Array) -> Array:
        x = self.kept[name]
        np.matmul(x.reshape(-1, x.shape[-1]).T, grad.reshape(-1, grad.shape[-1]), out=self.grads[name])
        found: Array = grad @ self.values[name].T
        return found

    def forward(self, tokens: Tokens) -> Array:
        """The logits of what follows each token, (batch, tokens, letters); keeps what the backward pass needs."""
        self.kept: dict[str, Array] = {}
        self.tokens = tokens
        x: Array = self.values["embedding"][tokens]
        for i in range(self.size.layers):
            x = x + self._attention(i, self._norm(f"{i} norm", x))
            up = self._linear(f"{i} up", self._norm(f"{i} norm 2", x))
            self.kept[f"{i} gelu"] = up
            x = x + self._linear(f"{i} down", self.maths.gelu(up))
        return self._linear("letters", self._norm("norm", x))

    def _attention(self, i: int, x: Array) -> Array:
        batch, tokens, width = x.shape
        heads, features = self.size.heads, width // self.size.heads
        qkv = self._linear(f"{i} qkv", x).reshape(batch, tokens, 3, heads, features)
        self.maths.rotary(qkv[:, :, :2])
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)
        weights: Array = q @ k.swapaxes(-1, -2)
        self.maths.softmax(weights, features**-0.5)
        self.kept[f"{i} q k v"], self.kept[f"{i} weights"] = qkv, weights
        joined = np.empty((batch, tokens, heads, features), np.float32)
        np.matmul(weights, v, out=joined.swapaxes(1, 2))
        return self._linear(f"{i} heads", joined.reshape(x.shape))

    def backward(self, grad: Array) -> None:
        """From the gradient by the logits find those by all parameters."""
        grad = self._norm_backward("norm", self._linear_backward("letters", grad))
        for i in reversed(range(self.size.layers)):
            of_up = self.maths.gelu_backward(self._linear_backward(f"{i} down", grad), self.kept[f"{i} gelu"])
            grad = grad + self._norm_backward(f"{i} norm 2", self._linear_backward(f"{i} up", of_up))
            grad = grad + self._norm_backward(f"{i} norm", self._attention_backward(i, grad))
        rows = grad.reshape(-1, grad.shape[-1])
        count = len(self.values["embedding"])
        self.grads["embedding"][...] = self.maths.embedding_backward(rows, self.tokens.reshape(-1), count)

    def _attention_backward(self, i: int, grad: Array) -> Array:
        qkv, weights = self.kept[f"{i} q k v"], self.kept[f"{i} weights"]
        q, k, v = qkv.transpose(2, 0, 3, 1, 4)
        of_heads = self._linear_backward(f"{i} heads", grad).reshape(qkv.shape[:2] + qkv.shape[3:]).swapaxes(1, 2)
        of_qkv = np.empty_like(qkv)
        of_q, of_k, of_v = of_qkv.transpose(2, 0, 3, 1, 4)
        np.matmul(weights.swapaxes(-1, -2), of_heads, out=of_v)
        of_scores: Array = of_heads @ v.swapaxes(-1, -2)
        self.maths.softmax_backward(of_scores, weights, qkv.shape[-1] ** -0.5)
        np.matmul(of_scores, k, out=of_q)
        np.matmul(of_scores.swapaxes(-1, -2), q, out=of_k)
        self.maths.rotary_backward(of_qkv[:, :, :2])
        return self._linear_backward(f"{i} qkv", of_qkv.reshape(*grad.shape[:-1], -1))

    def loss(self, tokens: Tokens) -> tuple[float, Array]:
        """The mean loss of what follows each but the last token of rows, and its gradient by the logits."""
        logits = self.forward(tokens[:, :-1])
        loss, grad = self.maths.cross_entropy(logits.reshape(-1, logits.shape[-1]), tokens[:, 1:].reshape(-1))
        return loss, grad.reshape(logits.shape)

    def learn(self, tokens: Tokens, rate: float = RATE) -> float:
        """Take one step down the loss of rows of tokens; that loss."""
        loss, grad = self.loss(tokens)
        self.backward(grad)
        self.steps += 1
        self.maths.adam_step(self.vector, self.gradient, self.mean, self.square, self.steps, rate)
        return loss

    def write(self, tokens: Tokens, count: int, rng: np.random.Generator, temperature: float = 0.7) -> Tokens:
        """Go on from some tokens."""
        for _ in range(count):
            logits = self.forward(tokens[None, -self.size.context :])[0, -1]
            p = fa.softmax(logits.astype(np.float64), scale=1 / temperature)
            tokens = np.append(tokens, rng.choice(len(p), p=p))
        return tokens


def rows_of(text: Tokens, size: Size, rng: np.random.Generator) -> Tokens:
    """Draw a batch of pieces of the text, each of a context and what follows it."""
    starts = rng.integers(0, len(text) - size.context, size.batch)
    found: Tokens = text[starts[:, None] + np.arange(size.context + 1)]
    return found


def mean_loss(network: Transformer, text: Tokens, most: int = 8) -> float:
    """The mean loss of some pieces of a text, the same each time."""
    rng = np.random.default_rng(1)
    return statistics.mean(network.loss(rows_of(text, network.size, rng))[0] for _ in range(most))


SHOWN = 10
"""Steps from one change of the progress bar to the next."""


def train(network: Transformer, text: Tokens, steps: int, rng: np.random.Generator) -> list[float]:
    """Learn for some steps at a rate that rises for a tenth of them, and then falls to nothing; the losses."""
    columns = BarColumn(), "step {task.completed}/{task.total}  loss {task.fields[loss]:.3f}", TimeRemainingColumn()
    losses: list[float] = []
    with Progress(*columns, disable=not sys.stdout.isatty()) as progress:
        bar = progress.add_task("", total=steps, loss=math.nan)
        for i in range(steps):
            rate = RATE * min(1, 10 * (i + 1) / steps) * (1 + math.cos(math.pi * i / steps)) / 2
            losses.append(network.learn(rows_of(text, network.size, rng), rate))
            if (i + 1) % SHOWN == 0:
                progress.update(bar, completed=i + 1, loss=statistics.mean(losses[-SHOWN:]))
    return losses


# --- side by side ----------------------------------------------------------------------------------------------------


class Timed:
    """What a class of maths computes, and how many seconds each part takes; gradients count with their functions."""

    def __init__(self, maths: Plain) -> None:
        self._maths, self.seconds = maths, defaultdict[str, float](float)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(self._maths, name)

        def timed(*given: Any) -> Any:
            start = time.perf_counter()
            found = function(*given)
            self.seconds[name.removesuffix("_backward")] += time.perf_counter() - start
            return found

        return timed


def torch_step(network: Transformer) -> Callable[[Tokens], float]:
    """A step of the same network, from the same parameters, as it is written in PyTorch."""
    torch: Any = import_module("torch")
    functional, size = torch.nn.functional, network.size
    values = {name: torch.nn.Parameter(torch.from_numpy(value.copy())) for name, value in network.values.items()}
    adam = torch.optim.Adam(values.values(), lr=RATE, betas=DECAYS, eps=EPSILON, fused=True)
    features = size.width // size.heads
    cos, sin = (torch.from_numpy(np.tile(a, 2)) for a in Plain._angles(size.context, features))

    def norm(name: str, x: Any) -> Any:
        return functional.layer_norm(x, (size.width,), values[f"{name} weight"], values[f"{name} bias"])

    def rotated(x: Any) -> Any:
        a, b = x.chunk(2, -1)
        return x * cos + torch.cat([-b, a], -1) * sin

    def step(rows: Tokens) -> float:
        tokens = torch.from_numpy(rows)
        x = values["embedding"][tokens[:, :-1]]
        for i in range(size.layers):
            qkv = norm(f"{i} norm", x) @ values[f"{i} qkv"]
            q, k, v = qkv.view(*x.shape[:2], 3, size.heads, features).permute(2, 0, 3, 1, 4)
            heads = functional.scaled_dot_product_attention(rotated(q), rotated(k), v, is_causal=True)
            x = x + heads.transpose(1, 2).reshape(x.shape) @ values[f"{i} heads"]
            up = norm(f"{i} norm 2", x) @ values[f"{i} up"]
            x = x + functional.gelu(up, approximate="tanh") @ values[f"{i} down"]
        logits = norm("norm", x) @ values["letters"]
        loss = functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        adam.zero_grad()
        loss.backward()
        adam.step()
        return float(loss.detach())

    return step


def compare(text: Tokens, letters: int, size: Size, seed: int, rounds: int) -> None:
    """Take the same steps in turns, and print what one takes, where the time goes, and how far losses are apart."""
    timed = {"NumPy": Timed(Plain()), "fastact": Timed(Fast())}
    networks = {name: Transformer(letters, size, seed, maths) for name, maths in timed.items()}  # type: ignore[arg-type]
    steps: dict[str, Callable[[Tokens], float]] = {name: partial(n.learn, rate=RATE) for name, n in networks.items()}
    try:
        steps["PyTorch"] = torch_step(networks["NumPy"])
    except ImportError:
        print("PyTorch is not installed.")
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    losses: dict[str, list[float]] = {name: [] for name in steps}
    rng, first = np.random.default_rng(seed), 2
    for turn in range(rounds + first):
        rows = rows_of(text, size, rng)
        if turn == first:  # the first ones are for caches
            for maths in timed.values():
                maths.seconds.clear()
        for name, step in steps.items():
            start = time.perf_counter()
            losses[name].append(step(rows))
            seconds[name].append(time.perf_counter() - start)
    apart = max(abs(a - b) for name in steps for a, b in zip(losses[name], losses["NumPy"], strict=True))
    medians = {name: statistics.median(found[first:]) for name, found in seconds.items()}
    for name, median in medians.items():
        print(f"{name:>8}: {1e3 * median:8.2f} ms a step, {median / medians['fastact']:5.2f} times fastact's")
    print(
        f"Their losses are at most {apart:.1e} apart in {rounds + first} steps, of {losses['NumPy'][-1]:.3f} in the end."
    )
    print(f"\n{'ms a step':>20}{'NumPy':>10}{'':>8}{'fastact':>10}")
    whole = {name: 1e3 * sum(seconds[name][first:]) / rounds for name in timed}
    parts = {name: {k: 1e3 * s / rounds for k, s in maths.seconds.items()} for name, maths in timed.items()}
    for name, found in parts.items():
        found["products, and sums"] = whole[name] - sum(found.values())
    for part in sorted(parts["NumPy"], key=lambda part: -parts["NumPy"][part]):
        shown = [f"{parts[name][part]:10.2f} {100 * parts[name][part] / whole[name]:5.1f} %" for name in timed]
        print(f"{part:>20}{''.join(shown)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status is 1 if nothing was learnt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, help=f"default {WHOLE.steps}, or {QUICK.steps}")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the first parameters, of batches and of what is written"
    )
    parser.add_argument("--plain", action="store_true", help="compute all in NumPy")
    parser.add_argument("--quick", action="store_true", help="a small network and few steps")
    parser.add_argument("--compare", action="store_true", help="time steps in turns with plain NumPy's and PyTorch's")
    options = parser.parse_args(arguments)
    if options.steps is not None and options.steps < 1:
        parser.error(f"--steps must be at least 1, got {options.steps}")

    text, alphabet = load()
    size = QUICK if options.quick else WHOLE
    if options.compare:
        compare(text, len(alphabet), size, options.seed, options.steps or (5 if options.quick else 30))
        return 0
    border = round(len(text) * (1 - HELD_OUT))
    known, held_out = text[:border], text[border:]
    rng, maths = np.random.default_rng(options.seed), Plain() if options.plain else Fast()
    Transformer(len(alphabet), size, options.seed, maths).learn(rows_of(known, size, rng))  # compiles, or loads
    network = Transformer(len(alphabet), size, options.seed, maths)
    before, steps = mean_loss(network, held_out), options.steps or size.steps
    start = time.perf_counter()
    losses = train(network, known, steps, rng)
    seconds = time.perf_counter() - start
    after = mean_loss(network, held_out)
    print(f"{len(text):,} characters of {len(alphabet)} kinds; {network.vector.size:,} parameters.")
    print(f"{steps} steps in {seconds:.1f} s, {1e3 * seconds / steps:.1f} ms each; the last loss is {losses[-1]:.3f}.")
    print(f"Bits per character that was held out: {before / math.log(2):.2f} before, {after / math.log(2):.2f} after.")
    written = network.write(known[: size.context], 60 if options.quick else 400, rng)[size.context :]
    print("It writes:", "".join(alphabet[i] for i in written), sep="\n")
    return int(not after < before)


if __name__ == "__main__":
    sys.exit(main())
