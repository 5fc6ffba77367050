"""Calls of every public function, made from the table's records, for tests that run through all of them."""

import inspect
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fastact import table
from fastact.functions.record import OF_EACH_ROW, Function, Operand, Variant, along_axis, drawn, whole

RECORDS = table.functions()
LABEL_DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
ROWS, CLASSES = 6, 10
REDUCING = [name for name, record in RECORDS.items() if "keepdims" in inspect.signature(record.function).parameters]
"""Functions over rows that give one number for each."""


def as_tuple(results):
    return results if isinstance(results, tuple) else (results,)


@dataclass(frozen=True)
class Call:
    """One way to call one function."""

    record: Function
    variant: Variant

    def __str__(self):
        return f"{self.record.name} {self.variant}".strip()


@dataclass(frozen=True)
class RowCall(Call):
    """A call of operands of any shape, over any axis, among them options of the result's shape. Losses are those of each row."""

    @property
    def written(self):
        """Which results `out` takes."""
        return self.record.written

    def arguments(self, rng, shape, axis, dtype):
        """Operands, labels among them of any dtype, and keyword arguments beside `axis` and `out`."""
        plain = drawn(rng)

        def fill(kind, shape, dtype, below):
            found = plain(kind, shape, dtype, min(below, 100))
            return found.astype(rng.choice(LABEL_DTYPES)) if kind == "labels" else found

        operands, options = self.record.arguments(self.variant, fill, shape, dtype, axis)
        operands += [options.pop(name) for name in self.whole]
        del options["axis"]
        if "reduction" in inspect.signature(self.record.function).parameters:
            options["reduction"] = "none"
        return operands, options

    @property
    def whole(self):
        """The names of the options that have the result's shape."""
        return [name for name, x in self.variant.options.items() if isinstance(x, Operand) and x.shape is whole]

    def of_rows(self, operands, options, rows):
        """Some rows of operands and options, those whole that all rows share."""
        kinds = [*(self.record.operands if self.variant.operands is None else self.variant.operands)]
        kinds += [self.variant.options[name] for name in self.whole]
        few = [o if k.shape is along_axis else o[rows] for o, k in zip(operands, kinds, strict=True)]
        own = {name for name, x in self.variant.options.items() if x is OF_EACH_ROW}
        return few, {name: x[rows] if name in own else x for name, x in options.items()}

    def __call__(self, operands, axis, options, outs=()):
        """All results, some of which are written to ``outs`` if there are any."""
        given = {"out": tuple(outs) if len(outs) > 1 else outs[0]} if outs else {}
        first = len(operands) - len(self.whole)
        given |= dict(zip(self.whole, operands[first:], strict=True))
        results = as_tuple(self.record.function(*operands[:first], axis=axis, **options, **given))
        assert all(results[i] is out for i, out in zip(self.written, outs, strict=False))
        return results


@dataclass(frozen=True)
class ArrayCall(Call):
    """A call of float32 arrays, most of 6 rows of 10 elements."""

    axis: object = -1

    @cached_property
    def _made(self):
        shape = (ROWS, CLASSES)
        axis = self.axis if isinstance(self.axis, int) else -1
        fill = drawn(np.random.default_rng(0), scale=1)
        arrays, options = self.record.arguments(self.variant, fill, shape, np.float32, axis)
        return arrays, options | ({"axis": self.axis} if self.record.axis else {})

    @property
    def name(self):
        return self.record.name

    @property
    def arrays(self):
        return self._made[0]

    @property
    def options(self):
        return self._made[1]

    @property
    def kinds(self):
        """What each array holds, and what each option does that is one."""
        operands = self.record.operands if self.variant.operands is None else self.variant.operands
        options = {name: x.kind for name, x in self.variant.options.items() if isinstance(x, Operand)}
        return [operand.kind for operand in operands], options

    def __call__(self, wrap=lambda array: array, **options):
        given = {name: wrap(x) if isinstance(x, np.ndarray) else x for name, x in self.options.items()}
        return self.record.function(*map(wrap, self.arrays), **given, **options)

    @property
    def lengths(self):
        """The lengths of the axes of all operands."""
        return {n for x in (*self.arrays, *self.options.values()) for n in np.shape(x)}

    def results(self, wrap=lambda array: array, **options):
        return self.record.arrays(self(wrap, **options))

    def __str__(self):
        return f"{super().__str__()} axis={self.axis}" if self.record.axis and self.axis != -1 else super().__str__()


AXES = {"": (-1,), "one": (-1, 0), "several": (-1, 0, None, (1, 0)), "drawn": (None, 0)}
"""Those that a function is called with, by what it takes."""


ROWWISE = ("one", "several")
"""What functions over rows take."""


def unalike(record):
    """The variants that differ by more than a number."""
    return [variant for variant in record.variants if not variant.alike]


ROW_CALLS = {
    str(call): call
    for r in RECORDS.values()
    if r.axis in ROWWISE and not r.whole
    for call in (RowCall(r, v) for v in unalike(r) if not v.random)
}
CALLS = [ArrayCall(r, v, axis) for r in RECORDS.values() if not r.updated for v in unalike(r) for axis in AXES[r.axis]]
UPDATES = [Call(r, v) for r in RECORDS.values() if r.updated for v in unalike(r)]
"""Calls that write to their operands."""
