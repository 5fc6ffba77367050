"""Sums of rows by index, of which the gradient of an embedding is one."""

import math
from functools import partial
from typing import Any

import numpy as np

from fastact.calls.checking import at_position, checked_out, integer, sole
from fastact.calls.containers import is_container, is_tensor, refuse_masked, within
from fastact.calls.layout import Layout
from fastact.calls.lazy import in_one_task, refuse_out
from fastact.calls.quiet import quietly
from fastact.calls.row_sums import row_sums
from fastact.calls.widening import taking_bfloat16
from fastact.functions.cross_entropy_requests import as_floats
from fastact.functions.docs import documented
from fastact.functions.record import Function, Operand, Variant, X, register, without_last

MANY_ZEROS = 2**25
"""Bytes from which on glibc takes memory from the system each time, which is zero; of less, that of the last call serves."""


@taking_bfloat16
@documented
def embedding_backward(
    grad: Any, indices: Any, num_embeddings: int, *, padding_index: int | None = None, out: Any = None
) -> Any:
    r"""Gradient of an embedding: the sums of the rows of `grad` by index.

    The embedding is ``weight[indices]``, and this its gradient with respect to ``weight``.

    Parameters
    ----------
    grad : array_like
        The gradient with respect to the rows that were looked up, of the shape of `indices` and one axis more; float16, float32 or
        float64; integers and booleans convert as for ``np.exp(x)``.
    indices : array_like of int
        Which rows of the weight were looked up; any integer dtype. An empty list holds indices.
    num_embeddings : int
        How many rows the weight has.
    padding_index : int, optional
        Rows with this index count nothing; a negative one counts from the end.
    out : ndarray, optional
        Written to and returned.

    Returns
    -------
    ndarray
        Of the shape ``(num_embeddings, grad.shape[-1])`` and the dtype of `grad`. Rows that nothing was looked up of are 0.

    Raises
    ------
    IndexError
        If an index is negative, or not below `num_embeddings`: the first such, its position, and what is allowed. Nothing has been
        written then.
    ValueError
        If a shape, `num_embeddings` or `padding_index` is not allowed.
    TypeError
        If `indices` holds no integers, and for complex, string, object and masked arrays.

    Notes
    -----
    .. math:: \frac{\partial L}{\partial W_{vj}} = \sum_{i : y_i = v} g_{ij}

    Rows are put in the order of their indices by counting, and added up in that order in float64, those of float64 with what each
    addition rounds off. So a row that was looked up a million times is as precise as any other, and results have the same bits on
    any number of threads. Error: at most 1 ULP of the sum of the terms' magnitudes (1 in float64). A boolean mask of `grad` has no
    place here: give what is masked the padding index.

    Examples
    --------
    >>> import numpy as np, fastact as fa
    >>> fa.embedding_backward([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], [2, 0, 2], 4)
    array([[3., 4.],
           [0., 0.],
           [6., 8.],
           [0., 0.]])
    """
    given = {"num_embeddings": num_embeddings, "padding_index": padding_index, "out": out}
    found = _contained(embedding_backward, {"grad": grad, "indices": indices}, given)
    if found is not NotImplemented:
        return found
    rows, places = as_floats("grad", grad), as_indices("indices", indices)
    if rows.ndim == 0 or rows.shape[:-1] != places.shape:
        raise ValueError(f"grad must have the shape {places.shape} of indices and one axis more, got {rows.shape}")
    count = at_least("num_embeddings", num_embeddings, 0)
    padding = None if padding_index is None else _padding(padding_index, count)
    return sums_of(
        rows.reshape(places.size, rows.shape[-1]), "indices", places, count, padding, (count, rows.shape[-1]), out
    )


@taking_bfloat16
@documented
def segment_sum(x: Any, indices: Any, num_segments: int, *, out: Any = None) -> Any:
    r"""Sums of the rows of an array by index, of numbers as of arrays.

    Parameters
    ----------
    x : array_like
        What is added up: of the shape of `indices` and any axes more; float16, float32 or float64; integers and booleans convert as
        for ``np.exp(x)``.
    indices : array_like of int
        Which sum each row belongs to; any integer dtype, in any order. An empty list holds indices.
    num_segments : int
        How many sums there are.
    out : ndarray, optional
        Written to and returned.

    Returns
    -------
    ndarray
        Of the shape ``(num_segments, *x.shape[indices.ndim:])`` and the dtype of `x`. A sum of nothing is 0.

    Raises
    ------
    IndexError
        If an index is negative, or not below `num_segments`: the first such, its position, and what is allowed. Nothing has been
        written then.
    ValueError
        If a shape or `num_segments` is not allowed.
    TypeError
        If `indices` holds no integers, and for complex, string, object and masked arrays.

    See Also
    --------
    embedding_backward : the same of rows, some of which may be padding.

    Notes
    -----
    .. math:: s_{vj} = \sum_{i : y_i = v} x_{ij}

    What ``np.bincount(indices, x)`` is for numbers. Computed as `embedding_backward` is, with the same bits on any number of
    threads. Error: at most 1 ULP of the sum of the terms' magnitudes (1 in float64).

    Examples
    --------
    >>> import numpy as np, fastact as fa
    >>> fa.segment_sum([1.0, 2.0, 4.0], [2, 0, 2], 3)
    array([2., 0., 5.])
    """
    given = {"num_segments": num_segments, "out": out}
    if np.ndim(x) == np.ndim(indices) + 1:
        found = _contained(segment_sum, {"x": x, "indices": indices}, given)
        if found is not NotImplemented:
            return found
    refuse_masked(segment_sum, {"x": x, "indices": indices, "out": out}, "adds up every element")
    terms, places = as_floats("x", x), as_indices("indices", indices)
    if terms.shape[: places.ndim] != places.shape:
        raise ValueError(f"x must have the shape {places.shape} of indices before other axes, got {terms.shape}")
    count, rest = at_least("num_segments", num_segments, 0), terms.shape[places.ndim :]
    rows = terms.reshape(places.size, math.prod(rest))
    return sums_of(rows, "indices", places, count, None, (count, *rest), out)


@documented
def one_hot(indices: Any, num_classes: int, *, dtype: Any = np.float32, out: Any = None) -> Any:
    r"""Ones at indices along a new last axis, and zeros elsewhere.

    Parameters
    ----------
    indices : array_like of int
        Where the ones are; any integer dtype. An empty list holds indices.
    num_classes : int
        The length of the new axis.
    dtype : dtype, default float32
        Of the result: any that holds numbers or booleans.
    out : ndarray, optional
        Written to and returned; of floats, unless `dtype` is its own.

    Returns
    -------
    ndarray
        Of the shape of `indices` and ``(num_classes,)``. No container has a name for the new axis: results in pandas, xarray and
        matrices are arrays.

    Raises
    ------
    IndexError
        If an index is negative, or not below `num_classes`: the first such, its position, and what is allowed. Nothing has been
        written then.
    ValueError
        If `num_classes` is negative, or `out` has another shape.
    TypeError
        If `indices` holds no integers or is masked, and for a `dtype` of no numbers.

    See Also
    --------
    cross_entropy : takes indices as they are, and needs no such array.

    Notes
    -----
    .. math:: y_{ij} = [x_i = j]

    What costs is the zeros, of which large arrays get fresh ones from the system. PyTorch's is of int64; JAX's is all zeros where
    an index is out of range.

    Examples
    --------
    >>> import fastact as fa
    >>> fa.one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    kind = np.dtype(np.float32 if dtype is None else dtype)
    if kind.kind not in "biufc":
        raise TypeError(f"dtype must be of numbers or booleans, got {kind}")
    count = at_least("num_classes", num_classes, 0)
    if is_container(indices) or is_container(out):
        refuse_masked(one_hot, {"indices": indices, "out": out}, "has a one for every index")
        layout = Layout({"indices": "..."}, ("...k",), ("indices" if is_tensor(indices) else "",))
        given = {"num_classes": count, "dtype": kind, "out": out}
        return within(one_hot, layout, {"indices": indices}, given, lazy=_one_hot_blocks)
    places = as_indices("indices", indices)
    shape = (*places.shape, count)
    result = None if out is None else checked_out(sole(out), shape)
    if result is not None and result.dtype != kind and result.dtype.kind != "f":
        raise TypeError(f"out must hold floats, or be of {kind}, got {result.dtype}")
    check_indices("indices", places, count)
    ones = places[..., None].astype(np.intp, copy=result is not None)
    if result is None:
        result = np.zeros(shape, kind)
    else:
        result[...] = 0
    np.put_along_axis(result, ones, 1, -1)
    return result


def _one_hot_blocks(function: Any, layout: Layout, operands: Any, options: Any) -> Any:
    """The result of a dask array, block by block."""
    refuse_out(options)
    x, kind = operands["indices"], options["dtype"]
    as_indices("indices", np.empty(0, x.dtype))
    chunks = (*x.chunks, (options["num_classes"],))
    meta = np.empty((0,) * (x.ndim + 1), kind)
    return x.map_blocks(partial(function, **options), dtype=kind, new_axis=x.ndim, chunks=chunks, meta=meta)


def _contained(function: Any, operands: dict[str, Any], options: dict[str, Any]) -> Any:
    """The result if an operand is a container, else ``NotImplemented``."""
    if not any(map(is_container, (*operands.values(), options["out"]))):
        return NotImplemented
    refuse_masked(function, {**operands, "out": options["out"]}, "adds up every row")
    (rows, x), (places, _) = operands.items()
    layout = Layout({rows: "...d", places: "..."}, ("vd",), (rows,))
    none = {rows: (0, *np.shape(x)[-1:]), places: (0,)}

    def in_a_task(function: Any, _: Any, operands: Any, options: Any) -> Any:
        return in_one_task(function, operands, options, none)

    return within(function, layout, operands, options, lazy=in_a_task)


def as_indices(name: str, indices: Any) -> Any:
    """Integers of any dtype as an array; an empty list is one of them."""
    found = np.asarray(indices)
    if isinstance(indices, list | tuple) and not found.size:
        found = found.astype(np.intp)
    if found.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got {found.dtype}")
    return found


def at_least(name: str, value: Any, least: int) -> int:
    """The argument of that name as an integer that is not less."""
    found = integer(name, value)
    if found < least:
        raise ValueError(f"{name} must be at least {least}, got {found}")
    return found


def _padding(value: Any, count: int) -> int:
    """The padding index, counted from the front."""
    found = integer("padding_index", value, "an integer or None")
    if not -count <= found < count:
        raise ValueError(f"padding_index must be at least {-count} and less than {count}, got {found}")
    return found % count


def check_indices(name: str, indices: Any, count: int, allowed: str = "") -> None:
    """``IndexError`` for the first index that is not from 0 to below ``count``."""
    if indices.size and not (int(indices.min()) >= 0 and int(indices.max()) < count):
        wrong = (indices < 0) | (indices >= count)
        position = tuple(int(i) for i in np.argwhere(wrong)[0])
        allowed = allowed or f"from 0 to {count - 1}" if count else "none, as there are no rows"
        raise IndexError(f"{name} must be {allowed}, got {indices[position]}{at_position(position)}")


def sums_of(x: Any, name: str, indices: Any, count: int, padding: int | None, shape: tuple[int, ...], out: Any) -> Any:
    """The sums of rows by index in a table of ``count`` rows, which has a shape in the end."""
    result = None if out is None else checked_out(sole(out), shape)
    if result is not None and not np.can_cast(x.dtype, result.dtype, "same_kind"):
        raise TypeError(f"out must hold floats, got {result.dtype}")
    check_indices(name, indices, count)
    places = indices.reshape(-1).astype(np.int64, copy=False)
    if padding is not None:
        places = np.where(places == padding, count, places)
    width = x.shape[1]
    direct = result is not None and _takes(result, x)
    fresh = not direct and count * width * x.dtype.itemsize >= MANY_ZEROS
    table: Any = result if direct else (np.zeros if fresh else np.empty)((count, width), x.dtype)
    row_sums(x, places, table.reshape(count, width), zeros=fresh)
    if direct:
        return result
    table = table.reshape(shape)
    if result is None:
        return table
    quietly(np.copyto, result, table, casting="same_kind")
    return result


def _takes(out: Any, x: Any) -> bool:
    """Whether sums can be written where they belong at once."""
    lies = out.dtype == x.dtype and out.dtype.isnative and out.flags.aligned and out.flags.c_contiguous
    return bool(lies and not np.may_share_memory(out, x))


def _reference_of_segments(x: Any, indices: Any, num_segments: int) -> Any:
    table = np.zeros((num_segments, *x.shape[np.ndim(indices) :]))
    np.add.at(table, np.asarray(indices), x)
    return table


def _reference_one_hot(indices: Any, num_classes: int) -> Any:
    return np.eye(num_classes, dtype=np.float32)[np.asarray(indices)]


def _reference(x: Any, indices: Any, num_embeddings: int, padding_index: int | None = None) -> Any:
    table = np.zeros((num_embeddings, x.shape[-1]))
    np.add.at(table, np.asarray(indices), x)
    if padding_index is not None:
        table[padding_index] = 0
    return table


_INDICES = Operand("labels", without_last, below=7)

register(
    Function(
        "embedding_backward",
        make=lambda: embedding_backward,
        operands=[X, _INDICES],
        reference=_reference,
        ulp=1.0,
        double_ulp=1.0,
        home=__name__,
        family="embedding",
        variants=[Variant({"num_embeddings": 7}), Variant({"num_embeddings": 8, "padding_index": 2}, alike=True)],
        masked=False,
    )
)
register(
    Function(
        "segment_sum",
        make=lambda: segment_sum,
        operands=[X, _INDICES],
        reference=_reference_of_segments,
        ulp=1.0,
        double_ulp=1.0,
        home=__name__,
        family="embedding",
        variants=[Variant({"num_segments": 7})],
        masked=False,
    )
)
register(
    Function(
        "one_hot",
        make=lambda: one_hot,
        operands=[_INDICES],
        reference=_reference_one_hot,
        ulp=0.0,
        double_ulp=0.0,
        home=__name__,
        family="embedding",
        variants=[Variant({"num_classes": 7})],
        masked=False,
    )
)
