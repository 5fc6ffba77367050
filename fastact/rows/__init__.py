"""Every op over rows: importing this package fills ``record.ROW_OPS``."""

from fastact.rows import cross_entropy as _cross_entropy
from fastact.rows import linear as _linear
from fastact.rows import softmax as _softmax
from fastact.rows.record import ROW_OPS

__all__ = ["ROW_OPS"]

del _cross_entropy, _linear, _softmax
