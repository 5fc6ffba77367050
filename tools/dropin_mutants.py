"""Faults in what stands in for NumPy's reductions and selects, and in bfloat16, for ``mutant_table.py``."""

from mutant import of

DROP_IN = [
    *of(
        "kernels/reductions.py",
        "numpy_reductions",
        (
            "what an addition rounds away is lost",
            "(parts[0] - added))\n",
            "(parts[0] - added)) * 0.0\n",
            "numpy_reductions.py::test_what_additions_round_away_is_kept",
        ),
        (
            "rows beyond the last four are lost",
            "for k in range(fours, last):",
            "for k in range(last, last):",
            "numpy_reductions.py::test_results_are_those_of_numpy[sum-float32-columns]",
        ),
        (
            "NaN is not the largest",
            "select(x != x, x, best)",
            "best",
            "numpy_reductions.py::test_special_values_and_what_is_reported",
        ),
    ),
    *of(
        "functions/numpy_reductions.py",
        "numpy_reductions",
        (
            "an overflow is nobody's to report",
            "if values is None or (reports and not explained(values, found.view)):",
            "if values is None:",
            "numpy_reductions.py::test_special_values_and_what_is_reported",
        ),
        (
            "the last of equal elements",
            "for k in range(len(x) - 1, -1, -1):",
            "for k in range(len(x)):",
            "numpy_reductions.py::test_the_first_of_equal_elements_and_of_nans",
        ),
    ),
    *of(
        "functions/reduction_calls.py",
        "numpy_reductions",
        (
            "results lie as the array does",
            "        result = result.transpose(found.order)\n",
            "        pass\n",
            "numpy_reductions.py::test_layouts[sum-turned]",
        ),
        (
            "results are views of others",
            'result.copy(order="K")  #',
            "result  #",
            "numpy_reductions.py::test_keepdims_and_out[max-float32]",
        ),
    ),
    *of(
        "functions/numpy_selects.py",
        "numpy_selects",
        (
            "the last condition decides",
            "zip(reversed(condlist), reversed(choicelist), strict=True)",
            "zip(condlist, choicelist, strict=True)",
            "numpy_selects.py::test_select",
        ),
        (
            "shapes of choices are not looked at",
            "- {()}) == 1:",
            "- {()}) >= 1:",
            "numpy_selects.py::test_what_select_leaves_to_numpy",
        ),
        (
            "a bound by name and one by place",
            " and not (named and placed)",
            "",
            "numpy_selects.py::test_clip_means_what_it_means_in_numpy",
        ),
    ),
    *of(
        "kernels/selecting.py",
        "numpy_selects",
        ("conditions side by side", "if steps[j] == 1:", "if True:", "numpy_selects.py::test_where"),
    ),
    *of(
        "kernels/memory.py",
        "standins",
        (
            "the last element of a short array",
            "list(range(count))), limit)",
            "list(range(1, count + 1))), limit)",
            "standins.py::test_exceptions_are_those_of_numpy[exp-float32]",
        ),
    ),
    *of(
        "kernels/widened.py",
        "bfloat16",
        (
            "halves are rounded up",
            "0x40, 0x7FFF\n",
            "0x40, 0x8000\n",
            "bfloat16.py::test_every_value",
        ),
    ),
    *of(
        "maths/scaled.py",
        "masked_softmax",
        (
            "an infinite weight of nearly nothing",
            "== widen(INFINITY)), widen(1.0), e)",
            "== widen(INFINITY)), widen(0.0), e)",
            "masked_softmax.py::test_infinite_weights[f4]",
        ),
    ),
]
