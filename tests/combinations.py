"""Fewer combinations than all: every value of an option meets every value of the others, by pairs, by threes."""

import itertools


def covering(strength, options, allowed=lambda row: True):
    """Rows, as dictionaries, in which any ``strength`` options together take all the values that they can; always the same.

    Of all rows that are ``allowed`` each one is taken that adds the most to what has been met so far.
    """
    rows = [dict(zip(options, values, strict=True)) for values in itertools.product(*options.values())]
    meets = [
        {tuple((name, repr(row[name])) for name in names) for names in itertools.combinations(options, strength)}
        for row in rows
        if allowed(row)
    ]
    rows, left, chosen = [row for row in rows if allowed(row)], set().union(*meets), []
    while left:
        best = max(range(len(rows)), key=lambda i: len(meets[i] & left))
        left -= meets[best]
        chosen.append(rows[best])
    return chosen
