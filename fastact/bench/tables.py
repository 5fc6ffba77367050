"""Tables as aligned text or as Markdown."""

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]], markdown: bool = False) -> str:
    """Lay out rows of text under a head; everything after the first column is aligned to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    if markdown:
        ruler = [":--", *["--:"] * (len(head) - 1)]
        return "\n".join(f"| {' | '.join(row)} |" for row in (head, ruler, *rows))
    return "\n".join(_aligned(row, widths).rstrip() for row in (head, ["-" * width for width in widths], *rows))


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [text.rjust(width) for text, width in zip(row, widths, strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *padded[1:]])
