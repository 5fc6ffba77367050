"""Faults to put into the package, one at a time, each with the tests that must find it: what ``mutants.py`` runs through.

``old`` is text that occurs once in the file; a test sees to that. Faults are such as a slip of the hand makes, on every floor: a
coefficient, a bound, a stride, an end of a segment or a chunk, a NaN, a dtype, a lock, a key of the cache, an ``errstate``.
"""

from advice_mutants import ADVICE
from dropin_mutants import DROP_IN
from loss_mutants import LOSSES
from memory_mutants import MEMORY
from mutant import of
from training_mutants import TRAINING

MUTANTS = [
    # Mathematics.
    *of(
        "maths/exp.py",
        "accuracy",
        ("a coefficient of exp", "0.0013818616280332208", "0.0013918616280332208", "accuracy.py::test_float32[exp]"),
        (
            "exp ends before its subnormal results",
            "_EXP_LOWEST = Constant(float32=-104.0",
            "_EXP_LOWEST = Constant(float32=-87.0",
            "accuracy.py::test_float32[exp]",
        ),
        ("expm1 splits in the middle", "T(-0.08496250072115618)", "T(0.0)", "accuracy.py::test_float32[expm1]"),
    ),
    *of(
        "maths/log.py",
        "special",
        (
            "log of subnormal numbers",
            "T(-24.0), T(0.0)",
            "T(-23.0), T(0.0)",
            "special.py::test_extreme_values_match_the_reference[log-float32]",
        ),
    ),
    *of(
        "maths/sigmoid.py",
        "special",
        (
            "mish loses the sign of zero",
            "copysign(fma(factor, rest, factor * rest_error) * scale, x)",
            "fma(factor, rest, factor * rest_error) * scale",
            "special.py::test_zeros_keep_the_sign_of_smooth_functions[mish-float32]",
        ),
        (
            "silu stops growing",
            "silu = select(x > T(64), x, ",
            "silu = select(x > T(1e30), x, ",
            "gates.py::test_errors_with_both_operands_at_random[swiglu]",
        ),
    ),
    *of(
        "maths/logsumexp.py",
        "softmax",
        ("maxima of earlier parts are counted", "ties + select(grown, T(0.0), ties0)", "ties + ties0"),
        ("exponentials far below the maximum", "(n - T(151.0))", "(n - T(15.0))"),
    ),
    # How arrays are walked.
    # NumPy's functions.
    *of(
        "kernels/reporting.py",
        "standins",
        ("operands are looked at after results replaced them", "kept = kept or as", "kept = kept and as"),
        ("earlier flags of a call are lost", "raise_fp_flags(before | found)", "raise_fp_flags(found)"),
        ("the rest of a call is not looked at", "    if odd:\n", "    if False:\n"),
        ("strided results are looked at as if side by side", "if steps[INPUTS] != SIZE:\n", "if False:\n"),
        (
            "infinite powers are looked at once",
            "exceptions(operands) & ~known",
            "exceptions(operands) if known == 0 else 0",
            "standins.py::test_several_exceptions_of_one_call_are_all_reported",
        ),
        (
            "reductions are computed in blocks",
            "    if order == ONE_BY_ONE:",
            "    if False:",
            "standins.py::test_reductions_and_shifted_views_are_computed_in_order",
        ),
    ),
    *of(
        "kernels/sharing.py",
        "standins",
        (
            "reductions are shared out",
            " == ANY_ORDER:\n",
            " >= 0:\n",
            "standins.py::test_large_reductions_are_those_of_numpy",
        ),
    ),
    *of(
        "runtime/team.py",
        "standins",
        ("workers keep their flags", "        merge_shared(call, FLAGS, flags)\n", "        pass\n"),
        (
            "flags of the call before",
            "    store_shared(call, FLAGS, 0)\n",
            "",
            "standins.py::test_exceptions_in_any_chunk_reach_the_caller[log]",
        ),
    ),
    *of(
        "runtime/standins.py",
        "standins",
        ("loops are not tried", "            if not called:\n", "            if False:\n"),
        ("what somebody else put there is overwritten", "            if ours:\n", "            if True:\n"),
        (
            "a pointer of another loop",
            "parts.functions[i] or 0, parts.data[i] or 0)",
            "parts.functions[i] or 0, 0)",
        ),
    ),
    *of(
        "acceleration.py",
        "standins",
        ("the first one to stop ends all", "    _users -= 1\n", "    _users = 0\n"),
        ("stopping twice", "                self._active = False\n", "                pass\n"),
    ),
    # Results past the caches.
    *of(
        "kernels/elementwise.py",
        "streaming",
        (
            "the rest of a line is not streamed",
            "copy_bytes(advance(target, last), advance(source, last), count - last)",
            "pass",
        ),
        ("streamed lines begin anywhere", "first = min(count, -as_address(target) % LINE_BYTES)", "first = 0"),
        ("strided results are streamed", "streamed = streamed and j < INPUTS", "pass"),
    ),
    *of(
        "kernels/along.py",
        "streaming",
        (
            "streamed results of a row are written side by side too",
            "streamed = streamed and y_steps == COMPACT_RESULTS and apart(places, ys)",
            "pass",
        ),
        ("a stream of elements, not of bytes", "stream_bytes(y, tile, count * SIZE)", "stream_bytes(y, tile, count)"),
    ),
    *of(
        "kernels/drawn.py",
        "streaming",
        ("streamed draws stay in the tile", "if y_step == SIZE and streamed:", "if y_step != SIZE and streamed:"),
    ),
    *of(
        "kernels/elementwise.py",
        "arrays",
        (
            "the last block of a tile is left out",
            "padded = (count + BLOCK - 1) // BLOCK * BLOCK",
            "padded = max(count // BLOCK, 1) * BLOCK",
            "arrays.py::test_overlap_with_other_strides[exp]",
        ),
        (
            "blocks that begin at a cache line end at the wrong place",
            "last = first + (n - first) // BLOCK * BLOCK",
            "last = n // BLOCK * BLOCK",
            "arrays.py::test_a_result_depends_on_nothing_but_its_element[exp-float32]",
        ),
        (
            "a stride of a result",
            "copy_element(advance(operand, i * step)",
            "copy_element(advance(operand, i * SIZE)",
            "arrays.py::test_overlap_with_other_strides[exp]",
        ),
    ),
    *of(
        "kernels/elementwise.py",
        "overlap",
        ("reduce goes by blocks", "if REDUCIBLE or n >=", "if n >=", "overlap.py::test_reductions[float32-add]"),
    ),
    *of(
        "kernels/elementwise.py",
        "custom_arithmetic",
        (
            "flags of x87 are left",
            "flags.clear_all_fp_flags if kind.users else flags.clear_fp_flags",
            "flags.clear_fp_flags",
        ),
    ),
    *of(
        "kernels/elementloop.py",
        "vectorised",
        ("nothing promises that operands do not overlap", "if elsewhere:", "if elsewhere and j < 0:"),
    ),
    *of(
        "kernels/overlap.py",
        "overlap",
        (
            "each may be read before the last is written",
            "return ONE_BY_ONE",
            "return FIRST_TO_LAST",
            "overlap.py::test_reductions[float32-add]",
        ),
    ),
    *of(
        "kernels/along.py",
        "softmax",
        (
            "a row's last elements are padded with zeros",
            "lanes.fill_each(dtype, step.paddings, LANES)",
            "lanes.fill_each(dtype, [0.0 for _ in step.paddings], LANES)",
        ),
        (
            "the last element of a segment",
            "min(SEGMENT, c - start)\n        next_m",
            "min(SEGMENT, c - start) - 1\n        next_m",
            "softmax.py::test_the_error_does_not_grow_with_the_row",
        ),
    ),
    *of(
        "kernels/across.py",
        "softmax",
        (
            "the last column of a block",
            "width = min(widest, n - first)",
            "width = max(1, min(widest, n - first - 1))",
            "rows.py::test_many_short_rows_are_what_a_few_are[log_softmax-float32]",
        ),
    ),
    *of(
        "kernels/transposition.py",
        "rows.py::test_many_short_rows_are_what_a_few_are[softmax-float32]",
        ("squares beyond the last column", "column = min(k, columns - side)", "column = min(k, columns - SMALLEST)"),
    ),
    *of(
        "kernels/labelled.py",
        "cross_entropy",
        (
            "the index of a maximum behind the first chunk",
            "return start + i",
            "return i",
            "cross_entropy.py::test_in_place_extras_and_threads",
        ),
        ("every label has the first one's weight", "i * steps[WEIGHTS] + label * w_core", "i * steps[WEIGHTS]"),
    ),
    *of(
        "kernels/labelled_columns.py",
        "ignored",
        ("ignored columns keep a gradient", "clear_each((ys, y_cores, c, block, mask))", "pass"),
    ),
    *of(
        "kernels/maxout_vectors.py",
        "maxout",
        (
            "a NaN is no largest piece",
            'builder.fcmp_unordered(">", b, a), builder.fcmp_ordered("ord", a, a)',
            'builder.fcmp_ordered(">", b, a), builder.fcmp_ordered("ord", a, a)',
        ),
        ("of equal pieces the last", 'builder.icmp_signed("<", j, i)', 'builder.icmp_signed(">", j, i)'),
    ),
    *of(
        "kernels/defined.py",
        "custom_arithmetic",
        (
            "a shift by the width",
            "icmp ult {kind} {right}, {bits}",
            "icmp ult {kind} {right}, {bits + 1}",
            "custom_arithmetic.py::test_arithmetic_follows_numpy[100]",
        ),
    ),
    *of(
        "maths/losses.py",
        "cross_entropy",
        (
            "a cap has no slope at the label",
            "(other * exp(-nll) - dense_label))) * top_slope",
            "(other * exp(-nll) - dense_label)))",
            "cross_entropy.py::test_gradient_of_capped_logits",
        ),
    ),
    # How they run.
    *of(
        "runtime/system.py",
        "team.py::test_shared_integers_are_sequentially_consistent",
        ("shared integers may be seen in another order", 'ORDER = "seq_cst"', 'ORDER = "monotonic"'),
    ),
    *of(
        "runtime/team.py",
        "arrays threads",
        (
            "elements before the first chunk",
            "start = 0 if number == 0 else lead + number * chunk",
            "start = lead + number * chunk",
            "arrays.py::test_large_arrays_on_threads[exp-float32]",
        ),
        (
            "the last chunk reaches beyond the end",
            "min(lead + (number + 1) * chunk, dims[0]) - start",
            "lead + (number + 1) * chunk - start",
            "arrays.py::test_large_arrays_on_threads[exp-float32]",
        ),
    ),
    *of(
        "runtime/cache.py",
        "cache",
        ("a damaged kernel is run", "and hashlib.sha256(contents).digest() == checksum:", "and checksum:"),
        ("edits of mathematics find old kernels", '("bench", "cli")', '("bench", "cli", "maths")'),
        ("Numba's settings are no part of the key", "        _numba_settings(),\n", ""),
        ("a folder that a group can write to", "(stat.S_IWGRP | stat.S_IWOTH)", "stat.S_IWOTH"),
    ),
    *of(
        "runtime/fingerprint.py",
        "custom_cache",
        ("constants are no part of the key", "        self.add(code.co_consts)\n", ""),
        ("defaults are no part of the key", "        self.add(function.__defaults__)\n", ""),
    ),
    *of(
        "runtime/uninterrupted.py",
        "processes",
        ("a fork does not wait for compilation", "    _lock.acquire(timeout=LONGEST)\n", ""),
    ),
    *of(
        "runtime/exceptions.py",
        "custom_exceptions",
        ("an exception is raised twice", "        _left.pop(thread, None)\n", ""),
    ),
    *of(
        "runtime/threads.py",
        "threads",
        (
            "blocks that end in another order",
            "tuple(entry for entry in _blocks.get() if entry[0] is not block)",
            "_blocks.get()[:-1]",
        ),
    ),
    *of(
        "runtime/threads.py",
        "processes",
        ("half a processor is none", "max(1, math.floor(quota))", "math.floor(quota)"),
    ),
    # How arguments reach a ufunc.
    *of("calls/quiet.py", "warnings", ("NumPy's arithmetic warns", 'np.seterr, all="ignore"', 'np.seterr, all="warn"')),
    *of(
        "calls/long_rows.py",
        "order",
        ("results in order of rows", 'arguments.get("order") or "K"', 'arguments.get("order") or "C"'),
    ),
    *of(
        "calls/long_rows.py",
        "softmax",
        ("parts of a row under other results", "if np.may_share_memory(a, out) and", "if False and"),
    ),
    *of(
        "calls/axes.py",
        "softmax",
        (
            "axes that are no neighbours",
            "if not axes or axes != tuple(range(axes[0], axes[0] + len(axes))):",
            "if not axes:",
        ),
    ),
    *of(
        "calls/checking.py",
        "errors",
        ("a switch is an axis", "isinstance(value, bool | np.bool):", "isinstance(value, np.bool):"),
    ),
    *of(
        "calls/containers.py",
        "masked.py::test_masked_results_keep_the_rest_of_what_they_are_made_of",
        (
            "a masked result is like nothing",
            "like.__array_wrap__(result) if isinstance(like, np.ma.MaskedArray) else np.ma.array(result)",
            "np.ma.array(result)",
        ),
    ),
    *of(
        "calls/lazy.py",
        "dask",
        ("a row in several chunks", "        _refuse_several_chunks(name, x, places[name])\n", "        pass\n"),
    ),
    # What functions compute.
    *of(
        "functions/rectifiers.py",
        "gradients",
        (
            "the derivative at a kink",
            "select(x > T(0), T(1), negative_slope)",
            "select(x >= T(0), T(1), negative_slope)",
            "gradients.py::test_derivative_at_kinks_is_the_recorded_one[leaky_relu-float32]",
        ),
    ),
    *of(
        "functions/prelu_gradient.py",
        "special",
        (
            "a NaN has a slope",
            "unless_nan(x, select(x > T(0), T(1), weight))",
            "select(x > T(0), T(1), weight)",
            "special.py::test_nan_stays_at_its_position[prelu_backward-float32]",
        ),
    ),
    *of(
        "functions/gelus.py",
        "values",
        (
            "a constant of gelu_tanh",
            "GELU_TANH_CUBIC = GELU_TANH_LINEAR * 0.044715",
            "GELU_TANH_CUBIC = GELU_TANH_LINEAR * 0.044175",
            "values.py::test_matches_the_reference_for_every_sample_of_parameters[gelu_tanh-float32]",
        ),
    ),
    *of(
        "functions/op_calls.py",
        "values",
        (
            "two defaults change places",
            "formula(x, T(p), T(q))",
            "formula(x, T(q), T(p))",
            "values.py::test_parameters_by_position_name_default_and_array[hard_tanh-float32]",
        ),
    ),
    *of(
        "functions/gated_units.py",
        "masked",
        ("what masks a gate", "masked(result, value | gate, out, x)", "masked(result, value, out, x)"),
    ),
    *of(
        "functions/cross_entropy_requests.py",
        "cross_entropy_edges",
        ("a mean of ignored rows too", "float(request.target.size - ignored)", "float(request.target.size)"),
        (
            "class 0 cannot be ignored",
            "is_class = np.count_nonzero(beyond), 0 <= ignored < classes",
            "is_class = np.count_nonzero(beyond), 0 < ignored < classes",
        ),
        (
            "a narrowing that warns",
            '    with np.errstate(all="ignore"):\n        return values.astype(dtype, copy=False)',
            "    return values.astype(dtype, copy=False)",
        ),
    ),
    *of(
        "functions/linear.py",
        "cross_entropy",
        (
            "a bias has its gradient summed in float32",
            "np.zeros(layer.bias.shape)",
            "np.zeros(layer.bias.shape, np.float32)",
            "precision.py::test_the_gradient_of_a_bias_is_summed_in_float64",
        ),
        (
            "a bias has the last block's gradient",
            "    total += np.add.reduce(grad, axis=0, dtype=np.float64)",
            "    total[...] = np.add.reduce(grad, axis=0, dtype=np.float64)",
        ),
    ),
    *of(
        "in_numba.py",
        "overloads",
        ("no gradient multiplies a slope", "return T(grad) * formula(T(x), T(p))", "return formula(T(x), T(p))"),
    ),
    *ADVICE,
    *LOSSES,
    *TRAINING,
    *MEMORY,
    *DROP_IN,
]
