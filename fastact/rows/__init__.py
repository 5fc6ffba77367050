"""The ops over rows. Their modules are imported when one of them, or the table of records, is first asked for."""

from typing import Any

NAMES = (
    "softmax",
    "softmin",
    "log_softmax",
    "logsumexp",
    "softmax_backward",
    "log_softmax_backward",
    "cross_entropy",
    "cross_entropy_with_grad",
    "linear_cross_entropy",
    "linear_cross_entropy_with_grad",
)
"""The names that ``ROW_OPS`` will hold: importing fastact must not wait for its modules."""


def __getattr__(name: str) -> Any:
    """``ROW_OPS``, every op's record by name (PEP 562)."""
    if name != "ROW_OPS":
        raise AttributeError(f"module 'fastact.rows' has no attribute {name!r}")
    from fastact.rows import cross_entropy, linear, softmax  # noqa: F401 - each registers its ops
    from fastact.rows.record import ROW_OPS

    return ROW_OPS
