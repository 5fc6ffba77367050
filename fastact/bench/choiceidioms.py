"""What careful users of NumPy and PyTorch write for sums by index, the best of rows, and draws."""

from typing import Any

import numpy as np

from .rowidiom import Arrays, RowIdiom

Array = Any
K, P = 5, 0.9


def sums_by_index(x: Array, indices: Array, count: int) -> Array:
    found = np.zeros((count, x.shape[-1]), x.dtype)
    np.add.at(found, indices, x)
    return found


def top_k(x: Array, k: int) -> tuple[Array, Array]:
    k = min(k, x.shape[-1])
    found = np.argpartition(x, -k)[..., -k:]
    values = np.take_along_axis(x, found, -1)
    order = np.argsort(-values)
    return np.take_along_axis(values, order, -1), np.take_along_axis(found, order, -1)


def max_with_index(x: Array) -> tuple[Array, Array]:
    index = x.argmax(-1)
    return np.take_along_axis(x, index[..., None], -1)[..., 0], index


def draw(logits: Array, rng: Any) -> Array:
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    sums = np.cumsum(shares, -1)
    drawn = rng.random(len(logits)) * sums[:, -1]
    return np.array([np.searchsorted(row, u, "right") for row, u in zip(sums, drawn, strict=True)])


def nucleus(logits: Array, p: float) -> Array:
    order = np.argsort(-logits, -1)
    shares = np.exp(logits - logits.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    ordered = np.take_along_axis(shares, order, -1)
    kept = np.cumsum(ordered, -1) - ordered < p
    mask = np.empty(logits.shape, bool)
    np.put_along_axis(mask, order, kept, -1)
    return mask


def draw_of_nucleus(logits: Array, rng: Any, p: float) -> Array:
    return draw(np.where(nucleus(logits, p), logits, -np.inf), rng)


def _indices(x: Array, pieces: int) -> Arrays:
    count = max(2, len(x) // 4)
    return {"indices": np.random.default_rng(2).integers(0, count, len(x)), "count": count}


def _few(x: Array, pieces: int) -> Arrays:
    return {"k": min(K, x.shape[-1])}


def _source(x: Array, pieces: int) -> Arrays:
    return {"rng": np.random.default_rng(3)}


_SORTED = "torch.sort(torch.softmax(x, -1), -1, descending=True)"


def one_hot(indices: Array, count: int) -> Array:
    """A row of zeros and a one for each index."""
    table = np.zeros((indices.size, count), np.float32)
    table[np.arange(indices.size), indices] = 1
    return table


def _classes(x: Array, pieces: int) -> Arrays:
    return {"indices": np.random.default_rng(3).integers(0, x.shape[-1], len(x)), "count": x.shape[-1]}


ROWS = {
    "one_hot": RowIdiom(
        "indices, count",
        "choices.one_hot(indices, count)",
        arrays=_classes,
        torch="F.one_hot(indices, count).float()",
        jax="nn.one_hot(indices, x.shape[-1])",
    ),
    "embedding_backward": RowIdiom(
        "x, indices, count",
        "choices.sums_by_index(x, indices, count)",
        arrays=_indices,
        torch="aten.embedding_dense_backward(x, indices, count, -1, False)",
    ),
    "segment_sum": RowIdiom(
        "x, indices, count",
        "choices.sums_by_index(x, indices, count)",
        arrays=_indices,
        torch="torch.zeros((count, x.shape[-1]), dtype=x.dtype).index_add_(0, indices, x)",
    ),
    "top_k": RowIdiom("x, k", "choices.top_k(x, k)", arrays=_few, torch="torch.topk(x, k)"),
    "max_with_index": RowIdiom("x", "choices.max_with_index(x)", torch="torch.max(x, -1)"),
    "sample_categorical": RowIdiom(
        "x, rng",
        "choices.draw(x, rng)",
        arrays=_source,
        random=True,
        torch="torch.multinomial(torch.softmax(x, -1), 1)",
    ),
    "top_k_top_p_mask": RowIdiom(
        f"x, p={P}",
        f"choices.nucleus(x, {P})",
        torch=f"(lambda s: torch.zeros(x.shape, dtype=torch.bool).scatter_(-1, s[1], s[0].cumsum(-1) - s[0] < {P}))({_SORTED})",
    ),
    "sample_top_p": RowIdiom(
        f"x, rng, p={P}",
        f"choices.draw_of_nucleus(x, rng, {P})",
        arrays=_source,
        random=True,
        torch=f"(lambda s: s[1].gather(-1, torch.multinomial(s[0] * (s[0].cumsum(-1) - s[0] < {P}), 1)))({_SORTED})",
    ),
}
"""By public function."""
