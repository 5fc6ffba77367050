"""How much memory ``linear_cross_entropy_with_grad`` takes beyond its results."""

import tracemalloc

from . import rows
from .accuracy import parts
from .case import Case, Contender

WARM_UP = 16
"""Rows of a first call, which compiles."""


def beyond_results(case: Case) -> float:
    """The peak of what a call allocates beyond its results, as a part of the logits of all rows."""
    import fastact

    arrays = rows.arrays_of(case)
    few = arrays | {"hidden": arrays["hidden"][:WARM_UP], "target": arrays["target"][:WARM_UP]}
    call = f"f({rows.ROWS[case.name].arguments})"
    function = {"f": getattr(fastact, case.name)}
    Contender(call, few | function).result()
    tracemalloc.start()
    try:
        results = Contender(call, arrays | function).result()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    logits = case.shape[0] * case.shape[2] * arrays["hidden"].itemsize
    extra: float = (peak - sum(result.nbytes for result in parts(results))) / logits
    return extra
