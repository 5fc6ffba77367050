"""Where float32 became float64, and which operand did it."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from .estimates import Estimator
from .forms import name_of
from .recorder import NARROW, Recorder
from .records import Sample, Site, Source, position

ASKS = (
    "astype",
    "asarray",
    "array",
    "float64",
    "double",
    "asanyarray",
    "full_like",
    "zeros_like",
    "empty_like",
    "ones_like",
)
INTEGERS = "bBhHiIlLqQ"
WIDE_INTEGERS = "iIlLqQ"
"""Those that make float64 of float32; of float16 the others would make float32."""
MAKERS = ("zeros", "ones", "empty", "full", "eye", "identity", "linspace", "arange", "loadtxt", "genfromtxt")


@dataclass
class Promotion:
    """An operation that makes float64 of float32."""

    site: Site
    cause: str
    seconds: float
    downstream: float
    """Seconds of all operations on arrays that stem from it, its own included."""
    saved: float
    """Seconds that those would take less in float32."""
    lines: tuple[int, ...]
    """The lines that compute in float64 because of it."""
    behind: tuple[tuple[Site, str], ...] = ()
    """Operations on what stems from it that would make float64 themselves, were it cured, and why."""


def find(recorder: Recorder, estimator: Estimator) -> list[Promotion]:
    """Those that no other promotion leads to, the dearest first."""
    found = []
    for site in recorder.sites:
        samples = [sample for sample in site.samples.values() if is_promotion(sample)]
        roots = [sample for sample in samples if sample.tainted <= {site.number}]
        if roots:
            sample = max(roots, key=lambda sample: sample.seconds)
            cause = _cause(site, sample, recorder)
            found.append(Promotion(site, cause, site.seconds, site.downstream, 0.0, ()))
    found.sort(key=lambda promotion: -promotion.downstream)
    for promotion in found:
        lines = set()
        for site in recorder.sites:
            for sample in site.samples.values():
                if promotion.site.number in sample.tainted:
                    lines.add(site.line)
                    promotion.saved += sample.seconds * (1 - estimator.in_float32(site, sample))
        promotion.lines = tuple(sorted(lines))
        promotion.behind = tuple(_behind(promotion.site, recorder))
        promotion.saved = min(promotion.saved, promotion.downstream)
    return found


def is_promotion(sample: Sample) -> bool:
    """Whether an array of float32 or float16 went in, and float64 came out."""
    if sample.result != "ad":
        return False
    pairs = zip(sample.codes, sample.shapes, strict=False)
    return any(
        (code in NARROW and shape) or (code[0] == "t" and ("af" in code or "ae" in code)) for code, shape in pairs
    )


def float64_from_the_start(recorder: Recorder) -> tuple[float, list[int]]:
    """Seconds of operations in float64 that no promotion leads to, and the lines whose calls make such arrays of none."""
    seconds = 0.0
    lines: dict[int, float] = {}
    for site in recorder.sites:
        for sample in site.samples.values():
            if site.kind == "call" and not name_of(site.function):
                continue  # of another library, which may do much else
            if sample.result in ("ad", "sd") and not sample.tainted and not is_promotion(sample):
                seconds += sample.seconds
                if site.kind == "call" and not any("a" in code for code in sample.codes):
                    lines[site.line] = lines.get(site.line, 0.0) + sample.largest
    return seconds, sorted(lines, key=lambda line: -lines[line])


def _behind(promotion: Site, recorder: Recorder) -> Iterator[tuple[Site, str]]:
    for site in recorder.sites:
        for sample in site.samples.values():
            if (
                site is promotion
                or promotion.number not in sample.tainted
                or is_promotion(sample)
                or sample.result != "ad"
            ):
                continue
            own = [i for i in range(len(sample.codes)) if _is_wide_itself(site, sample, i, recorder)]
            if own and "ad" in [code for i, code in enumerate(sample.codes) if i not in own]:
                yield site, _cause(site, sample, recorder, own)
                break


def _is_wide_itself(site: Site, sample: Sample, i: int, recorder: Recorder) -> bool:
    """Whether an operand would make float64 of float32, and is not what it is because of arrays that are in float64."""
    code = sample.codes[i]
    if site.kind != "binop":
        return False
    if code[0] == "a" and code[1] in WIDE_INTEGERS and sample.shapes and sample.shapes[i]:
        return True
    if code == "ad":
        number = sample.origins[i] if i < len(sample.origins) else None
        maker = None if number is None else recorder.sites[number]
        made = [] if maker is None else [one for one in maker.samples.values() if one.result == "ad"]
        return bool(made) and not any(one.tainted for one in made) and not _follows(maker, recorder)
    if code != "sd":
        return False
    source = recorder.sources[site.file]
    node = _operands(_node(source, site), site)[i]
    parts = [node, *(found.value for found in [_assignment(source, node)] if found is not None)]
    inside = [inner for part in parts for inner in ast.walk(part) if isinstance(inner, ast.expr)]
    sites = [recorder.sites[n] for (_, place), n in source.sites.items() if place in {position(x) for x in inside}]
    return bool(sites) and not any(one.calls for one in sites)


def _follows(maker: Site | None, recorder: Recorder) -> bool:
    """Whether an array was made in the dtype of another."""
    text = ast.unparse(_node(recorder.sources[maker.file], maker)) if maker is not None else ""
    return ".dtype" in text or "_like(" in text


def _cause(site: Site, sample: Sample, recorder: Recorder, among: Sequence[int] | None = None) -> str:
    """Which operand makes float64, of all or among some."""
    source = recorder.sources[site.file]
    node = _node(source, site)
    name = name_of(site.function) if site.kind == "call" else ""
    if name in ASKS:
        return f"`{_text(node)}` asks for float64"
    nodes = _operands(node, site)
    for i, code in enumerate(sample.codes):
        if among is not None and i not in among:
            continue
        operand = nodes[i] if i < len(nodes) else None
        maker = sample.origins[i] if i < len(sample.origins) else None
        made = _made(maker, recorder, site.file)
        if code == "sd":
            return f"{_quoted(operand)} is an np.float64 scalar{_came_from(source, operand)}"
        if code == "l":
            return f"{_quoted(operand)} is a Python list, which becomes an array of float64 or int64"
        if code == "ad" or (code[0] == "t" and "ad" in code):
            what = f"{_quoted(operand)} is" if code == "ad" else f"{_quoted(operand)} holds"
            return f"{what} a float64 array{made or _came_from(source, operand)}"
        if code[0] == "a" and code[1] in INTEGERS and site.kind != "item":
            return f"{_quoted(operand)} is an array of integers ({_dtype(code)}), such as an index or a mask{made}"
        if code[0] == "s" and code[1] in "lLqQ":
            return f"{_quoted(operand)} is an np.int64 scalar"
    keyword = next((k for k in getattr(node, "keywords", ()) if k.arg == "dtype"), None)
    if keyword is not None:
        return f"`dtype={ast.unparse(keyword.value)}` asks for float64"
    return f"`{_text(node)}` gives float64 for float32"


def _made(maker: int | None, recorder: Recorder, file: str) -> str:
    """Where an array was made, and why in float64."""
    if maker is None:
        return ""
    site = _first_maker(recorder.sites[maker], recorder)
    source = recorder.sources[site.file]
    node = _node(source, site)
    where = f"line {site.line}" if site.file == file else f"{site.file}:{site.line}"
    text = f", made in {where} by `{_text(node)}`"
    codes = {code for sample in site.samples.values() for code in sample.codes}
    name = name_of(site.function) if site.kind == "call" else ""
    if name in MAKERS and "dtype" not in _text(node) and codes <= {"-", "o", "sl"}:
        return f"{text}, which is float64 without a dtype" if name != "arange" else text
    if "a?" in codes and any(sample.result == "ad" for sample in site.samples.values()):
        return f"{text}: a mask and a number give float64"
    if "l" in codes:
        return f"{text} from a Python list"
    if name.startswith(("random", "standard_normal", "normal", "randn", "choice", "binomial")):
        return f"{text}, which draws float64"
    return text


def _first_maker(site: Site, recorder: Recorder) -> Site:
    """Of what is a part of another array, that array's maker."""
    for _ in range(8):
        origins = [sample.origins[0] for sample in site.samples.values() if site.kind == "item" and sample.origins]
        further = [recorder.sites[maker] for maker in origins if maker is not None]
        if not further or further[0].line == site.line:
            break
        site = further[0]
    return site


def _came_from(source: Source, node: Any) -> str:
    """Where the name was set, if the operand is one."""
    best = _assignment(source, node)
    if best is not None:
        return f", set in line {best.lineno} by `{_text(best.value)}`"
    if isinstance(node, ast.AST):
        call = next((x for x in ast.walk(node) if isinstance(x, ast.Call)), None)
        if call is not None and call is not node:
            return f": `{_text(call)}` gives one"
    return ""


def _assignment(source: Source, node: Any) -> ast.Assign | None:
    """The statement before it that sets a name; ``None`` of other expressions."""
    best = None
    if isinstance(node, ast.Name | ast.Attribute):
        key = ast.unparse(node)
        for other in ast.walk(source.tree):
            if not isinstance(other, ast.Assign) or all(ast.unparse(target) != key for target in other.targets):
                continue
            if best is None or best.lineno < other.lineno <= node.lineno or best.lineno > node.lineno:
                best = other
    return best


def _node(source: Source, site: Site) -> Any:
    """The syntax tree of a site."""
    kinds = {"binop": ast.BinOp, "unary": ast.UnaryOp, "compare": ast.Compare, "call": ast.Call, "item": ast.Subscript}
    kinds |= {"augmented": ast.AugAssign, "store": ast.Assign}
    kind: Any = kinds[site.kind]
    return next(
        (node for node in ast.walk(source.tree) if isinstance(node, kind) and position(node) == site.position), None
    )


def _operands(node: Any, site: Site) -> list[Any]:
    match node:
        case ast.BinOp():
            return [node.left, node.right]
        case ast.Call():
            is_method = isinstance(site.function, str) and "." not in site.function
            first = [node.func.value] if is_method and isinstance(node.func, ast.Attribute) else []
            return [*first, *node.args, *(keyword.value for keyword in node.keywords)]
        case ast.Subscript():
            return [node.value, node.slice]
    return []


def _dtype(code: str) -> str:
    return {"l": "int64", "q": "int64", "i": "int32"}.get(code[1], f"'{code[1]}'")


def _text(node: Any, longest: int = 60) -> str:
    text = " ".join(ast.unparse(node).split()) if node is not None else "?"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def _quoted(node: Any) -> str:
    return f"`{_text(node, 40)}`" if node is not None else "an operand"
