"""Kernels as copies of templates: what is filled in, and what an error says of a name that was not."""

import numpy as np
import pytest
from numba import njit

from fastact.calls.row_ufuncs import KERNELS
from fastact.functions.softmax import _log_softmax
from fastact.kernels import along, elementwise, flags, jit
from fastact.kernels.instance import instance
from fastact.kernels.templates import FILLED_IN
from fastact.kernels.tuples import Each, Named
from fastact.kinds.rows import Once, RowKernel, Sum
from fastact.maths.scalar import scalar


def filled():
    return along.filled_in(KERNELS[_log_softmax], "float32")


def test_every_template_on_the_way_is_copied_and_nothing_else():
    kernel = instance(along.program_rows, filled())
    names = kernel.__globals__
    assert names is not vars(along)
    assert along.known is FILLED_IN
    assert names["write_row"].__code__ is along.write_row.__code__
    assert names["write_row"] is not along.write_row
    assert names["segment_state"] is along.segment_state, "it belongs to a pass, which is a kernel's part of its own"
    assert names["clear_fp_flags"] is flags.clear_fp_flags


def test_passes_are_copies_of_their_own_around_the_one_before():
    last = filled()["known"]
    assert last.__code__ is along.after_once.__code__
    first = last.__globals__["earlier"]
    assert first.__code__ is along.after.__code__
    assert first.__globals__["following"].__code__ is along.exponential_state.__code__
    assert first.__globals__["earlier"] is along.no_constants


def test_a_template_of_another_module_has_its_own_globals_but_for_what_is_filled_in():
    gather = instance(along.contiguous, filled()).__globals__["gather"]
    assert gather.__code__ is elementwise.gather.__code__
    assert gather.__globals__["LINE_BYTES"] == elementwise.LINE_BYTES
    assert gather.__globals__["SIZE"] == np.dtype("float32").itemsize
    assert gather in jit.parts


def test_copies_of_one_kernel_are_made_once_and_of_another_anew():
    first, second = (instance(along.program_rows, filled()).__globals__ for _ in range(2))
    assert first["write_row"] is not second["write_row"]
    inner = first["computed_elsewhere"].__globals__
    assert inner is first, "functions of one module share their names"


def test_a_copy_that_is_filled_in_under_a_templates_name_is_shared():
    shared = filled()
    kernel = instance(along.contiguous, shared)
    assert kernel.__globals__["gather"] is shared["gather"]


def test_a_name_that_is_forgotten_is_in_the_error():
    from fastact.runtime import compiler

    incomplete = filled()
    del incomplete["options_of"]
    kernel = instance(along.program_rows, incomplete)
    with pytest.raises(Exception, match=r"'options_of'.*NotFilledIn"):
        compiler.compile_loop(kernel)


def test_each_applies_a_function_to_elements_of_tuples():
    add_each = Each(along.plus)
    assert add_each(((1, 2, 3), 10)) == (11, 12, 13)
    assert add_each(((1, 2), (3, 4))) == (4, 6)
    with pytest.raises(TypeError, match="fill_zero"):
        Each("fill_zero")(((1,),))


def _distance(b, scale, a):
    return (a - b) * scale


def test_a_formula_takes_what_it_names_whatever_the_order():
    scalar(_distance)
    jit.register()
    named = Named(_distance, ("a", "unused", "b"), ("other", "scale")).over_tuples()

    @njit
    def call(elements, constants):
        return named(elements, constants)

    assert call((7.0, 100.0, 3.0), (-1.0, 2.0)) == 8.0


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        ([Once("mean", scalar(lambda total, n: total / n))], "total"),
        ([Sum("total", scalar(lambda x, mean: x - mean))], "mean"),
        ([Once("first", scalar(lambda x: x))], "elements"),
    ],
)
def test_a_program_that_uses_what_is_not_known_yet_says_so(passes, message):
    with pytest.raises(ValueError, match=message):
        list(RowKernel("wrong", passes, gives="x").steps("float32"))
