"""Any array that NumPy can make of the same values gives the same bits."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.placement import place, placements

MARGIN = 7.0


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_same_bits_as_a_contiguous_copy(data, representatives, same_bits):
    case = data.draw(st.sampled_from(representatives), label="case")
    dtype = data.draw(st.sampled_from(["float16", "float32", "float64"]), label="dtype")
    shape = tuple(data.draw(st.lists(st.integers(0, 40), max_size=3), label="shape"))
    contiguous = case.operands(shape, dtype, seed=data.draw(st.integers(0, 9)))
    operands = [place(o, *data.draw(placements(shape), label=f"operand {i}")) for i, o in enumerate(contiguous)]
    for i in range(len(shape)):
        if shape[i] and data.draw(st.integers(0, 4)) == 0:  # one operand is broadcast along this axis
            j = data.draw(st.integers(0, len(operands) - 1))
            operands[j] = np.broadcast_to(np.take(operands[j], [0], axis=i), shape)
            contiguous[j] = operands[j].astype(dtype)
    full = case.ufunc(*contiguous)
    expected = [np.asarray(r) for r in (full if isinstance(full, tuple) else (full,))]
    arguments = {}
    if data.draw(st.booleans(), label="out="):
        empty = np.full(shape, MARGIN, dtype)
        arguments["out"] = tuple(place(empty, *data.draw(placements(shape))) for _ in expected)
        if data.draw(st.booleans(), label="where="):
            mask = np.random.default_rng(data.draw(st.integers(0, 9))).random(shape) < 0.5
            arguments["where"] = mask
            expected = [np.where(mask, e, np.asarray(MARGIN, dtype)) for e in expected]
    if data.draw(st.booleans(), label="order="):
        arguments["order"] = data.draw(st.sampled_from("CFAK"))
    got = case.ufunc(*operands, **arguments)
    got = got if isinstance(got, tuple) else (got,)
    same_bits(tuple(np.asarray(g).astype(dtype) for g in got), tuple(expected), "a layout changes the result")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_overlapping_views_of_one_buffer(data, representatives, same_bits):
    case = data.draw(st.sampled_from(representatives), label="case")
    dtype = data.draw(st.sampled_from(["float16", "float32", "float64"]), label="dtype")
    size = data.draw(st.integers(1, 200), label="size")
    buffer = np.random.default_rng(0).normal(size=3 * size + 3).astype(dtype)

    def view(label):
        step = data.draw(st.sampled_from([1, 1, 2, 3, -1, -2, -3]), label=f"step of {label}")
        room = buffer.size - (size - 1) * abs(step) - 1
        start = data.draw(st.integers(0, room), label=f"start of {label}")
        piece = buffer[start : start + (size - 1) * abs(step) + 1 : abs(step)]
        return piece[::-1] if step < 0 else piece

    operands = [view(f"operand {i}") for i in range(case.ufunc.nin)]
    out = view("out")
    full = case.ufunc(*(o.copy() for o in operands))
    case.ufunc(*operands, out=(out, *(np.empty(size, dtype),) * (case.ufunc.nout - 1)))
    same_bits(out.copy(), full[0] if isinstance(full, tuple) else full, "the output overlaps an input")
