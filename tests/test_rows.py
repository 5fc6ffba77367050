"""Functions over an axis: the same bits in any layout, for every length, at every alignment, over their own input."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.calls import ROW_CALLS
from tests.placement import place, placements
from tests.rowdtypes import in_dtypes

MARGIN = 7.0
LENGTHS = [1, 2, 3, 10, 15, 16, 17, 31, 32, 64, 65, 130, 1025]


in_their_dtypes = pytest.mark.parametrize(
    ("name", "dtype"), [(name, dtype) for name, call in ROW_CALLS.items() if call.written for dtype in in_dtypes(name)]
)


def of_contiguous_rows(call, operands, axis, options):
    """The results of contiguous arrays whose rows lie along their last axis, moved back to where they belong."""
    ndim = operands[0].ndim
    rows = [np.ascontiguousarray(np.moveaxis(o, axis, -1)) if o.ndim == ndim else o for o in operands]
    results = call(rows, -1, options)
    return tuple(np.moveaxis(r, -1, axis) if np.ndim(r) == ndim else np.asarray(r) for r in results)


@pytest.mark.parametrize("name", ROW_CALLS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_same_bits_in_any_layout(data, name, same_bits):
    call = ROW_CALLS[name]
    dtype = data.draw(st.sampled_from(in_dtypes(name)), label="dtype")
    others = data.draw(st.lists(st.integers(0, 20), max_size=3), label="other lengths")
    axis = data.draw(st.integers(0, len(others)), label="axis")
    shape = (*others[:axis], data.draw(st.sampled_from(LENGTHS), label="length"), *others[axis:])
    contiguous, options = call.arguments(np.random.default_rng(data.draw(st.integers(0, 9))), shape, axis, dtype)
    expected = of_contiguous_rows(call, contiguous, axis, options)

    def placed(array, label):
        return place(array, *data.draw(placements(array.shape), label=label))

    operands = [placed(o, f"operand {i}") for i, o in enumerate(contiguous)]
    outs = ()
    if call.written and data.draw(st.booleans(), label="out="):
        outs = tuple(placed(np.full_like(expected[i], MARGIN), f"out {i}") for i in call.written)
    got = call(operands, data.draw(st.sampled_from([axis, axis - len(shape)]), label="axis as given"), options, outs)
    native = tuple(np.asarray(g).astype(e.dtype) for g, e in zip(got, expected, strict=True))
    same_bits(native, expected, "a layout changes the result")


def shifted(array, elements):
    """A contiguous copy that begins so many elements after a cache line."""
    raw = np.zeros(array.nbytes + 128 + elements * array.itemsize, np.uint8)
    start = -raw.ctypes.data % 64 + elements * array.itemsize
    copy = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@in_their_dtypes
def test_every_short_length_at_every_alignment(name, dtype, same_bits):
    call, rng = ROW_CALLS[name], np.random.default_rng(0)
    for length in range(1, 70):
        operands, options = call.arguments(rng, (3, length), 1, dtype)
        apart = [np.repeat(o, 2, -1)[..., ::2] if o.ndim == 2 else o for o in operands]
        expected = call(apart, 1, options)
        for elements in range((length + length // 16) % 4, 16, 4):  # with any length every fourth, each in turn
            outs = tuple(shifted(np.full_like(expected[i], MARGIN), elements) for i in call.written)
            got = call([shifted(o, elements) for o in operands], 1, options, outs)
            same_bits(got, expected, f"{length} elements")
        one, own = call.of_rows(operands, options, slice(1))
        first = call(one, 1, own)
        same_bits(first, tuple(e[:1] for e in expected), f"one row of {length} elements")


@in_their_dtypes
def test_many_short_rows_are_what_a_few_are(name, dtype, same_bits):
    """Few rows are computed one by one, more are transposed: in squares of several sides, in blocks that they rarely fill."""
    call, rng = ROW_CALLS[name], np.random.default_rng(0)
    for length in (*range(1, 36), 47, 63, 64, 65, 66, 100, 127, 128, 129):
        count = (8, 31, 32, 33, 45, 131, 260)[length % 7]
        operands, options = call.arguments(rng, (count, length), 1, dtype)
        parts = [call.of_rows(operands, options, slice(k, k + 7)) for k in range(0, count, 7)]
        few = [call(some, 1, own) for some, own in parts]
        expected = tuple(np.concatenate(parts) for parts in zip(*few, strict=True))
        same_bits(call(operands, 1, options), expected, f"{count} rows of {length} elements")
        side_by_side = [np.asfortranarray(o) for o in operands]
        same_bits(call(side_by_side, 1, options), expected, f"{count} rows of {length} elements side by side")


@pytest.mark.parametrize("name", [name for name, call in ROW_CALLS.items() if len(call.written) == 1])
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_an_output_that_overlaps_an_input(data, name, same_bits):
    call = ROW_CALLS[name]
    shape = data.draw(st.tuples(st.integers(1, 12), st.sampled_from(LENGTHS[:-2])), label="shape")
    axis = data.draw(st.integers(0, 1), label="axis")
    own, options = call.arguments(np.random.default_rng(0), shape, axis, "float32")
    results = call(own, axis, options)
    expected = results[call.written[0]]
    buffer = np.zeros(2 * max(a.size for a in (*own, expected)) + 2, np.float32)

    def view(like, label):
        start = data.draw(st.integers(0, buffer.size - like.size), label=f"start of {label}")
        piece = buffer[start : start + like.size]
        if data.draw(st.booleans(), label=f"{label} backwards"):
            piece = piece[::-1]
        return piece.reshape(like.shape, order=data.draw(st.sampled_from("CF"), label=f"order of {label}"))

    floats = [i for i, o in enumerate(own) if o.dtype == buffer.dtype]
    overlapping = data.draw(st.sampled_from(floats), label="operand")
    operands = list(own)
    operands[overlapping] = view(own[overlapping], "operand")
    operands[overlapping][...] = own[overlapping]
    out = view(expected, "out")
    call(operands, axis, options, (out,))
    same_bits(out.copy(), expected, "the output overlaps an input")
