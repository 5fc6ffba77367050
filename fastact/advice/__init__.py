"""What ``fastact advise`` finds in a program: where it leaves float32, and what one call of fastact computes.

A program is rewritten before it runs, as a syntax tree: around each operation stand hooks that look at its operands, read the clock
and hand on what they were given. The operation itself stays where it was, in the program's own frame, so results, exceptions,
warnings and random numbers are those of the program. ``instrument`` rewrites, ``recorder`` has the hooks, ``program`` runs scripts
and ``block`` watches a ``with`` block; ``forms``, ``patterns`` and ``idioms`` recognise expressions, ``promotions`` says why
float64 came about, ``estimates`` times what could be saved, and ``findings``, ``report`` and ``page`` put it together.
"""
