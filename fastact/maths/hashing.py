"""Random numbers that are computed from an index and a key, and kept nowhere.

An index goes twice through a mixing of its bits, a half of the key before each. Mixing is made of shifts and of multiplications by
odd numbers, each of which can be undone, so no two indices below 2**32 get the same number. Vectors compute it without a table, and
no element waits for the one before.
"""

from fastact.maths.scalar import scalar
from fastact.maths.simd import Scalar, add, bit_xor, multiply, shift_right_filling

FIRST_FACTOR, SECOND_FACTOR = 0x48BCC71B, 0x569D3995
"""Found by ``tools/derive_hash.py``, among random odd ones: each bit of an index turns each of the 20 higher bits of the result
every other time, as far as 2**18 indices can tell."""
SHIFTS = 16, 15
"""Half a word, so that the higher half of the bits reaches the lower before each multiplication, which carries upwards only. It is
the highest bits that numbers are compared by, so no shift follows the last one. (What shifts and factors there are of this kind,
and how to look for them: C. Wellons, Prospecting for hash functions, 2018.)"""


@scalar
def mixed(i: Scalar) -> Scalar:
    """32 bits, of which the higher ones depend on all of the integer's."""
    i = bit_xor(i, shift_right_filling(i, SHIFTS[0]))
    i = multiply(i, FIRST_FACTOR)
    i = bit_xor(i, shift_right_filling(i, SHIFTS[1]))
    return multiply(i, SECOND_FACTOR)


@scalar
def drawn(index: Scalar, low: Scalar, high: Scalar) -> Scalar:
    """The random number of an index for a key of two halves: all are int32, of any value."""
    return mixed(add(mixed(bit_xor(index, low)), high))
