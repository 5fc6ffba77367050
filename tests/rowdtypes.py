"""In which dtypes functions over rows are tried: all in float32, and in the others so many that every pass is run in each.

A kernel over rows takes seconds to compile, and there are hundreds: functions times layouts times dtypes. They are made of the same
passes, ``kernels/along.py`` and ``across.py`` with two or three formulas filled in, and what a dtype changes is in the passes. So
each function is tried in one dtype in both layouts, each dtype with a function of every shape: with one operand, with two, with a
sum. ``tools/fuzz.py`` draws from all of them.
"""

OTHERS = {
    "softmax": ("float16", "float64"),
    "softmax_backward": ("float16",),
    "log_softmax_backward": ("float64",),
    "cross_entropy": (),
    "cross_entropy_with_grad": ("float16", "float64"),
    "glu": ("float16", "float64"),
    "glu_backward": ("float16", "float64"),
    "maxout of values num_pieces=3": ("float16", "float64"),
    "maxout_with_index of values num_pieces=12": ("float16", "float64"),
    "maxout_backward of values and choices num_pieces=3": ("float16", "float64"),
}
"""Other dtypes than float32, by the names of ``calls.ROW_CALLS``, for rows and for columns."""
ROWS_ONLY = {"logsumexp": ("float64",), "log_softmax": ("float64",), "softmax_backward": ("float64",)}
"""More of them for rows that are computed one by one: what they compute is promised to be precise in float64."""


def in_dtypes(name, columns=True):
    """The dtypes that a function is tried in, with rows that lie side by side, or are many and short, or only without such."""
    more = () if columns else ROWS_ONLY.get(name, ())
    return ("float32", *OTHERS.get(name, ()), *more)


def is_tried(name, dtype):
    """Whether a function is tried in a dtype in every layout."""
    return dtype in in_dtypes(name)
