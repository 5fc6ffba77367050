"""The inner loop of ``fastact.kinds.jaccard``: the pixels that count are sorted by radix, the largest error first, and weighed.

When all pixels of the class have been added to the false ones, the Jaccard loss is 1, and no other makes it grow. So of pixels that
are not of the class only those count whose error is above the smallest of the class: the others, mostly all but a few, are not
sorted. Pixels of the same error and kind share their weights evenly. So a result depends on no order of the pixels.

A pixel that is sorted is an item: its number, and the bits of its error, inverted, with a lowest one that puts pixels of the class
first. Both make one integer for float32, and two for float64. An error that is NaN is the largest.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastact.kernels import lanes
from fastact.kernels.elementwise import taken_by_team
from fastact.kernels.flags import clear_fp_flags
from fastact.kernels.instance import instance
from fastact.kernels.memory import (
    advance,
    allocate,
    field,
    own_function_with_wide_vectors,
    release,
    set_field,
    zero_bytes,
)
from fastact.kernels.templates import FILLED_IN
from fastact.maths.simd import bits, from_bits, select, widen

DIGIT = 11
BUCKETS = 1 << DIGIT
NUMBER_BITS = 32
"""Of an item of float32: the lower ones are the pixel's number."""

# What instances fill in; the values here serve the reader and the type checker.
T: Any = np.float32
INTEGER: Any = np.int32
MAGNITUDE, KEYS, DIGITS, ITEM, COUNTS = 0x7FFFFFFF, 0xFFFFFFFF, 3, 1, 3 * BUCKETS * 8
load_x = store_x = load_wide = store_wide = FILLED_IN


def error_of(x: Any, own: Any) -> Any:
    """The bits of a pixel's error, which follow each other as errors do."""
    error = T(1) - x if own else x
    return bits(select(error < T(0), T(0), error)) & MAGNITUDE


def put_item(items: Any, i: Any, error: Any, own: Any, number: Any) -> None:
    """Write item ``i``."""
    key = ~(error * 2 + (1 if own else 0))
    if ITEM == 1:
        set_field(items, i, (key << NUMBER_BITS) | number)
    else:
        set_field(items, 2 * i, key)
        set_field(items, 2 * i + 1, number)


def key_of(items: Any, i: Any) -> Any:
    """The part of item ``i`` that says where it belongs."""
    return (field(items, i) >> NUMBER_BITS) & KEYS if ITEM == 1 else field(items, 2 * i)


def number_of(items: Any, i: Any) -> Any:
    """The number of the pixel of item ``i``."""
    return field(items, i) & KEYS if ITEM == 1 else field(items, 2 * i + 1)


def moved_item(source: Any, i: Any, target: Any, j: Any) -> None:
    """Copy item ``i`` to place ``j``."""
    for word in range(ITEM):
        set_field(target, ITEM * j + word, field(source, ITEM * i + word))


def in_order(items: Any, spare: Any, counts: Any, m: Any) -> Any:
    """Sort so many items by their keys, digit by digit; whether they are in ``spare`` then."""
    zero_bytes(counts, DIGITS * BUCKETS * 8)
    for i in range(m):
        key = key_of(items, i)
        for digit in range(DIGITS):
            place = digit * BUCKETS + ((key >> (digit * DIGIT)) & (BUCKETS - 1))
            set_field(counts, place, field(counts, place) + 1)
    swapped = False
    for digit in range(DIGITS):
        first, shift = digit * BUCKETS, digit * DIGIT
        source, target = (spare, items) if swapped else (items, spare)
        if field(counts, first + ((key_of(source, 0) >> shift) & (BUCKETS - 1))) == m:
            continue
        start = 0
        for bucket in range(first, first + BUCKETS):
            count = field(counts, bucket)
            set_field(counts, bucket, start)
            start += count
        for i in range(m):
            bucket = first + ((key_of(source, i) >> shift) & (BUCKETS - 1))
            place = field(counts, bucket)
            set_field(counts, bucket, place + 1)
            moved_item(source, i, target, place)
        swapped = not swapped
    return swapped


def weighed(items: Any, m: Any, region: Any, scale: Any, y: Any, y_step: Any) -> Any:
    """Write the derivatives of items in order, of a class of so many pixels, and add up their loss."""
    loss = widen(T(0))
    inside, outside, i = 0, 0, 0
    while i < m:
        key, end = key_of(items, i), i + 1
        while end < m and key_of(items, end) == key:
            end += 1
        plain = ~key & KEYS
        union, count = region + outside, end - i
        if plain & 1:
            weight, sign = 1.0 / union, -1.0
            inside += count
        else:
            sign = 1.0
            weight = 1.0 / count if union == 0 else (region - inside) / (union * 1.0) / (union + count)
            outside += count
        error = widen(from_bits(INTEGER((plain >> 1) & MAGNITUDE)))
        if error != 0.0:
            loss += count * (weight * error)
        derivative = T(sign * weight * scale)
        for j in range(i, end):
            store_x(advance(y, number_of(items, j) * y_step), derivative)
        i = end
    return loss


def one_class(
    x: Any,
    x_step: Any,
    labels: Any,
    label_step: Any,
    number: Any,
    ignored: Any,
    scale: Any,
    y: Any,
    y_step: Any,
    n: Any,
    space: Any,
) -> Any:
    """The derivatives of a class, and its loss."""
    own_function_with_wide_vectors()
    region, least, largest = 0, MAGNITUDE, 0
    for k in range(n):
        label = load_x(advance(labels, k * label_step))
        if label == ignored:
            continue
        own = label == number
        error = error_of(load_x(advance(x, k * x_step)), own)
        largest = max(largest, error)
        if own:
            region += 1
            least = min(least, error)
    if region == 0:
        least = max(largest - 1, 0)
    items, spare = advance(space, COUNTS), advance(space, COUNTS + (n + 1) * ITEM * 8)
    m = 0
    for k in range(n):
        label = load_x(advance(labels, k * label_step))
        own = label == number
        error = error_of(load_x(advance(x, k * x_step)), own)
        put_item(items, m, error, own, k)
        m += 1 if label != ignored and (own or error > least) else 0
    for k in range(n):
        store_x(advance(y, k * y_step), T(0))
    swapped = m > 0 and in_order(items, spare, space, m)
    return weighed(spare if swapped else items, m, region, scale, y, y_step)


def classes(args: Any, dims: Any, steps: Any, record: Any) -> None:
    """The derivatives and losses of all classes."""
    count, n = dims[0], dims[1]
    if count > 1 and taken_by_team(count * n, args, dims, steps, record):
        return
    space = allocate(COUNTS + 2 * (n + 1) * ITEM * 8)
    for i in range(count):
        number, ignored, scale = (
            load_wide(advance(args[2], i * steps[2])),
            load_wide(advance(args[3], i * steps[3])),
            load_wide(advance(args[4], i * steps[4])),
        )
        x, labels, y = advance(args[0], i * steps[0]), advance(args[1], i * steps[1]), advance(args[5], i * steps[5])
        loss = one_class(x, steps[7], labels, steps[8], T(number), T(ignored), scale, y, steps[9], n, space)
        store_wide(advance(args[6], i * steps[6]), loss)
    release(space)
    clear_fp_flags()


def specialise(kernel: Any, dtype: str) -> Callable[..., Any]:
    """``classes`` for one dtype."""
    single = dtype == "float32"
    digits = 3 if single else 6
    filled = {
        "T": np.dtype(dtype).type,
        "INTEGER": np.int32 if single else np.int64,
        "MAGNITUDE": 2**31 - 1 if single else 2**63 - 1,
        "KEYS": 2**32 - 1 if single else -1,
        "DIGITS": digits,
        "COUNTS": digits * BUCKETS * 8,
        "ITEM": 1 if single else 2,
        "load_x": lanes.load(dtype),
        "store_x": lanes.store(dtype),
        "load_wide": lanes.load("float64"),
        "store_wide": lanes.store("float64"),
    }
    return instance(classes, filled)
