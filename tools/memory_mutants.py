"""Faults in what keeps NumPy's memory, for ``mutant_table.py``."""

from mutant import of

MEMORY = [
    *of(
        "runtime/keeper.py",
        "keep_memory.py",
        (
            "zeros are what was there",
            "            zero_bytes(as_pointer(block), count * each)\n",
            "",
            "keep_memory.py::test_zeros_are_zeros",
        ),
        (
            "large zeros are written",
            "count * each < LAZY_ZEROS",
            "count * each < LARGEST",
            "keep_memory_system.py::test_large_zeros_are_made_where_they_are_touched",
        ),
        (
            "large zeros leave a block each",
            "            give_back(block)\n    block = call_of_three",
            "            put_away(state, block)\n    block = call_of_three",
            "keep_memory_system.py::test_large_zeros_are_made_where_they_are_touched",
        ),
        (
            "a block is smaller than the array",
            "if size <= capacity and better",
            "if size <= capacity + capacity // 2 and better",
            "keep_memory.py::test_the_next_array_gets_the_memory keep_memory_threads.py::test_many_threads",
        ),
        (
            "a block may be much larger",
            "size + (size >> SLACK) + 1, 0",
            "size << 2, 0",
            "keep_memory.py::test_a_smaller_array_gets_little_more_than_it_needs",
        ),
        (
            "a block is as large as NumPy says",
            "    capacity = capacity_of(block)\n    if capacity < SMALLEST",
            "    capacity = capacity_of(block) * 7 // 8\n    if capacity < SMALLEST",
            "keep_memory.py::test_a_smaller_array_gets_little_more_than_it_needs",
        ),
        (
            "one block too many is kept",
            "field(state, BYTES) + capacity <= most and",
            "field(state, BYTES) <= most and",
            "keep_memory.py::test_no_more_is_kept_than_allowed",
        ),
        (
            "a block larger than all is waited for",
            "if capacity > most or field(state, SWEEPER) < 0",
            "if field(state, SWEEPER) < 0",
            "keep_memory.py::test_no_more_is_kept_than_allowed",
        ),
        (
            "the list has no end",
            "field(state, BYTES) + capacity <= most and field(state, COUNT) < BLOCKS:",
            "field(state, BYTES) + capacity <= most and field(state, COUNT) < 2 * BLOCKS:",
            "keep_memory.py::test_many_blocks",
        ),
        (
            "the newest go first",
            "field(state, entry(number) + SINCE) < field(state, entry(found) + SINCE)",
            "field(state, entry(number) + SINCE) > field(state, entry(found) + SINCE)",
            "keep_memory.py::test_the_oldest_go_first",
        ),
        (
            "the list is anybody's",
            "return load_shared(state, LOCK) == 0 and replace_shared(state, LOCK, 0, 1)",
            "return load_shared(state, LOCK) == load_shared(state, LOCK)",
            "keep_memory_threads.py::test_a_list_that_is_in_other_hands",
        ),
        (
            "a block stays on the list",
            "    set_field(state, COUNT, last)\n    return block",
            "    return block",
            "keep_memory.py::test_many_blocks",
        ),
        (
            "no room is made for an array",
            "if block == 0 and released(state, 0) > 0:\n        block = aligned_block",
            "if block == 0 and released(state, 0) < 0:\n        block = aligned_block",
            "keep_memory_system.py::test_it_makes_room_before_an_allocation_fails",
        ),
        (
            "no room is made for zeros",
            "if block == 0 and released(state, 0) > 0:\n        block = call_of_three",
            "if block == 0 and released(state, 0) < 0:\n        block = call_of_three",
            "keep_memory_system.py::test_it_makes_room_before_an_allocation_fails",
        ),
        (
            "no room is made for a larger array",
            "if moved == 0 and released(state, 0) > 0",
            "if moved == 0 and released(state, 0) < 0",
            "keep_memory_system.py::test_it_makes_room_before_an_allocation_fails",
        ),
        (
            "the C library keeps it",
            "        trim(state)\n        return bytes_released",
            "        return bytes_released",
            "keep_memory_system.py::test_the_system_gets_it_back",
        ),
        (
            "the sweeper stays",
            "            going = False\n",
            "            going = True\n",
            "keep_memory_system.py::test_what_nobody_wants_goes_by_itself",
        ),
        (
            "the sweeper does not come back",
            "            set_field(state, SWEEPER, 0)\n",
            "",
            "keep_memory_system.py::test_what_nobody_wants_goes_by_itself",
        ),
        (
            "the system may take nothing",
            "            advise(start, end - start, LAZILY)\n",
            "            pass\n",
            "keep_memory_system.py::test_what_nobody_wants_goes_by_itself",
        ),
        (
            "an idle block is on the list and given back",
            "            add(state, block, capacity, since, 1)\n            block = 0\n",
            "            add(state, block, capacity, since, 1)\n",
            "keep_memory_system.py::test_what_the_system_might_have_taken_is_used_again",
        ),
    ),
    *of(
        "runtime/numpy_memory.py",
        "keep_memory.py",
        (
            "a forked child has a sweeper",
            "    state[keeping.SWEEPER] = min(state[keeping.SWEEPER], 0)\n",
            "",
            "keep_memory_threads.py::test_forks_in_the_middle",
        ),
        (
            "a forked child keeps its parent's pages",
            "    state[keeping.LOCK] = 0\n    manage(keeping.RELEASE)\n",
            "    state[keeping.LOCK] = 0\n",
            "keep_memory_threads.py::test_forks_in_the_middle",
        ),
        (
            "a fork keeps the list",
            "    _holders.clear()\n    state[keeping.LOCK] = 0\n",
            "    _holders.clear()\n",
            "keep_memory_threads.py::test_a_list_that_is_in_other_hands",
        ),
        (
            "NumPy stays changed",
            "        setattr(handler, name, state[getattr(keeping",
            "        print(handler, name, state[getattr(keeping",
            "keep_memory_calls.py::test_numpy_is_as_it_was",
        ),
        (
            "a lower bound holds from the next array on",
            "    manage(keeping.RELEASE, most_bytes)\n",
            "",
            "keep_memory_calls.py::test_nested_blocks",
        ),
        (
            "debugged memory is taken for the C library's",
            '    if sys.flags.dev_mode or "debug" in os.environ.get("PYTHONMALLOC", ""):\n        return True\n',
            "    return False\n",
            "keep_memory_calls.py::test_where_memory_cannot_be_kept",
        ),
        (
            "a torn list is taken over",
            "        state[keeping.COUNT] = state[keeping.BYTES] = 0\n",
            "        pass\n",
            "keep_memory_threads.py::test_a_list_that_is_in_other_hands",
        ),
    ),
    *of(
        "keeping.py",
        "keep_memory.py",
        (
            "a block ends what was before it",
            "                _standing, self._before = self._before, None\n",
            "                _standing = None\n                _drop(self._before)\n",
            "keep_memory_calls.py::test_nested_blocks",
        ),
        (
            "calls without a block are many",
            "                _drop(self._before)\n                _standing = None\n",
            "                _standing = None\n",
            "keep_memory_calls.py::test_nested_blocks",
        ),
        (
            "a control group's limit is overlooked",
            'threads.cgroups("memory")',
            'threads.cgroups("cpu")',
            "keep_memory_calls.py::test_the_default_is_a_share_of_what_there_is",
        ),
        (
            "a boolean is a number of bytes",
            "if isinstance(max_bytes, bool):",
            "if False:",
            "keep_memory_calls.py::test_errors",
        ),
    ),
]
