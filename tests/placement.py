"""Ways in which an array may lie in memory, for hypothesis to draw."""

import numpy as np
from hypothesis import strategies as st


@st.composite
def placements(draw, shape):
    """How an array of a given shape lies in memory."""
    steps = [draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in shape]
    order = draw(st.permutations(range(len(shape))))
    return steps, order, draw(st.sampled_from([0, 0, 1])), draw(st.booleans())


def place(values, steps, order, shift, swapped):
    """A copy of ``values`` with these steps and axes in this order, ``shift`` bytes off its alignment."""
    dtype = values.dtype.newbyteorder() if swapped else values.dtype
    extents = [max(1, n) * abs(step) for n, step in zip(values.shape, steps, strict=True)]
    inner = [extents[axis] for axis in order]
    raw = np.zeros(int(np.prod(inner)) * dtype.itemsize + shift, np.uint8)
    base = (
        raw[shift:].view(dtype).reshape(inner).transpose(np.argsort(order))
        if inner
        else raw[shift:].view(dtype)[0:1].reshape(())
    )
    view = base[(..., *(slice(None, None, step) for step in steps))]
    view = view[(..., *(slice(0, n) for n in values.shape))]
    view[...] = values
    return view


def ways_to_lie(x):
    """The same array, placed in memory in several ways."""
    yield "reversed", np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    yield "in Fortran's order", np.asfortranarray(x)
    yield "strided", np.repeat(x, 2, axis=-1)[..., ::2]
    yield "byte-swapped", x.astype(x.dtype.newbyteorder())
    yield "unaligned", np.frombuffer(b"\0" + x.tobytes(), x.dtype, x.size, 1).reshape(x.shape)
