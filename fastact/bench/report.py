"""Cells as text: what ``fastact bench`` prints, and the words and numbers that its pages share."""

from collections.abc import Iterable, Sequence
from typing import Any

from . import programs
from .company import FASTACT, NUMPY, ONE_THREAD, OP_ALONE, PRODUCT_ALONE
from .measure import Cell
from .peers import PEERS
from .results import Result
from .tables import table

TITLES = {"numpy": "NumPy", "numexpr": "NumExpr", "torch": "PyTorch", "jax": "JAX", "onnxruntime": "ONNX Runtime"}
"""What the peers call themselves."""

NOTE = """\
fastact: the quickest call, and by how much the third quartile of the rounds is above it; GB/s: what is read and written,
once; ULP: the largest error of the result in units of its last place, on a sample. Others: the quickest call, and the
median of its ratio to fastact's in the same round (quartiles); *: allocates its result, for want of an out. "slower than"
names who was quicker than fastact, with ~ where the quartiles lie on both sides of 1."""

PROGRAMS_NOTE = """\
Times are the median of all steps; p99: what one in a hundred of fastact's steps exceeds. Ratios are formed within a round, and the
median over the rounds is shown (quartiles): of the medians of the rounds, and, under "means", of their means, in which a rare late
step counts. Above 1 fastact is quicker than NumPy, and with its threads quicker than on one. The versions differ in activations
and functions over rows; matrix products are BLAS's in all, with as many threads as BLAS takes."""
ERF_NOTE = "NumPy's gelu takes SciPy's erf."
TANH_NOTE = "gelu is the form with tanh, in both versions: SciPy is not installed."
PARTS_NOTE = """\
Medians. Sum: the product and the op in turns, over the product alone and the op alone on one thread: above 1, they are worse off
together, threads and all. Product: beside the op over alone; beside one: the same where the op has one thread. Op: on one thread
over with fastact's threads, both beside the product: above 1, threads pay there."""
BESIDE_NOTE = """\
fastact's time with its threads over that on one thread, beside so many processes that compute without end: of the median, the
mean and the 99th percentile, the median over the rounds (quartiles). Below 1 threads pay."""


def report(cells: Sequence[Cell], markdown: bool = False) -> str:
    """A table of cells, and what its columns mean."""
    columns = peers_in(cells)
    head = ["op", "direction", "dtype", "size", "variant", "fastact", "GB/s", "ULP", *columns, "also", "slower than"]
    rows = [
        [
            *place(cell),
            own_time(cell),
            *quality(cell),
            *(ratio(cell, name) for name in columns),
            _also(cell),
            losses(cell),
        ]
        for cell in cells
    ]
    return f"{table(head, rows, markdown)}\n\n{NOTE}"


def report_of_programs(result: Result, markdown: bool = False) -> str:
    """Tables of a result's programs and of calls beside busy processes, and what their columns mean."""
    found, beside = result.get("programs", []), result.get("beside", [])
    parts = []
    if found:
        head = ["program", "NumPy", "fastact", "p99", "one thread", *RATIO_HEADS]
        told = [f"{name}: {text}" for cell in found if (text := programs.what(name := cell["program"]))]
        parts += [table(head, [_program(cell) for cell in found], markdown)]
        parts += ["\n".join([PROGRAMS_NOTE, gelu_note(result)]), _listed(told, markdown)]
    if together := [cell for cell in found if "company" in cell]:
        head = ["program", "product", "alone", "op", "one thread", "alone on one", "sum", "product", "beside one", "op"]
        parts += [table(head, [_company(cell) for cell in together], markdown), PARTS_NOTE]
    if beside:
        head = ["call", "busy processes", "fastact", "one thread", "median", "mean", "p99"]
        parts += [table(head, [_beside(cell) for cell in beside], markdown), BESIDE_NOTE]
    return "\n\n".join(filter(None, parts)) or "nothing was measured"


RATIO_HEADS = ("NumPy / fastact", "means", "one thread / fastact", "means")


def gelu_note(result: Result) -> str:
    """Which form of ``gelu`` the programs of a result took."""
    return ERF_NOTE if "scipy" in result["versions"] else TANH_NOTE


def _listed(lines: Sequence[str], markdown: bool) -> str:
    return "\n".join(f"- {line}" if markdown else line for line in lines)


def _program(cell: Cell) -> list[str]:
    seconds = cell["seconds"]
    times = [seconds[NUMPY]["median"], seconds[FASTACT]["median"], seconds[FASTACT]["p99"]]
    ratios = [cell["ratio"][name][kind] for name in (NUMPY, ONE_THREAD) for kind in ("median", "mean")]
    return [cell["program"], *map(time, (*times, seconds[ONE_THREAD]["median"])), *map(with_quartiles, ratios)]


def _company(cell: Cell) -> list[str]:
    seconds, ratio = cell["company"]["seconds"], cell["company"]["ratio"]
    times = [seconds[name] for name in ("product", PRODUCT_ALONE, "op", "op on one thread", OP_ALONE)]
    shown = ("sum", "product", "product beside one thread", "op")
    return [cell["program"], *map(time, times), *(with_quartiles(ratio[name]) for name in shown)]


def _beside(cell: Cell) -> list[str]:
    times = [cell["seconds"][name]["median"] for name in (FASTACT, ONE_THREAD)]
    return [cell["call"], str(cell["beside"]), *map(time, times), *map(with_quartiles, cell["ratio"].values())]


def with_quartiles(ratio: Sequence[Any]) -> str:
    """The median of a ratio over the rounds, and its quartiles."""
    _, low, middle, high, _ = ratio
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def peers_in(cells: Iterable[Cell]) -> list[str]:
    """The peers that take part in any of the cells."""
    found = {name for cell in cells for name in cell["ratio"]}
    return [peer for peer in PEERS if peer in found]


def place(cell: Cell) -> list[str]:
    """The op, direction, dtype, size or shape and variant."""
    op = " ".join(filter(None, (cell["op"], cell.get("setting", ""))))
    return [op, cell["direction"], cell["dtype"], size(cell), cell["variant"]]


def size(cell: Cell) -> str:
    """The number of elements, or the shape of a cell that has one."""
    return " x ".join(map(str, cell["shape"])) if "shape" in cell else f"{cell['size']:,}"


def own_time(cell: Cell) -> str:
    """The quickest call of fastact and its spread, where the result says it."""
    quickest = cell["seconds"]["fastact"]
    if "spread" not in cell:
        return time(quickest)
    return f"{time(quickest)} +{cell['spread']['fastact'][3] / quickest - 1:.0%}"


def quality(cell: Cell) -> tuple[str, str]:
    """Gigabytes per second and the largest error, where the result says them."""
    rate = f"{cell['bytes'] / cell['seconds']['fastact'] / 1e9:.3g}" if "bytes" in cell else ""
    ulp = cell.get("ulp", {}).get("fastact")
    return rate, "" if ulp is None else f"{ulp:.2f}"


def ratio(cell: Cell, name: str) -> str:
    """The time of another contender, its ratio to fastact's and the quartiles of that; empty where it takes no part."""
    if name not in cell["ratio"]:
        return ""
    star = "*" if name in cell["allocates"] else ""
    return f"{time(cell['seconds'][name])}{star}  {with_quartiles(cell['ratio'][name])}"


def losses(cell: Cell) -> str:
    """The names of those that were quicker than fastact."""
    return ", ".join(f"{'' if cell['ratio'][name][3] < 1 else '~'}{name}" for name in winners(cell))


def winners(cell: Cell) -> list[str]:
    """The peers that were quicker than fastact in most rounds."""
    return [name for name in (*PEERS, "scipy") if name in cell["ratio"] and cell["ratio"][name][2] < 1]


def _also(cell: Cell) -> str:
    """The contenders that are no peers."""
    return ", ".join(f"{name} {ratio(cell, name)}" for name in cell["ratio"] if name not in PEERS)


def time(seconds: float) -> str:
    """A time in a unit that suits it."""
    for unit, factor in (("ns", 1e9), ("us", 1e6), ("ms", 1e3)):
        if seconds * factor < 1000:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.3g} s"


def conditions(result: Result) -> list[str]:
    """The date and machine, and the versions, in a line each; and a warning if other programs were running."""
    machine = result["machine"]
    caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items() if "instruction" not in name)
    threads = f"{result['threads']} thread{'s' * (result['threads'] > 1)}"
    lines = [
        f"{result['date']}, {machine['processor']}, {threads} on {machine['cores']} cores ({caches});",
        f"{', '.join(f'{name} {version}' for name, version in result['versions'].items())}.",
    ]
    if result["busy"]:
        lines.append("**Other programs were running: do not trust these figures.**")
    return lines
