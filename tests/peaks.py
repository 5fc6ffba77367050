"""How much memory a call takes at most."""

import tracemalloc


def peak_bytes(call):
    """Number of bytes that Python and NumPy hold at most of what is allocated during a call, results among them."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
