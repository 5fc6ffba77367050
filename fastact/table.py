"""The one table of all public functions that compute: a record for each, by name. Nothing else lists them.

Elementwise ops are there from the start. A module of others is imported when one of these is asked for, or the whole table.
"""

from functools import cache
from importlib import import_module

from fastact.functions import activations, gated_units, pairs, special_functions  # noqa: F401 - each registers its ops
from fastact.functions.elementwise import OPS, stand_in_kernel
from fastact.functions.op_functions import op_function, op_functions
from fastact.functions.record import FUNCTIONS, Function
from fastact.functions.shared import SHARED
from fastact.kinds.reporting import ReportingKernel
from fastact.kinds.sharing import SharingKernel

MODULES = (
    "gated_units",
    "softmax",
    "softmax_backward",
    "rotary",
    "cross_entropy",
    "linear",
    "maxout",
    "dropout",
    "softmax_dropout",
    "binary_losses",
    "multiclass_losses",
    "margin_losses",
    "accuracies",
    "hard_examples",
    "distillation",
    "regression_losses",
    "divergences",
    "entropies",
    "entropy_gradients",
    "gan_losses",
    "region_losses",
    "lovasz_losses",
    "region_scores",
    "embedding",
    "choosing",
    "sampling",
    "nucleus",
    "norms",
    "norm_gradients",
    "biased",
    "batch_norms",
    "group_norms",
    "unit_norms",
    "optimizers",
    "adam",
    "adagrad",
    "regularizers",
    "clipping",
)
"""Of ``fastact.functions``, those that define more than elementwise ops, in the order of the table."""


@cache
def stand_ins() -> dict[str, ReportingKernel | SharingKernel]:
    """The kernels that stand in for ufuncs of NumPy's, by the names of these; not to be written to."""
    own = {op.stands_in.name: stand_in_kernel(op) for op in OPS.values() if op.stands_in}
    return own | {name: SharingKernel(*shared) for name, shared in SHARED.items()}


def functions() -> dict[str, Function]:
    """Every record by name."""
    for module in MODULES:
        _load(module)
    order = [f"{__package__}.functions.{module}" for module in MODULES]
    others = sorted(FUNCTIONS.values(), key=lambda record: order.index(record.home))
    return op_functions() | {record.name: record for record in others}


def function(name: str) -> Function:
    """One record; ``KeyError`` if there is no such function."""
    found = op_function(name) or FUNCTIONS.get(name)
    for module in () if found else MODULES:
        _load(module)
        if name in FUNCTIONS:
            return FUNCTIONS[name]
    if found is None:
        raise KeyError(name)
    return found


def names() -> list[str]:
    """The names of all public functions that compute."""
    return list(functions())


@cache
def _load(module: str) -> None:
    import_module(f"{__package__}.functions.{module}")
