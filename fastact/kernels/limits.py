"""Sizes on which kernels agree with those who call them; no Numba."""

LANES, CHUNK = 64, 1024
"""Elements of a step over a row, whose lanes are added up separately, and of a chunk, whose lanes are then added together."""
SEGMENT = 65536
"""Rows that are longer are computed as segments of so many elements, whether by one thread or by several."""
MOST_PIECES = 8
"""Maxout's groups of so many pieces or fewer have kernels of their own."""
LABEL_DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
"""The kinds of labels, as ``memory.load_label`` counts them."""
INVALID, DIVIDE, OVER, UNDER = 1, 2, 4, 8
"""The floating-point exceptions that NumPy reports, as kernels name them to each other."""
LOSS, WEIGHT, LSE, ARGMAX, RESULTS = range(5)
"""Places of the results of a row with a label, which are of float64, and how many there are."""
WANT_WEIGHT, WANT_LSE, WANT_ARGMAX = 1 << WEIGHT, 1 << LSE, 1 << ARGMAX
"""Bits of what is wanted of these but for the loss; others are not written."""
