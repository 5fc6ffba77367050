"""Faults in losses, and in the softmax of some elements, for ``mutant_table.py``.

Beside formulas it is what follows from reductions and from writing in place: weights, divisors, rows and pixels that are ignored or
masked, the ends of blocks, memory that is still to be read.
"""

from mutant import of

LOSSES = [
    # Rows with a label each.
    *of(
        "functions/labelled_losses.py",
        "labelled_losses.py::test_weights_ignored_rows_and_reductions[nll_loss]",
        (
            "a weighted mean divides by the rows",
            "return total_weight(request, ignored) if weighted else float(request.target.size - ignored)",
            "return float(request.target.size - ignored)",
        ),
        (
            "a mean of labelled rows counts ignored ones",
            "float(request.target.size - ignored)",
            "float(request.target.size)",
            "labelled_losses.py::test_weights_ignored_rows_and_reductions[multi_margin_loss]",
        ),
        (
            "zeros over logits that are still to be read",
            "direct = out.dtype.isnative and out.flags.aligned and not any(np.may_share_memory(out, x) for x in reads)",
            "direct = out.dtype.isnative and out.flags.aligned",
            "labelled_losses.py::test_in_place_and_labels_of_any_dtype[nll_loss]",
        ),
        (
            "a mean of no row is 0",
            "rounded(total * math.inf, dtype)",
            "rounded(total, dtype)",
            "labelled_losses.py::test_nan_at_every_position[nll_loss]",
        ),
    ),
    *of(
        "functions/multiclass_losses.py",
        "labelled_losses.py::test_precision[float32-focal_loss]",
        (
            "a sign in the slope of the focal loss",
            "(one + select(p == zero, zero, gamma",
            "(one - select(p == zero, zero, gamma",
        ),
        (
            "a second derivative at the label",
            "T(-factor * q), T(factor * q * p)",
            "T(-factor * q), T(factor * p)",
            "labelled_losses.py::test_cross_entropy_with_grad_hess_has_the_gradient_of_cross_entropy",
        ),
        (
            "a gradient of labels has no weight",
            "type(x_label)(-scale * weight)",
            "type(x_label)(-scale)",
            "labelled_losses.py::test_weights_ignored_rows_and_reductions[nll_loss]",
        ),
    ),
    *of(
        "functions/margin_losses.py",
        "labelled_losses.py::test_ties_and_kinks_of_margins",
        ("what ties with the label loses nothing", "others = ties - one", "others = ties - ties"),
        (
            "a slope at the margin",
            "factor * select(p > 1.5, T(2) * gap, select(gap > T(0)",
            "factor * select(p > 1.5, T(2) * gap, select(gap >= T(0)",
        ),
        ("each of the largest scores has the whole slope", "T(active / count)", "T(active)"),
    ),
    *of(
        "kernels/across.py",
        "programs.py::test_the_largest_of_a_row",
        (
            "the largest of a column is not its first",
            "(best, block)\n    for k in range(c):",
            "(best, block)\n    for k in range(1, c):",
        ),
    ),
    *of(
        "kernels/segments.py",
        "programs.py::test_the_largest_of_a_row",
        ("the largest of a long row is that of its first segment", "maximum(first[0], second[0])", "first[0]"),
    ),
    *of(
        "functions/accuracies.py",
        "labelled_losses.py::TestAccuracies::test_against_sorting",
        (
            "of equal scores the last is best",
            "np.arange(rows.shape[-1]) < labels",
            "np.arange(rows.shape[-1]) > labels",
        ),
        (
            "a NaN is no largest score",
            "select((x <= x_label) | unknown, T(0), T(1))",
            "select(x > x_label, T(1), T(0))",
            "labelled_losses.py::TestAccuracies::test_nan_is_the_largest",
        ),
        (
            "an ignored row is classified",
            "all_count = check_labels(request) == 0 and not request.weighted",
            "all_count = check_labels(request) >= 0 and not request.weighted",
            "labelled_losses.py::TestAccuracies::test_what_counts",
        ),
    ),
    *of(
        "functions/hard_examples.py",
        "labelled_losses.py::TestHardExamples::test_equal_losses_and_nan",
        ("all rows of equal losses are kept", "[: needed - np.count_nonzero(chosen)]", ""),
        (
            "a share of rows is rounded down",
            "math.ceil(choice.share * counted)",
            "math.floor(choice.share * counted)",
            "table.py::test_every_variant_gives_what_the_reference_gives[ohem_cross_entropy]",
        ),
        (
            "the gradient of one row more than are kept",
            "max(1, _divisor(kept, choice))",
            "1 + _divisor(kept, choice)",
            "labelled_losses.py::TestHardExamples::test_against_a_full_sort",
        ),
    ),
    *of(
        "functions/distillation.py",
        "labelled_losses.py::TestEntropies::test_temperature",
        ("the temperature is not squared", "losses *= degrees * degrees", "losses *= degrees"),
        (
            "halves are cooled as halves",
            "dtype = np.result_type(logits.dtype, np.float32)",
            "dtype = logits.dtype",
            "entropies.py::test_halves_are_cooled_in_float32",
        ),
        (
            "a gradient over rows that are still to be read",
            "(out is None or (overlaps and not same))",
            "(out is None)",
            "entropies.py::test_a_gradient_over_other_rows_than_its_own",
        ),
    ),
    *of(
        "functions/entropies.py",
        "entropies.py::test_what_is_impossible_adds_nothing labelled_losses.py::TestEntropies::test_identities",
        ("the surprise of what is impossible", "select(x == T(0), T(0), -x * log(x))", "-x * log(x)"),
        (
            "the entropy of logits lacks the logarithm of their sum",
            "select(n > zero, excess + spread, zero)",
            "select(n > zero, spread, zero)",
        ),
    ),
    # Of adversarial networks.
    *of(
        "functions/gan_criteria.py",
        "gan_losses.py::test_limits_and_kinks[hinge]",
        ("a slope where the hinge bends", "select(margin > T(0), -sign", "select(margin >= T(0), -sign"),
        (
            "a target is rounded to the output's precision",
            "return (x - near) - T(target - widen(near))",
            "return x - near",
            "gan_losses.py::test_precision[float32-least_squares]",
        ),
        (
            "the slope of a smoothed target",
            "T(1.0 - target) * p - T(target) * q",
            "T(1.0 - target) * p - q",
            "gan_losses.py::test_precision[float32-non_saturating]",
        ),
    ),
    *of(
        "functions/gan_elements.py",
        "gan_losses.py::test_they_are_what_other_losses_are",
        (
            "both means divide by the real samples",
            "divisor = side.elements if mean",
            "divisor = sides[0].elements if mean",
        ),
        (
            "a gradient over the other operand",
            "(not same and np.may_share_memory(out, x)) or any(np.may_share_memory(out, other) for other in others)",
            "not same and np.may_share_memory(out, x)",
            "gan_calls.py::test_out_may_be_any_operand[mean]",
        ),
        (
            "a mean counts masked outputs",
            "mask.size - int(np.count_nonzero(mask)) for",
            "mask.size for",
            "gan_calls.py::test_masked_elements_count_nothing",
        ),
        (
            "smoothing where there are no targets",
            "if smoothing and not kind.smooths:",
            "if smoothing and not kind:",
            "gan_calls.py::test_what_is_refused",
        ),
    ),
    # Of regions.
    *of(
        "functions/region_kernels.py",
        "region_losses.py::test_ignored_pixels_count_nothing[False-multiclass]",
        ("an ignored pixel is of another class", "return own, counted - own", "return own, T(1) - own"),
        (
            "an ignored share has a slope",
            "select(target == T(ignored), T(0), T(slope) + T(extra) * target)",
            "T(slope) + T(extra) * target",
            "region_losses.py::test_ignored_pixels_count_nothing[True-multilabel]",
        ),
    ),
    *of(
        "functions/region_passes.py",
        "region_losses.py::test_gradients_are_those_of_autograd",
        ("false pixels have no slope at the target", "(request.alpha + request.beta) * score", "request.beta * score"),
        (
            "a class that is missed is absent",
            "counted = (both + missed != 0)",
            "counted = (both != 0)",
            "region_losses.py::test_what_is_missed_is_lost",
        ),
    ),
    *of(
        "functions/region_requests.py",
        "region_losses.py::test_out",
        (
            "a gradient over the target",
            "if np.may_share_memory(out, request.target) or (",
            "if (",
        ),
        (
            "a label of one class too many",
            "labels.min() >= 0 and labels.max() < classes",
            "labels.min() >= 0 and labels.max() <= classes",
            "region_refusals.py::test_targets_that_are_refused",
        ),
    ),
    *of(
        "functions/region_scores.py",
        "region_scores.py::test_scores_are_those_of_scikit_learn",
        ("a union counts what is common twice", "(both, either - both)", "(both, either)"),
        (
            "images share their pixels",
            "which = image[piece] * classes if images",
            "which = image[piece] if images",
            "region_scores.py::test_scores_are_those_of_the_losses",
        ),
    ),
    *of(
        "kernels/planes.py",
        "region_losses.py::test_against_the_reference",
        ("a group of classes ends at the last", "range(first, min(c, first + GROUP))", "range(first, c)"),
        (
            "the last block of pixels is left out",
            "for first in range(0, pixels, BLOCK):",
            "for first in range(0, max(1, pixels - BLOCK), BLOCK):",
            "region_losses.py::test_pieces_of_large_images",
        ),
    ),
    # How they are walked.
    *of(
        "kernels/pointwise.py",
        "gan_losses.py::test_sums_are_those_of_the_elements[float32-hinge]",
        (
            "a chunk's sums begin with those of the last",
            "        zero_each((sums,))\n",
            "        if start == 0:\n            zero_each((sums,))\n",
        ),
    ),
    *of(
        "kernels/labelled.py",
        "rows.py::test_same_bits_in_any_layout[multi_margin_loss_with_grad]",
        (
            "the stride of a gradient at the label",
            "store_x(advance(y, label * step), number)",
            "store_x(advance(y, label * SIZE), number)",
        ),
    ),
    *of(
        "kernels/masked.py",
        "masked_softmax.py::test_signs_masks_and_outs_of_weights",
        ("the weight of what takes no part", "weight = select(keep != 0, b, ZERO)", "weight = b"),
        (
            "what takes no part beside a NaN",
            "if scale != scale:",
            "if scale != scale and c == 0:",
            "masked_softmax.py::test_a_mask_leaves_the_function_of_the_rest[softmax]",
        ),
        (
            "a scale that is nearly 1 is 1",
            "if options[1] == 1 and options[2] == 0:",
            "if options[1] == 1:",
            "masked_softmax.py::test_scales_at_their_ends",
        ),
    ),
    *of(
        "functions/masked_softmax.py",
        "masked_softmax.py::test_a_mask_leaves_the_function_of_the_rest[log_softmax]",
        ("the logarithm of no probability is 0", "nothing=-INFINITY", "nothing=0.0"),
    ),
    *of(
        "functions/softmax_backward.py",
        "softmax.py::test_gradients_against_differences",
        (
            "the sum of products has its factor twice",
            "output * (grad - type(grad)(product))",
            "output * (grad - output * type(grad)(product))",
        ),
        (
            "a gradient where the logarithm is infinite",
            "select(output == T(-INFINITY), T(0.0), times_exp(-T(total), output, grad))",
            "times_exp(-T(total), output, grad)",
            "softmax.py::test_gradients_of_outputs_that_underflow",
        ),
    ),
    # How arguments reach them.
    *of(
        "calls/masked_rows.py",
        "masked_softmax.py::test_causal",
        (
            "queries are the first of the keys",
            "np.arange(keys - shape[-2] + 1, keys + 1)",
            "np.arange(1, shape[-2] + 1)",
            "masked_softmax.py::test_causal[3-8-softmax]",
        ),
        (
            "a scale is rounded to the array's precision",
            "[np.sign(factor), high, size - high]",
            "[np.sign(factor), high, 0.0]",
            "masked_softmax.py::test_values[wide-softmax-float32]",
        ),
        (
            "masked elements take part",
            'keep = np.ma.filled(operands["where"], False) & ~hidden',
            'keep = np.ma.filled(operands["where"], False)',
            "masked_softmax.py::test_masked_arrays",
        ),
        (
            "the logarithm of a negative sum",
            "np.copyto(result, np.nan, where=signs < 0)",
            "pass",
            "masked_softmax.py::test_weights_as_in_scipy",
        ),
    ),
    *of(
        "calls/elements.py",
        "gan_losses.py::test_halves_are_rounded_once",
        ("a weight is rounded to halves", "np.dtype(np.float32) if dtype == np.float16 and wider else dtype", "dtype"),
        (
            "the last, shorter row of elements",
            "((0, whole, ROW), (whole, size, size - whole))",
            "((0, whole, ROW),)",
            "gan_losses.py::test_sums_are_those_of_the_elements[float32-hinge]",
        ),
    ),
]
