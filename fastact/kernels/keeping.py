"""Where the fields are of the memory keeper's state, all of them 64-bit integers; see ``fastact.runtime.keeper``."""

from fastact.kernels.fields import LINE

MOST_BYTES, NUMPYS_MALLOC, NUMPYS_CALLOC, NUMPYS_REALLOC, NUMPYS_FREE, HUGE_PAGES = range(6)
"""How many bytes are kept at most, 0 while nothing is; NumPy's own four functions; and whether huge pages are advised, as NumPy
does unless it was told otherwise."""

SWEEP, ATTRIBUTES, SIGNALS, TRIM, PERIOD, MARK_AFTER, LEAVE_AFTER = range(LINE, LINE + 7)
"""What makes the sweeper: the address of its code, of its thread's attributes and of the set of all signals; the C library's
``malloc_trim``, 0 where it has none; the microseconds from one look of the sweeper's to the next; and the nanoseconds that nobody
has wanted a block, after which the system may take its pages, and is given them."""

LOCK = 2 * LINE

BYTES, COUNT, SWEEPER, REUSED = range(3 * LINE, 3 * LINE + 4)
"""How many bytes and blocks are kept; whether there is a sweeper, or -1 where the system has no thread for one; and how often a
block was taken from those kept."""

FIRST_BLOCK, BLOCKS = 4 * LINE, 128
ADDRESS, CAPACITY, SINCE, MARKED, BLOCK_FIELDS = range(5)
"""Of each block that is kept: where it is, how large, since when, by the clock, and whether the system may take its pages."""

KEEPER_FIELDS = FIRST_BLOCK + BLOCKS * BLOCK_FIELDS

HOLD, LET_GO, RELEASE = range(3)
"""What the keeper can be told: that nobody may change its list, that everybody may again, and to keep so many bytes at most now."""
