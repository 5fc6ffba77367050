"""Every public function: one block each, holding what it computes, its derivative, the reference for both, and the record.

Scalar functions are written on ``fastact.maths`` and compile to branch-free SIMD loops. A reference takes the maths
namespace ``m`` first: NumPy's functions on float64 arrays (``fastact.reference``), or mpmath's in the tests. It is a different
formula, chosen to be obviously right. A reference derivative returns the terms that add up to the derivative. Functions that are
no elementwise op have a reference of whole arrays, which takes what the function takes.

Conventions: NaN in gives NaN out; at infinity a function returns its limit; a tail is scaled last, so that a product with a
subnormal factor is still right.
"""
