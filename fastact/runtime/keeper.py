"""The memory keeper: the four functions of a handler of NumPy's that keeps large blocks instead of giving them back.

Memory that is fresh from the system costs a page fault, and zeros that nobody reads, for every page of a result. So a block of
``SMALLEST`` bytes or more that NumPy frees is put on a list, and the next array of about that size gets it. Everything else, and
every call that finds the list in another thread's hands, goes where it would have gone without the keeper: nobody waits.

Each block is one of the C library's, and its size is what the C library says. So any block may be freed, or reallocated, by NumPy's
own functions and by these, whoever made it and whenever: handlers can change while arrays live.

What is kept is bounded; a thread that exists only while something is kept gives back what nobody has wanted for a while, and before
that lets the system take the pages if it is short of memory. Nothing here calls the interpreter. NumPy may call with or without its
lock.
"""

from typing import Any

from fastact.kernels.jit import internal
from fastact.kernels.keeping import (
    ADDRESS,
    ATTRIBUTES,
    BLOCK_FIELDS,
    BLOCKS,
    BYTES,
    CAPACITY,
    COUNT,
    FIRST_BLOCK,
    HOLD,
    HUGE_PAGES,
    LEAVE_AFTER,
    LET_GO,
    LOCK,
    MARK_AFTER,
    MARKED,
    MOST_BYTES,
    NUMPYS_CALLOC,
    NUMPYS_FREE,
    NUMPYS_MALLOC,
    NUMPYS_REALLOC,
    PERIOD,
    REUSED,
    SIGNALS,
    SINCE,
    SWEEP,
    SWEEPER,
    TRIM,
)
from fastact.kernels.memory import as_address, as_pointer, field, set_field, stack_integers, zero_bytes
from fastact.runtime.allocation import (
    advise,
    aligned_block,
    call_of_three,
    call_of_two,
    capacity_of,
    give_back,
    let_others_run,
    make_thread,
    set_signal_mask,
    sleep_microseconds,
)
from fastact.runtime.system import clock, load_shared, replace_shared, store_shared

SMALLEST = 1 << 16
"""Bytes from which on a block is kept; the C library keeps smaller ones itself."""
HUGE = 1 << 22
"""Bytes from which on NumPy advises huge pages, and we do."""
LAZY_ZEROS = 1 << 25
"""Bytes from which on zeros are always the system's, which makes them where they are touched; smaller ones are written, as the C
library does by itself."""
SLACK = 3
"""A block serves arrays that are smaller than it by up to their size over 2**3."""
LARGEST = 1 << 62
ALIGNMENT, PAGE, HUGE_PAGE = 64, 1 << 12, 1 << 21
LAZILY, HUGELY = 8, 14
"""``MADV_FREE`` and ``MADV_HUGEPAGE``."""

PATIENCE = 20_000
"""How often a thread that must have the list lets others run before it believes that nobody will give it."""
A_WHILE = 1_000
"""Microseconds after which the sweeper, which can wait, tries again."""
SIG_BLOCK, SIG_SETMASK, SIGNAL_WORDS = 0, 2, 16

thread_id = stack_integers(1)
signals_before = stack_integers(SIGNAL_WORDS)


# What NumPy calls.


def malloc(state: Any, size: Any) -> Any:
    """Memory for an array."""
    if size < SMALLEST:
        block = call_of_two(field(state, NUMPYS_MALLOC), 0, size)
        if block == 0 and released(state, 0) > 0:
            block = call_of_two(field(state, NUMPYS_MALLOC), 0, size)
        return block
    block = taken(state, size)
    return block if block != 0 else fresh(state, size)


def calloc(state: Any, count: Any, each: Any) -> Any:
    """Zeros for an array."""
    if 0 < count < LARGEST and 0 < each < LARGEST // count and count * each >= SMALLEST:
        block = taken(state, count * each)
        if block != 0 and count * each < LAZY_ZEROS:
            zero_bytes(as_pointer(block), count * each)
            return block
        if block != 0:  # or there would be one more on the list each time
            give_back(block)
    block = call_of_three(field(state, NUMPYS_CALLOC), 0, count, each)
    if block == 0 and released(state, 0) > 0:
        block = call_of_three(field(state, NUMPYS_CALLOC), 0, count, each)
    return block


def realloc(state: Any, block: Any, size: Any) -> Any:
    """Memory of another size with the same beginning: the C library's, which moves large blocks without a copy."""
    moved = call_of_three(field(state, NUMPYS_REALLOC), 0, block, size)
    if moved == 0 and released(state, 0) > 0:
        moved = call_of_three(field(state, NUMPYS_REALLOC), 0, block, size)
    return moved


def free(state: Any, block: Any, size: Any) -> Any:
    """Take memory back, of as many bytes as NumPy believes that there are."""
    if size < SMALLEST or block == 0 or not put_away(state, block):
        call_of_three(field(state, NUMPYS_FREE), 0, block, size)
    return 0


# What the package calls.


def manage(state: Any, command: Any, amount: Any) -> Any:
    """Do what the keeper is told; whether nobody may change the list now, or the number of bytes that were given back."""
    if command == HOLD:
        return 1 if acquired(state) else 0
    if command == LET_GO:
        unlock(state)
    else:
        bytes_released = released(state, amount)
        trim(state)
        return bytes_released
    return 0


# The list.


@internal
def try_lock(state: Any) -> Any:
    """Whether the list is the caller's now, until it unlocks it."""
    return load_shared(state, LOCK) == 0 and replace_shared(state, LOCK, 0, 1)


@internal
def acquired(state: Any) -> Any:
    """Wait until the list is the caller's, which takes others no longer than to look through it; whether it is.

    It is not if its holder never comes back: a child that C code has forked meanwhile, or a fork that this thread itself is in.
    """
    for _ in range(PATIENCE):
        if try_lock(state):
            return True
        let_others_run()
    return False


@internal
def acquire(state: Any) -> None:
    """Wait until the list is the caller's."""
    while not acquired(state):
        sleep_microseconds(A_WHILE)


@internal
def unlock(state: Any) -> None:
    """Let others have the list."""
    store_shared(state, LOCK, 0)


@internal
def entry(number: Any) -> Any:
    """Where the fields of a block on the list begin."""
    return FIRST_BLOCK + number * BLOCK_FIELDS


@internal
def add(state: Any, block: Any, capacity: Any, since: Any, marked: Any) -> None:
    """Put a block on the list, which is the caller's and has room."""
    count = field(state, COUNT)
    place = entry(count)
    set_field(state, place + ADDRESS, block)
    set_field(state, place + CAPACITY, capacity)
    set_field(state, place + SINCE, since)
    set_field(state, place + MARKED, marked)
    set_field(state, COUNT, count + 1)
    set_field(state, BYTES, field(state, BYTES) + capacity)


@internal
def remove(state: Any, number: Any) -> Any:
    """Take a block off the list, which is the caller's; its address."""
    last = field(state, COUNT) - 1
    place, end = entry(number), entry(last)
    block = field(state, place + ADDRESS)
    set_field(state, BYTES, field(state, BYTES) - field(state, place + CAPACITY))
    for j in range(BLOCK_FIELDS):
        set_field(state, place + j, field(state, end + j))
    set_field(state, COUNT, last)
    return block


@internal
def oldest(state: Any) -> Any:
    """The number of the block that has been on the list for longest."""
    found = 0
    for number in range(1, field(state, COUNT)):
        if field(state, entry(number) + SINCE) < field(state, entry(found) + SINCE):
            found = number
    return found


@internal
def taken(state: Any, size: Any) -> Any:
    """A block from the list that is the caller's now; 0 if none fits."""
    if load_shared(state, COUNT) == 0 or not try_lock(state):
        return 0
    found, best, since = -1, size + (size >> SLACK) + 1, 0
    for number in range(field(state, COUNT)):
        place = entry(number)
        capacity = field(state, place + CAPACITY)
        # Of equal ones the last that was freed: it may still be in the processor's caches.
        better = capacity < best or (capacity == best and field(state, place + SINCE) > since)
        if size <= capacity and better:
            found, best, since = number, capacity, field(state, place + SINCE)
    block = 0
    if found >= 0:
        block = remove(state, found)
        set_field(state, REUSED, field(state, REUSED) + 1)
    unlock(state)
    return block


@internal
def put_away(state: Any, block: Any) -> Any:
    """Keep a block, and give back older ones for which there is no room then; whether it is kept."""
    capacity = capacity_of(block)
    if capacity < SMALLEST:  # whoever freed it is mistaken
        return False
    for _ in range(BLOCKS + 1):
        if not try_lock(state):
            return False
        most = field(state, MOST_BYTES)
        if capacity > most or field(state, SWEEPER) < 0:
            unlock(state)
            return False
        if field(state, BYTES) + capacity <= most and field(state, COUNT) < BLOCKS:
            add(state, block, capacity, clock(), 0)
            alone = field(state, SWEEPER) == 0
            if alone:
                set_field(state, SWEEPER, 1)
            unlock(state)
            if alone:
                start_sweeper(state)
            return True
        out = remove(state, oldest(state))
        unlock(state)
        give_back(out)
    return False


@internal
def released(state: Any, amount: Any) -> Any:
    """Give blocks back, the oldest first, until no more than so many bytes are kept; the number of bytes given back."""
    total = 0
    while acquired(state):
        before = field(state, BYTES)
        if field(state, COUNT) == 0 or before <= amount:
            unlock(state)
            return total
        block = remove(state, oldest(state))
        total += before - field(state, BYTES)
        unlock(state)
        give_back(block)
    return total


@internal
def fresh(state: Any, size: Any) -> Any:
    """A block from the C library, whose beginning is that of a cache line."""
    rounded = (size + ALIGNMENT - 1) & -ALIGNMENT
    block = aligned_block(ALIGNMENT, rounded)
    if block == 0 and released(state, 0) > 0:
        block = aligned_block(ALIGNMENT, rounded)
    if block != 0 and size >= HUGE and field(state, HUGE_PAGES) != 0:
        start = block & -PAGE
        advise(start, block + size - start, HUGELY)
    return block


@internal
def trim(state: Any) -> None:
    """Let the C library give what it has free to the system."""
    if field(state, TRIM) != 0:
        call_of_two(field(state, TRIM), 0, 0)


# The sweeper.


@internal
def start_sweeper(state: Any) -> None:
    """Make the thread that gives back what nobody wants; without one nothing is kept."""
    before = as_address(signals_before())
    set_signal_mask(SIG_BLOCK, field(state, SIGNALS), before)  # a thread begins with its maker's
    failed = make_thread(as_address(thread_id()), field(state, ATTRIBUTES), field(state, SWEEP), as_address(state))
    set_signal_mask(SIG_SETMASK, before, 0)
    if failed != 0:
        store_shared(state, SWEEPER, -1)
        released(state, 0)


def sweep(args: Any, dims: Any, steps: Any, data: Any) -> None:
    """Look through the list now and then, for as long as there is something on it.

    The system starts a thread here with one argument, the state, and gets nothing back.
    """
    state = as_pointer(as_address(args))
    going = True
    while going:
        sleep_microseconds(field(state, PERIOD))
        given = give_back_old(state)
        mark_idle(state)
        acquire(state)
        if field(state, COUNT) == 0:
            set_field(state, SWEEPER, 0)
            going = False
        unlock(state)
        if given:
            trim(state)


@internal
def give_back_old(state: Any) -> Any:
    """Give back what has been on the list for long; whether there was any."""
    given = False
    while True:
        acquire(state)
        if field(state, COUNT) == 0:
            unlock(state)
            return given
        number = oldest(state)
        if clock() - field(state, entry(number) + SINCE) < field(state, LEAVE_AFTER):
            unlock(state)
            return given
        block = remove(state, number)
        unlock(state)
        give_back(block)
        given = True


@internal
def mark_idle(state: Any) -> None:
    """Let the system take the pages of blocks that nobody has wanted for some time; those that it does not take cost nothing."""
    while True:
        acquire(state)
        found = -1
        now = clock()
        for number in range(field(state, COUNT)):
            place = entry(number)
            if field(state, place + MARKED) == 0 and now - field(state, place + SINCE) >= field(state, MARK_AFTER):
                found = number
        if found < 0:
            unlock(state)
            return
        place = entry(found)
        capacity, since = field(state, place + CAPACITY), field(state, place + SINCE)
        block = remove(state, found)
        unlock(state)  # it takes the system some time
        unit = HUGE_PAGE if capacity >= HUGE else PAGE  # half a huge page would break it up
        start, end = (block + unit - 1) & -unit, (block + capacity) & -unit
        if end > start:
            advise(start, end - start, LAZILY)
        acquire(state)
        if field(state, COUNT) < BLOCKS and field(state, BYTES) + capacity <= field(state, MOST_BYTES):
            add(state, block, capacity, since, 1)
            block = 0
        unlock(state)
        if block != 0:
            give_back(block)
