"""The same bits for every layout, overlap, mask, output and number of threads."""

import numpy as np
import pytest

import fastact as fa
from tests.conftest import CASES

SHORT = [*range(130), 255, 256, 257, 1023, 1024, 1025, 2500]
THREADED = 300_007
"""Elements that are worth threads for every op and dtype; odd, so that no chunk is whole."""


def strided(a, step):
    wide = np.zeros(a.size * abs(step), a.dtype)
    view = wide[::step][: a.size]
    view[...] = a.reshape(-1)
    return view


def misaligned(a):
    raw = np.empty(a.nbytes + 1, np.uint8)
    view = raw[1:].view(a.dtype)
    view[...] = a.reshape(-1)
    return view


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


def square(a):
    """The first elements as a rectangle of 3 rows."""
    return a[: a.size // 3 * 3].reshape(3, -1)


def padded(a):
    wide = np.zeros((*a.shape[:-1], a.shape[-1] + 3), a.dtype)
    wide[..., :-3] = a
    return wide[..., :-3]


# What an array becomes: equal values, laid out differently, seen in the same order.
LAYOUTS = {
    "every second": lambda a: strided(a, 2),
    "every third": lambda a: strided(a, 3),
    "reversed": lambda a: strided(a, -1),
    "every second, reversed": lambda a: strided(a, -2),
    "misaligned": misaligned,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder()),
    "read-only": read_only,
    "Fortran order": lambda a: np.asfortranarray(square(a)),
    "transposed": lambda a: np.ascontiguousarray(square(a).T).T,
    "reversed rows": lambda a: square(a)[::-1, ::-1].copy()[::-1, ::-1],
    "padded rows": lambda a: padded(square(a)),
    "three axes, permuted": lambda a: (
        a[: a.size // 12 * 12].reshape(2, 6, -1).transpose(2, 0, 1).copy().transpose(1, 2, 0)
    ),
}
MAIN_LAYOUTS = ["every second", "every second, reversed", "misaligned", "byte-swapped", "Fortran order"]


def check_layout(case, dtype, layout, same_bits):
    for size in (0, 1, 12, 77, 2500):
        operands = case.operands(size, dtype)
        different = [LAYOUTS[layout](o) for o in operands]
        flat = [np.ascontiguousarray(o).reshape(-1).astype(dtype) for o in different]
        shape = different[0].shape
        expected = case.ufunc(*flat)
        expected = expected if isinstance(expected, tuple) else (expected,)
        expected = tuple(e.reshape(shape) for e in expected)
        same_bits(case.ufunc(*different), expected, f"all operands {layout}, {size} elements")
        for i in range(len(operands)):
            one = [o.reshape(shape) if j != i else different[i] for j, o in enumerate(flat)]
            same_bits(case.ufunc(*one), expected, f"operand {i} {layout}, {size} elements")
        outs = tuple(LAYOUTS[layout](np.zeros_like(o)) for o in operands[:1] * case.ufunc.nout)
        if all(out.flags.writeable for out in outs):
            case.ufunc(*[o.reshape(shape) for o in flat], out=outs)
            swapped = tuple(np.asarray(out).astype(dtype) for out in outs)
            same_bits(swapped, expected, f"out= {layout}, {size} elements")


@pytest.mark.parametrize(
    ("case", "layout"), [(case, MAIN_LAYOUTS[i % len(MAIN_LAYOUTS)]) for i, case in enumerate(CASES)], ids=str
)
def test_main_layouts(case, layout, same_bits):
    """Each function in one: how operands are walked does not depend on the formula, as their number does."""
    check_layout(case, "float32", layout, same_bits)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_all_layouts(layout, dtype, representatives, same_bits):
    for case in representatives:
        check_layout(case, dtype, layout, same_bits)


def test_a_result_depends_on_nothing_but_its_element(case, dtype, same_bits):
    operands = case.operands(max(SHORT), dtype)
    whole = case.ufunc(*operands)
    for size in SHORT:
        for start in (0, 1, 7):
            part = slice(start, min(start + size, max(SHORT)))
            expected = tuple(r[part] for r in whole) if isinstance(whole, tuple) else whole[part]
            same_bits(case.ufunc(*(o[part] for o in operands)), expected, f"{size} elements from {start} on")


def test_broadcast_operands(case, dtype, same_bits):
    for size in (1, 5, 300, 2500):
        operands = case.operands(size, dtype)
        for i in range(len(operands) if len(operands) > 1 else 0):
            held = [*operands[:i], operands[i][:1], *operands[i + 1 :]]
            full = [np.broadcast_to(o, size).copy() for o in held]
            same_bits(case.ufunc(*held), case.ufunc(*full), f"operand {i} broadcast over {size}")
            held[i] = held[i].reshape(())
            same_bits(np.atleast_1d(case.ufunc(*held)), np.atleast_1d(case.ufunc(*full)), f"operand {i} 0-d")
    rows, columns = case.operands((7, 1), dtype), case.operands((1, 40), dtype, seed=1)
    mixed = [rows[i] if i % 2 else columns[i] for i in range(len(rows))]
    full = [np.broadcast_to(o, np.broadcast_shapes(*(m.shape for m in mixed))).copy() for o in mixed]
    same_bits(case.ufunc(*mixed), case.ufunc(*full), "rows against columns")
    if case.backward:
        grad, x, *parameters = full[0], *full[1:]
        same_bits(
            case.ufunc(grad[:1, :1], x, *parameters), case.ufunc(np.broadcast_to(grad[:1, :1], x.shape), x, *parameters)
        )


def test_scalars_0d_and_empty(case, dtype, same_bits):
    operands = case.operands((1,), dtype)
    expected = case.ufunc(*operands)
    expected = tuple(e[0] for e in expected) if isinstance(expected, tuple) else expected[0]
    same_bits(case.ufunc(*(o[0] for o in operands)), expected)
    same_bits(case.ufunc(*(o.reshape(()) for o in operands)), expected)
    for shape in ((0,), (3, 0), (0, 4, 0)):
        got = case.ufunc(*case.operands(shape, dtype))
        for result in got if isinstance(got, tuple) else (got,):
            assert result.shape == shape
            assert result.dtype == np.dtype(dtype)


def test_overlapping_input_and_output_at_all_offsets(representatives, dtype, same_bits):
    for case in representatives:
        for size in (9, 70, 1500):
            operands = case.operands(size, dtype)
            expected = np.asarray(case.ufunc(*operands)).reshape(-1, size)[0]
            for place in range(1 + case.backward):
                for offset in {*range(-9, 10), -65, 65, size // 2, -size // 2}:
                    buffer = np.zeros(size + 2 * abs(offset), dtype)
                    source = buffer[abs(offset) :][:size]
                    source[...] = operands[place]
                    target = buffer[abs(offset) + offset :][:size]
                    given = [*operands[:place], source, *operands[place + 1 :]]
                    case.ufunc(*given, out=(target, *(np.empty_like(target),) * (case.ufunc.nout - 1)))
                    same_bits(target, expected, f"{case.name}: out is operand {place} moved by {offset} of {size}")


def test_overlap_with_other_strides(case, same_bits):
    size = 200
    operands = case.operands(size, "float32")
    expected = np.asarray(case.ufunc(*operands)).reshape(-1, size)[0]
    rest = operands[1:]
    views = {
        "reversed": lambda b: (b[:size], b[:size][::-1]),
        "every second": lambda b: (b[:size], b[::2]),
        "from every second": lambda b: (b[::2], b[:size]),
        "interleaved": lambda b: (b[::2], b[1::2]),
    }
    for name, split in views.items():
        source, target = split(np.zeros(2 * size, "float32"))
        source[...] = operands[0]
        case.ufunc(source, *rest, out=(target, *(np.empty(size, "float32"),) * (case.ufunc.nout - 1)))
        same_bits(target.copy(), expected, name)


def test_in_place(case, dtype, same_bits):
    for size in (1, 40, 1500):
        for place in range(case.ufunc.nin):
            operands = case.operands(size, dtype)
            expected = np.asarray(case.ufunc(*operands)).reshape(-1, size)[0]
            spare = (np.empty(size, dtype),) * (case.ufunc.nout - 1)
            got = case.ufunc(*operands, out=(operands[place], *spare))
            assert (got[0] if spare else got) is operands[place]
            same_bits(operands[place], expected, f"in place of operand {place}, {size} elements")


def test_where_writes_only_where_true(case, dtype, same_bits):
    size = 500
    operands = case.operands(size, dtype)
    expected = np.asarray(case.ufunc(*operands)).reshape(-1, size)
    masks = [
        np.random.default_rng(5).random(size) < 0.5,
        np.arange(size) % 2 == 0,
        np.zeros(size, bool),
        np.ones(size, bool),
    ]
    for mask in masks:
        outs = tuple(np.full(size, 7, dtype) for _ in expected)
        case.ufunc(*operands, out=outs, where=mask)
        for out, e in zip(outs, expected, strict=True):
            same_bits(out, np.where(mask, e, np.asarray(7, dtype)))


def test_out_and_dtype_of_another_kind(case, same_bits):
    operands = case.operands(300, "float32")
    narrow = case.ufunc(*operands)
    results = narrow if isinstance(narrow, tuple) else (narrow,)
    wide_out = tuple(np.empty(300, np.float64) for _ in results)
    case.ufunc(*operands, out=wide_out)
    same_bits(wide_out, tuple(r.astype(np.float64) for r in results), "a float64 out is the float32 result, converted")
    wide = case.ufunc(*(o.astype(np.float64) for o in operands))
    same_bits(case.ufunc(*operands, dtype=np.float64), wide)
    narrow_out = tuple(np.empty(300, np.float32) for _ in results)
    with np.errstate(all="ignore"):
        case.ufunc(*(o.astype(np.float64) for o in operands), out=narrow_out)
        wide = wide if isinstance(wide, tuple) else (wide,)
        same_bits(narrow_out, tuple(w.astype(np.float32) for w in wide))


def test_out_that_does_not_fit_is_an_error_and_not_written(case):
    operands = case.operands(6, "float32")
    for out, error in (
        (np.full(5, 7, np.float32), ValueError),
        (np.full((1,), 7, np.float32), ValueError),
        (np.full(6, 7, np.int32), TypeError),
        ([7.0] * 6, TypeError),
    ):
        with pytest.raises(error):
            case.ufunc(*operands, out=(out,) * case.ufunc.nout)
        assert (np.asarray(out) == 7).all()
    locked = np.full(6, 7, np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        case.ufunc(*operands, out=(locked,) * case.ufunc.nout)
    with pytest.raises(ValueError, match="broadcast"):
        case.ufunc(
            np.ones(3, np.float32),
            *[np.ones(4, np.float32)] * (case.ufunc.nin - 1),
            out=(np.ones((2, 5)),) * case.ufunc.nout,
        )


def test_broadcast_shapes_that_do_not_match(parametrised):
    with pytest.raises(ValueError, match="broadcast"):
        parametrised.ufunc(*[np.ones(3 + i) for i in range(parametrised.ufunc.nin)])


def in_small_pieces(ufunc, operands):
    """The results of calls that are each too short for threads."""
    pieces = range(0, operands[0].size, 20_000)
    results = [ufunc(*(o[i : i + 20_000] for o in operands)) for i in pieces]
    if ufunc.nout == 1:
        return np.concatenate(results)
    return tuple(np.concatenate(parts) for parts in zip(*results, strict=True))


def large_operands(case, dtype):
    """Values that come again after no number of elements that a chunk has."""
    return [np.resize(a, THREADED) for a in case.operands(30_011, dtype)]


def test_large_arrays_on_threads(case, dtype, threads, same_bits):
    operands = large_operands(case, dtype)
    expected = in_small_pieces(case.ufunc, operands)
    for n in (1, 2, 3):
        with threads(n):
            same_bits(case.ufunc(*operands), expected, f"{n} threads")


def test_large_arrays_of_any_layout_on_threads(representatives, dtype, threads, same_bits):
    for case in representatives:
        operands = large_operands(case, dtype)
        expected = in_small_pieces(case.ufunc, operands)
        head = [o[:1] for o in operands]
        for n in (1, 2):
            with threads(n):
                same_bits(case.ufunc(*(strided(o, 2) for o in operands)), expected, f"strided, {n} threads")
                same_bits(case.ufunc(*(strided(o, -1) for o in operands)), expected, f"reversed, {n} threads")
                same_bits(case.ufunc(*(misaligned(o) for o in operands)), expected, f"misaligned, {n} threads")
                in_place = [o.copy() for o in operands]
                case.ufunc(*in_place, out=(in_place[0], *(np.empty_like(in_place[0]),) * (case.ufunc.nout - 1)))
                same_bits(in_place[0], expected[0] if case.ufunc.nout > 1 else expected, f"in place, {n} threads")
                fixed = [operands[0], *head[1:]]
                full = [operands[0], *(np.full_like(operands[0], h[0]) for h in head[1:])]
                same_bits(case.ufunc(*fixed), in_small_pieces(case.ufunc, full), f"broadcast, {n} threads")


@pytest.mark.parametrize("size", [133_334, 133_376, 150_001, 262_144, 1_000_003])
def test_odd_lengths_on_threads(size, threads, same_bits):
    x = np.linspace(-9, 9, size, dtype=np.float32)
    expected = in_small_pieces(fa.relu, [x])
    for n in (2, 3):
        with threads(n):
            same_bits(fa.relu(x), expected)


class Tagged(np.ndarray):
    """A subclass without behaviour of its own."""


def test_subclasses_and_containers(cases):
    x = np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4)
    masked = np.ma.masked_array(x, x > 1)
    for name in list(cases)[:8]:
        case = cases[name]
        if case.op.parameters or case.backward:
            continue
        assert isinstance(case.ufunc(masked), np.ma.MaskedArray)
        np.testing.assert_array_equal(case.ufunc(x.tolist()), case.ufunc(x.astype(np.float64)))
    assert type(fa.relu(x.view(Tagged))) is Tagged
    assert type(fa.elu(x.view(Tagged))) is Tagged
    assert type(fa.relu(x.view(Tagged), subok=False)) is np.ndarray
