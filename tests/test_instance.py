"""Kernels as copies of templates: what is filled in, and what an error says of a name that was not."""

import numpy as np
import pytest

from fastact.calls.row_ufuncs import KERNELS
from fastact.functions.softmax import _log_softmax
from fastact.kernels import along, elementwise, jit, memory
from fastact.kernels import instance as instances
from fastact.kernels.instance import instance
from fastact.kernels.templates import FILLED_IN


def filled():
    return along.filled_in(KERNELS[_log_softmax], "float32")


def test_every_template_on_the_way_is_copied_and_nothing_else():
    kernel = instance(along.map_rows, filled())
    names = kernel.__globals__
    assert names is not vars(along)
    assert along.row_state is FILLED_IN
    assert names["row_state"].__code__ is along.exponential_state.__code__
    segment = names["row_state"].__globals__["segment_state"]
    assert segment.__code__ is along.segment_state.__code__
    assert segment is not along.segment_state
    assert names["reduce_rows"] is along.reduce_rows, "nothing here comes to it"
    assert names["clear_fp_flags"] is memory.clear_fp_flags


def test_a_template_of_another_module_has_its_own_globals_but_for_what_is_filled_in():
    gather = instance(along.contiguous, filled()).__globals__["gather"]
    assert gather.__code__ is elementwise.gather.__code__
    assert gather.__globals__["LINE_BYTES"] == elementwise.LINE_BYTES
    assert gather.__globals__["SIZE"] == np.dtype("float32").itemsize
    assert gather in jit.parts


def test_copies_of_one_kernel_are_made_once_and_of_another_anew():
    first, second = (instance(along.map_rows, filled()).__globals__ for _ in range(2))
    assert first["write_row"] is not second["write_row"]
    inner = first["computed_elsewhere"].__globals__
    assert inner is first, "functions of one module share their names"


def test_a_name_that_is_forgotten_is_in_the_error():
    from fastact.runtime import compiler

    incomplete = filled()
    del incomplete["store_result"]
    kernel = instance(along.reduce_rows, incomplete | {"finish": instances.scalar(lambda m, ties, rest, total: m)})
    with pytest.raises(Exception, match=r"'store_result'.*NotFilledIn"):
        compiler.compile_loop(kernel)
