"""The functions over rows, Maxout, glu and cross-entropy: their cases, their arguments, and what the peers write.

A function that nobody has written statements for is called as its record in the table says, and compared with its reference.
In a statement ``{axis}`` and ``{pieces}`` stand for the case's setting; the names are those of ``idioms``, and for the functions
of other modules those of ``NAMESPACES``. A case's ``size`` is that of an array with rows of at most
1000 elements; its ``shape`` says which, and for the linear layer it is rows, width and classes.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from importlib import import_module
from typing import Any

import numpy as np

from . import (
    biasidioms,
    channelidioms,
    choiceidioms,
    curvatureidioms,
    dropoutidioms,
    ganidioms,
    labelledidioms,
    lossidioms,
    lovaszidioms,
    normidioms,
    outputidioms,
    peers,
    regionidioms,
    rowidioms,
    stepidioms,
)
from .case import Case, Contender
from .idioms import fresh
from .rowidiom import Arrays, RowIdiom, labels

ROW = 1000
"""Elements of a row, in an array that has so many."""
PIECES = 2
"""Of a group of Maxout, unless the case says otherwise."""
READING_FROM = 10_000_000
"""From so many logits on, PyTorch's sum of them runs along with cross-entropy: it does nothing but read them."""
LINEAR_UP_TO = 1_000_000
"""A larger linear layer is a benchmark of the matrix product, and takes minutes."""


def _probabilities(x: Any, pieces: int) -> Arrays:
    return {"grad": x[::-1].copy(), "y": rowidioms.softmax(x)}


def _logarithms(x: Any, pieces: int) -> Arrays:
    return {"grad": x[::-1].copy(), "y": rowidioms.log_softmax(x)}


def _groups(x: Any, pieces: int) -> Arrays:
    grad, which = x[..., : x.shape[-1] // pieces].copy(), rowidioms.maxout_with_index(x, pieces)[1]
    return {"grad": grad, "which": which.astype(np.int32), "index": which[..., None]}


def _half(x: Any, pieces: int) -> Arrays:
    return {"grad": x[..., : x.shape[-1] // 2].copy()}


LOSS = "(nn.logsumexp(x, -1) - jnp.take_along_axis(x, target[:, None], -1)[:, 0]).mean()"
LINEAR_LOSS = f"(lambda x: {LOSS})(hidden @ weight.T)"
LIKE_X = "np.zeros_like(x)"
GROUPED = "x.reshape(*x.shape[:-1], -1, {pieces})"

LOSSES = {
    **lossidioms.LOSSES,
    **curvatureidioms.LOSSES,
    **labelledidioms.LOSSES,
    **regionidioms.LOSSES,
    **lovaszidioms.LOSSES,
    **ganidioms.LOSSES,
    **stepidioms.OVER_ALL,
}
"""Losses and penalties, by public function: of these each number depends on all elements."""

OVER_ALL = {**LOSSES, **normidioms.NORMS, **channelidioms.ROWS, **choiceidioms.ROWS, **biasidioms.ROWS}
"""All functions whose results, or some of them, depend on all elements."""

ROWS = {
    "softmax": RowIdiom(
        "x",
        "rows.softmax(x, {axis}, out=out)",
        LIKE_X,
        scipy="special.softmax(x, {axis})",
        torch="torch.softmax(x, {axis}, out=out)",
        jax="nn.softmax(x, {axis})",
        onnx="Softmax",
        onnx_attributes={"axis": "{axis}"},
    ),
    "softmin": RowIdiom(
        "x",
        "rows.softmin(x, {axis}, out=out)",
        LIKE_X,
        torch="F.softmin(x, {axis})",
        jax="nn.softmax(-x, {axis})",
    ),
    "log_softmax": RowIdiom(
        "x",
        "rows.log_softmax(x, {axis}, out=out)",
        LIKE_X,
        scipy="special.log_softmax(x, {axis})",
        torch="torch.log_softmax(x, {axis}, out=out)",
        jax="nn.log_softmax(x, {axis})",
        onnx="LogSoftmax",
        onnx_attributes={"axis": "{axis}"},
    ),
    "logsumexp": RowIdiom(
        "x",
        "rows.logsumexp(x, {axis}, out=out)",
        "x.max({axis})",
        scipy="special.logsumexp(x, {axis})",
        torch="torch.logsumexp(x, {axis}, out=out)",
        jax="nn.logsumexp(x, {axis})",
    ),
    "softmax_backward": RowIdiom(
        "grad, y",
        "rows.softmax_backward(grad, y, {axis}, out=out)",
        LIKE_X,
        _probabilities,
        torch="aten._softmax_backward_data.out(grad, y, {axis}, x.dtype, grad_input=out)",
        jax="y * (grad - (grad * y).sum({axis}, keepdims=True))",
    ),
    "log_softmax_backward": RowIdiom(
        "grad, y",
        "rows.log_softmax_backward(grad, y, {axis}, out=out)",
        LIKE_X,
        _logarithms,
        torch="aten._log_softmax_backward_data.out(grad, y, {axis}, x.dtype, out=out)",
        jax="grad - jnp.exp(y) * grad.sum({axis}, keepdims=True)",
    ),
    "cross_entropy": RowIdiom(
        "x, target",
        "rows.cross_entropy(x, target)",
        arrays=labels,
        torch="F.cross_entropy(x, target)",
        jax=LOSS,
        onnx="SoftmaxCrossEntropyLoss",
    ),
    "cross_entropy_with_grad": RowIdiom(
        "x, target",
        "rows.cross_entropy_with_grad(x, target, out=out)",
        LIKE_X,
        labels,
        torch="rows.torch_loss_and_gradient(torch, x, target)",
        jax=f"jax.value_and_grad(lambda x: {LOSS})(x)",
    ),
    "linear_cross_entropy": RowIdiom(
        "hidden, weight, target",
        "rows.linear_cross_entropy(hidden, weight, target)",
        torch="F.cross_entropy(F.linear(hidden, weight), target)",
        jax=LINEAR_LOSS,
    ),
    "linear_cross_entropy_with_grad": RowIdiom(
        "hidden, weight, target",
        "rows.linear_cross_entropy_with_grad(hidden, weight, target)",
        torch="rows.torch_linear_loss_and_gradients(torch, hidden, weight, target)",
        jax=f"jax.value_and_grad(lambda hidden, weight: {LINEAR_LOSS}, (0, 1))(hidden, weight)",
    ),
    "maxout": RowIdiom(
        "x",
        "rows.maxout(x, {pieces}, out=out)",
        "x[..., ::{pieces}].copy()",
        torch=f"torch.amax({GROUPED}, -1, out=out)",
        jax=f"{GROUPED}.max(-1)",
    ),
    "maxout_with_index": RowIdiom(
        "x",
        "rows.maxout_with_index(x, {pieces})",
        torch=f"torch.max({GROUPED}, -1)",
        jax=f"(lambda groups: (groups.max(-1), groups.argmax(-1)))({GROUPED})",
    ),
    "maxout_backward": RowIdiom(
        "grad, which",
        "rows.maxout_backward(grad, which, {pieces}, out=out)",
        LIKE_X,
        _groups,
        torch="torch.zeros((*grad.shape, {pieces}), dtype=x.dtype).scatter_(-1, index, grad[..., None]).reshape(x.shape)",
        jax="jnp.where(index == jnp.arange({pieces}), grad[..., None], 0).reshape(*grad.shape[:-1], -1)",
    ),
    "glu": RowIdiom(
        "x",
        "rows.glu(x, out=out)",
        "x[..., ::2].copy()",
        torch="nn.glu(x, -1, out=out)",
        jax="nn.glu(x)",
    ),
    "glu_backward": RowIdiom(
        "grad, x",
        "rows.glu_backward(grad, x, out=out)",
        LIKE_X,
        _half,
        torch="aten.glu_backward.grad_input(grad, x, -1, grad_input=out)",
        jax="jax.vjp(nn.glu, x)[1](grad)[0]",
    ),
    **labelledidioms.ENTROPIES,
    **dropoutidioms.ROWS,
    **outputidioms.ROWS,
    **OVER_ALL,
    **stepidioms.STEPS,
}
"""By public function."""

NAMESPACES = {
    "np": np,
    "rows": rowidioms,
    "losses": lossidioms,
    "curved": curvatureidioms,
    "labelled": labelledidioms,
    "regions": regionidioms,
    "lovasz": lovaszidioms,
    "gans": ganidioms,
    "drops": dropoutidioms,
    "norms": normidioms,
    "biased": biasidioms,
    "steps": stepidioms,
    "channels": channelidioms,
    "choices": choiceidioms,
}

AS_RECORDED = RowIdiom("*operands, **options", "reference(*operands, **options)")
"""Of a function that has no statements of its own. The reference may compute in float64, which flatters fastact."""


def others() -> dict[str, Any]:
    """The records of the table's functions without statements; none if the installed fastact has no table of such functions."""
    try:
        from fastact import table

        return {name: record for name, record in table.functions().items() if not record.op and name not in ROWS}
    except (ImportError, AttributeError):
        return {}


def idiom_of(name: str) -> RowIdiom | None:
    """How a function is called; ``None`` if there is no such function over rows."""
    return ROWS.get(name) or (AS_RECORDED if name in others() else None)


def op_names() -> list[str]:
    """The ops that the functions belong to."""
    return list(dict.fromkeys(name.removesuffix("_backward") for name in (*ROWS, *others())))


def cases(op: str, direction: str, dtype: str, size: int, variant: str, by_default: bool) -> Iterator[Case]:
    """The case of an op for arrays of a size, if there is one; not if it takes minutes, unless it was asked for."""
    linear, paired = op.startswith("linear_"), op.startswith(("maxout", "glu"))
    row = max(2, min(size, ROW) // 2 * 2) if paired else min(size, ROW)
    shape = (max(1, size // row), row) + (row,) * linear
    case = Case(op, direction, dtype, size, variant, shape, f"num_pieces={PIECES}" if op.startswith("maxout") else "")
    idiom = idiom_of(case.name)
    known = idiom is not None and variant in (("out", "fresh") if idiom.out else ("fresh",))
    if known and not (linear and by_default and size > LINEAR_UP_TO):
        yield case


def has(peer: str, case: Case) -> bool:
    """Whether a peer, installed or not, has the function."""
    return _idiom(case).statement(peer) != ""


def _idiom(case: Case) -> RowIdiom:
    return ROWS.get(case.name, AS_RECORDED)


def contenders(case: Case, names_of_peers: Sequence[str]) -> dict[str, Contender]:
    """Who takes part in a case, by name; see ``cases.contenders``."""
    import fastact

    idiom, setting = _idiom(case), setting_of(case)
    names = arrays_of(case)
    if case.variant == "out":
        names["out"] = eval(idiom.out.format(**setting), {"np": np, **names})
    call = ", ".join(filter(None, (idiom.arguments, case.setting, "out=out")))
    found = {"fastact": _contender(case, f"f({call})", names | {"f": getattr(fastact, case.name)})}
    for peer in names_of_peers:
        if contender := _peer(peer, case, names):
            found[peer] = contender
    if "numpy" in names_of_peers and idiom.scipy:
        found["scipy"] = _contender(case, idiom.scipy, names | {"special": peers.module("scipy.special")})
    if "torch" in found and case.op == "cross_entropy" and case.size >= READING_FROM:
        found["reading"] = Contender("x.sum()", found["torch"].names)
    return found


def numpy_contender(case: Case, names: Arrays) -> Contender:
    """NumPy's contender; without an ``out`` among the names it returns a fresh array."""
    return _contender(case, _idiom(case).numpy, names | NAMESPACES)


def _peer(peer: str, case: Case, names: Arrays) -> Contender | None:
    """A peer's contender; ``None`` where it has no such function or is not installed."""
    if not has(peer, case):
        return None
    idiom, setting = _idiom(case), setting_of(case)
    if peer == "numpy":
        return numpy_contender(case, names)
    if peer == "torch":
        return _torch(case, names)
    if peer == "jax":
        return peers.jax_contender(idiom.jax.format(**setting), names)
    attributes = {name: int(value.format(**setting)) for name, value in idiom.onnx_attributes.items()}
    inputs = {name: names[name] for name in idiom.arguments.split(", ")}
    return peers.onnx_contender(idiom.onnx, attributes, inputs, names.get("out"))


def _torch(case: Case, names: Arrays) -> Contender | None:
    """PyTorch's contender; what autograd is to differentiate must not be made in inference mode."""
    torch = peers.module("torch")
    if torch is None:
        return None
    with torch.inference_mode("with_grad" not in case.op):
        given = peers.torch_names(names)
    if case.op == "linear_cross_entropy_with_grad":
        given |= {"hidden": names["hidden"], "weight": names["weight"]}
    return _contender(case, ROWS[case.name].torch, given | NAMESPACES)


def _contender(case: Case, statement: str, names: Arrays) -> Contender:
    statement, idiom = statement.format(**setting_of(case)), _idiom(case)
    own = {name: deepcopy(names[name]) for name in idiom.changed.split()}
    return Contender(statement if "out" in names else fresh(statement), names | own, idiom.prepare)


def setting_of(case: Case) -> dict[str, int]:
    """The numbers that stand in a case's statements."""
    name, _, value = case.setting.partition("=")
    return {"axis": int(value) if name == "axis" else -1, "pieces": int(value) if name == "num_pieces" else PIECES}


def arrays_of(case: Case) -> Arrays:
    """The arguments of a case by name."""
    rng = np.random.default_rng(1)
    if case.name not in ROWS:
        record = others()[case.name]
        fill = import_module("fastact.functions.record").drawn(rng, scale=1.0)
        operands, options = record.arguments(record.variants[0], fill, case.shape, np.dtype(case.dtype))
        return {"x": operands[0], "operands": operands, "options": options, "reference": record.reference}
    if case.op.startswith("linear_"):
        rows, width, classes = case.shape
        hidden = rng.standard_normal((rows, width), dtype=np.float32)
        weight = rng.random((classes, width), dtype=np.float32) - np.float32(0.5)  # as PyTorch's layers keep it
        arrays = {"hidden": hidden.astype(case.dtype), "weight": weight.astype(case.dtype)}
        return {**arrays, "target": rng.integers(0, classes, rows)}
    x = rng.standard_normal(case.shape, dtype=np.float32).astype(case.dtype, copy=False)
    return {"x": x, **ROWS[case.name].arrays(x, setting_of(case)["pieces"])}
