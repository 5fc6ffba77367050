"""Faults in what else a training step needs, for ``mutant_table.py``: norms, optimizers, dropout, embeddings, choices and draws."""

from mutant import of

TRAINING = [
    *of(
        "functions/norm_passes.py",
        "norms.py::test_values",
        (
            "a mean forgets what it was rounded by",
            "    return (x - near) - rest\n",
            "    return x - near\n",
            "norms.py::test_a_large_mean_costs_no_digits[float32]",
        ),
        ("eps is outside of the root", "1 / sqrt(squares / n + eps)", "1 / (sqrt(squares / n) + eps)"),
        (
            "a gradient keeps the mean of slopes",
            "fma(grad, weight, -level) - distance",
            "fma(grad, weight, level) - distance",
            "norms.py::test_gradients_match_differences",
        ),
    ),
    *of(
        "kernels/row_blocks.py",
        "norms.py::test_sums_over_rows_do_not_lose_digits",
        ("a group of rows is left out", "range(0, r, GROUP)", "range(0, r - GROUP, GROUP)"),
        ("groups are added to the sums of the last", "zero_bytes(memory, TOTALS * c", "zero_bytes(memory, c"),
    ),
    *of(
        "calls/row_blocks.py",
        "norms.py::test_layouts_and_threads[float32-layer]",
        (
            "blocks depend on the threads",
            "-(-rows // MOST_BLOCKS))",
            "rows // np.random.default_rng().integers(1, 9))",
            "biased.py::test_bits_depend_neither_on_layout_nor_threads[-1]",
        ),
    ),
    *of(
        "functions/batch_norms.py",
        "channel_norms.py::test_batch_norm_as_pytorch",
        ("running variances lack Bessel's correction", "variance * (count / (count - 1))", "variance"),
        ("momentum of the old statistics", "wide + momentum * (new - wide)", "new + momentum * (wide - new)"),
    ),
    *of(
        "functions/adam.py",
        "optimizers.py::test_pytorch_computes_the_same",
        ("weight decay that is not decoupled", "if decoupled else 0.0\n", "if not decoupled else 0.0\n"),
        (
            "means of squares are corrected by the other rate",
            "(1 - kept2**number) ** -0.5",
            "(1 - kept1**number) ** -0.5",
        ),
        ("the largest mean of squares is the last", "max_v = maximum(v, max_v)", "max_v = v"),
    ),
    *of(
        "functions/clipping.py",
        "regularizers.py::test_squares_neither_overflow_nor_vanish",
        (
            "norms of small gradients vanish",
            "LARGEST, SMALLEST = 1e300, 1e-280",
            "LARGEST, SMALLEST = 1e300, -1.0",
        ),
    ),
    *of(
        "functions/dropout.py",
        "dropout.py::test_dtypes_drop_the_same_and_round_once",
        ("what is kept is not scaled", "1 / (1 - p) if p < 1 else 0.0", "1.0 if p < 1 else 0.0"),
        (
            "alpha dropout shifts its mean",
            "scale * SATURATED * p, -scale",
            "scale * SATURATED, -scale",
            "dropout.py::test_alpha_dropout_preserves_mean_and_variance",
        ),
    ),
    *of(
        "maths/hashing.py",
        "dropout.py::test_sizes_and_threads",
        ("an index that is mixed by one factor", "return multiply(i, SECOND_FACTOR)", "return i"),
    ),
    *of(
        "kernels/drawn.py",
        "softmax_dropout.py::test_axes_and_layouts[0]",
        (
            "flags of neighbours where rows are columns",
            "draw = drawn(add(first, multiply(number, pitch)), low, high)",
            "draw = drawn(add(first, number), low, high)",
        ),
    ),
    *of(
        "kernels/masked.py",
        "softmax_dropout.py::test_is_both_one_after_the_other",
        ("a long row's flags are its results", "advance(space, room * COMPUTED_SIZE)", "space"),
    ),
    *of(
        "functions/biased.py",
        "biased.py::test_is_the_activation_of_the_sum[gelu]",
        ("a gradient without the bias", "return grad * slope_of(x + bias)\n", "return grad * slope_of(x)\n"),
    ),
    *of(
        "functions/shared_gradients.py",
        "biased.py::test_axes_and_layouts",
        ("sums of the first image", "np.add.reduce(sums, axis=0)", "sums[0]"),
    ),
    *of(
        "calls/spread.py",
        "spread.py::test_bits_are_those_of_whole_arrays",
        ("axes are joined whoever repeats them", "if joined and joined[-1][1] == there:", "if joined:"),
        (
            "results over operands that are still to be read",
            "_is_plain(out, whole) and out.flags.writeable and _is_apart(out, operands)",
            "_is_plain(out, whole) and out.flags.writeable",
            "spread.py::test_what_numpy_does_as_well_is_left_to_it",
        ),
    ),
    *of(
        "calls/row_sums.py",
        "embedding.py::test_sums_are_exact_to_the_promise",
        (
            "an index that ends with its part is joined to the next",
            "after = starts[last] < bounds[1:]",
            "after = starts[last] <= bounds[1:]",
            "embedding.py::test_the_same_bits_on_any_number_of_threads",
        ),
    ),
    *of(
        "kernels/row_sums.py",
        "embedding.py::test_a_row_of_a_million_terms",
        ("float64 sums lose what they round off", "rest + ((total - (larger - own)) + (x - own))", "rest"),
    ),
    *of(
        "functions/embedding.py",
        "embedding.py::test_one_hot_of_scalars_nothing_and_lists",
        (
            "ones at indices that zeros have been written over",
            "astype(np.intp, copy=result is not None)",
            "astype(np.intp, copy=False)",
        ),
    ),
    *of(
        "kernels/top.py",
        "top_k.py::test_the_best_of_every_kind_of_row",
        ("equal candidates in any order", "field(keys, i) >= field(keys, j)", "field(keys, i) > field(keys, j)"),
        ("an element as good as the worst goes on", "key > bound or (key == bound and equal > 0)", "key >= bound"),
    ),
    *of(
        "kernels/sampling.py",
        "sampling.py::test_draws_are_where_running_sums_exceed_random_numbers",
        ("a chunk's bound is the row's", "bound -= load_wide(advance(sums, (chunk - 1) * 8))", "bound -= 0.0"),
    ),
]
