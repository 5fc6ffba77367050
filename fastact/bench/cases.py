"""The cases: every op of the registry and every function over rows, by direction, dtype, size and variant.

Importing this imports neither fastact nor any other library.
"""

from collections.abc import Iterator, Sequence

from . import elementwise, rows
from .case import DIRECTIONS, DTYPES, SIZES, VARIANT_SIZES, Case, Contender
from .peers import PEERS

SHAPED = (
    *(
        Case("cross_entropy", "forward", "float32", rows * classes, "fresh", (rows, classes))
        for rows, classes in ((1024, 32_000), (256, 128_256), (8192, 1000), (65_536, 10), (1, 10))
    ),
    *(
        Case("cross_entropy_with_grad", "forward", "float32", rows * classes, "out", (rows, classes))
        for rows, classes in ((1024, 32_000), (256, 128_256))
    ),
    *(
        Case(op, "forward", "float32", rows * columns, "out", (rows, columns))
        for rows, columns in ((4096, 1000), (512, 32_000), (1, 10))
        for op in ("softmax", "log_softmax")
    ),
    Case("softmax", "forward", "float32", 8_192_000, "out", (1000, 8192), "axis=0"),
    Case("softmax", "forward", "float32", 22_020_096, "out", (16, 21, 256, 256), "axis=1"),
    *(Case("maxout", "forward", "float32", SIZES[-1], "out", SIZES[-1:], f"num_pieces={pieces}") for pieces in (2, 4)),
    Case("swiglu", "forward", "float32", 1_000_000, "out"),
    Case("linear_cross_entropy_with_grad", "forward", "float32", 2048 * 1024, "fresh", (2048, 1024, 32_000)),
)
"""The shapes that the row family has targets for; the last is rows x width x classes."""


def op_names() -> list[str]:
    """Every op of the registry and every function over rows."""
    import fastact

    return [*fastact.ops, *rows.op_names()]


def every_case(
    ops: Sequence[str],
    directions: Sequence[str] = DIRECTIONS,
    dtypes: Sequence[str] = DTYPES,
    sizes: Sequence[int] | None = None,
    variants: Sequence[str] = tuple(VARIANT_SIZES),
) -> Iterator[Case]:
    """The cases of some ops. ``sizes=None`` are each variant's own; cases that share their data follow each other."""
    for dtype in dtypes:
        for size in sorted(set(SIZES if sizes is None else sizes)):
            for op in ops:
                for direction in directions:
                    for variant in variants:
                        if sizes is None and size not in VARIANT_SIZES[variant]:
                            continue
                        if op in rows.op_names():
                            yield from rows.cases(op, direction, dtype, size, variant, sizes is None)
                        elif elementwise.exists(case := Case(op, direction, dtype, size, variant)):
                            yield case


def shaped_cases(
    ops: Sequence[str],
    directions: Sequence[str] = DIRECTIONS,
    dtypes: Sequence[str] = DTYPES,
    variants: Sequence[str] = tuple(VARIANT_SIZES),
) -> Iterator[Case]:
    """Those of ``SHAPED`` that belong to some ops."""
    for case in SHAPED:
        if case.op in ops and case.direction in directions and case.dtype in dtypes and case.variant in variants:
            yield case


def has(peer: str, case: Case) -> bool:
    """Whether a peer, installed or not, has what a case is about."""
    return rows.has(peer, case) if case.op in rows.op_names() else elementwise.has(peer, case)


def contenders(case: Case, peers: Sequence[str] = PEERS) -> dict[str, Contender]:
    """Who takes part in a case, by name; "fastact" is the first.

    Besides the peers: ``relu`` or ``reading``, the memory's roof; ``np.exp``, the overhead of a call; ``scipy``, where
    it has a function that NumPy's expression does without; and in the variants that compare fastact with itself
    ``out-of-place``, ``contiguous`` and ``float32``.
    """
    if case.op in rows.op_names():
        return rows.contenders(case, peers)
    return elementwise.contenders(case, peers)
