"""Gives a result to integer operations that LLVM leaves undefined, for users' formulas may come to them with any operands.

A processor interrupts the program at some divisions. Of other undefined results LLVM concludes that no operands lead to them: it
would drop the check of a divisor or of a loop's end behind one, and the process would die, or hang.
"""

import re

from fastact.kernels.intrinsics import ANY_INTEGER

FROM_FLOAT = re.compile(
    rf"^(\s*\S+ = )(fpto[su]i) (half|float|double) (\S+) to i(\d+)\b(?!.*!{re.escape(ANY_INTEGER)})", re.M
)
OPERATION = re.compile(
    r'^(\s*)(%"?)([^\s"]+)("?) = (shl|lshr|ashr|[su]div|[su]rem)((?: [a-z]+)*) i(\d+) (\S+), (%\S+?)(?=,|$)', re.M
)
"""A shift or a division by no constant."""
BITS = {"half": 16, "float": 32, "double": 64}


def defined(module: str) -> str:
    """LLVM's code with operations that are defined for all operands.

    A float that an integer type has no room for becomes its nearest integer, NaN 0. Shifted as in NumPy, by the integer's width
    or more, or by less than 0, a number leaves 0, or -1 if it is negative and shifted to the right. Divided by 0, or by -1 if that
    overflows, it is as if divided by 1; Numba checks most divisors, and does not come to that.
    """
    intrinsics: set[str] = set()

    def saturating(match: re.Match[str]) -> str:
        before, conversion, kind, number, width = match.groups()
        name = f"i{width} @llvm.{conversion}.sat.i{width}.f{BITS[kind]}"
        intrinsics.add(f"declare {name}({kind})")
        return f"{before}call {name}({kind} {number})"

    module = OPERATION.sub(_guarded, FROM_FLOAT.sub(saturating, module))
    return "\n".join([module, *sorted(line for line in intrinsics if line not in module)])


def _guarded(match: re.Match[str]) -> str:
    margin, opening, name, closing, operation, flags, width, left, right = match.groups()
    kind, bits = f"i{width}", int(width)

    def new(part: str) -> str:
        return f'%"fastact.{part}.{name}"'

    if operation in ("shl", "lshr", "ashr"):
        most, rest = (bits - 1, left) if operation == "ashr" else (0, 0)
        lines = [
            f"{new('fits')} = icmp ult {kind} {right}, {bits}",
            f"{new('left')} = select i1 {new('fits')}, {kind} {left}, {kind} {rest}",
            f"{new('right')} = select i1 {new('fits')}, {kind} {right}, {kind} {most}",
        ]
        left = new("left")
    else:
        lines = [f"{new('wrong')} = icmp eq {kind} {right}, 0"]
        if operation in ("sdiv", "srem"):
            lines = [
                f"{new('zero')} = icmp eq {kind} {right}, 0",
                f"{new('smallest')} = icmp eq {kind} {left}, {-(2 ** (bits - 1))}",
                f"{new('negated')} = icmp eq {kind} {right}, -1",
                f"{new('overflow')} = and i1 {new('smallest')}, {new('negated')}",
                f"{new('wrong')} = or i1 {new('zero')}, {new('overflow')}",
            ]
        lines.append(f"{new('right')} = select i1 {new('wrong')}, {kind} 1, {kind} {right}")
    lines.append(f"{opening}{name}{closing} = {operation}{flags} {kind} {left}, {new('right')}")
    return "\n".join(margin + line for line in lines)
