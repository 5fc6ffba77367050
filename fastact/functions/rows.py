"""The ops over rows. Their modules are imported when one of them, or the table of records, is first asked for."""

from fastact.functions.row_record import ROW_OPS, RowOp

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
"""The names that ``row_ops`` will hold: importing fastact must not wait for its modules."""


def row_ops() -> dict[str, RowOp]:
    """Every op's record by name."""
    from fastact.functions import cross_entropy, linear, softmax  # noqa: F401 - each registers its ops

    return ROW_OPS
