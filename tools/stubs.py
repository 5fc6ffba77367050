"""Write ``fastact/__init__.pyi``, the types that editors and checkers see, from the records; ``--check`` only compares."""

import argparse
import inspect
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fastact.functions.elementwise import OPS, public_function, public_names  # noqa: E402
from fastact.functions.rows import row_ops  # noqa: E402
from fastact.table import FUNCTIONS  # noqa: E402
from fastact.table import function as other_function  # noqa: E402

TARGET = ROOT / "fastact" / "__init__.pyi"

HEADER = """\
# Written by tools/stubs.py from the records: do not edit.
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastact.custom import elementwise as elementwise
from fastact.runtime.threads import get_num_threads as get_num_threads
from fastact.runtime.threads import set_num_threads as set_num_threads
from fastact.runtime.threads import threads as threads
from fastact.runtime.exceptions import CompilationError as CompilationError
from fastact.functions.elementwise import Op
from fastact.warm import show_config as show_config
from fastact.warm import warmup as warmup

__version__: str
__all__: list[str]
ops: dict[str, Op]
"""


def stub(name: str) -> str:
    """The declaration of one public function."""
    if name in FUNCTIONS:
        return _declared(name)
    op = OPS[name if name in OPS else name.removesuffix("_backward")]
    function = public_function(name)
    if isinstance(function, np.ufunc):
        return f"{name}: np.ufunc\n"
    parameters, several = [], op.gradients > 1 and name != op.name
    for parameter in inspect.signature(function).parameters.values():
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        if parameter.kind is parameter.VAR_POSITIONAL:
            parameters += ["/", f"*{parameter.name}: NDArray[Any]"]
        else:
            parameters.append(f"{parameter.name}: {_annotation(parameter, several)}{default}")
    shown = ", ".join(parameters).replace("ufunc_arguments:", "**ufunc_arguments:")
    return f"def {name}({shown}) -> Any: ...\n"


def row_stub(name: str) -> str:
    """The import of a function over rows, whose signature is in the sources."""
    return f"from {row_ops()[name].home} import {name} as {name}\n"


def _declared(name: str) -> str:
    """The declaration of a function that is no op."""
    signature = inspect.signature(other_function(name), eval_str=True)
    shown = []
    for parameter in signature.parameters.values():
        plain = parameter.annotation if parameter.annotation in (int, bool, float, str) else None
        outs = "tuple[NDArray[Any], NDArray[Any]] | None" if "_with_" in name else "NDArray[Any] | None"
        kind = plain.__name__ if plain else outs if parameter.name == "out" else "ArrayLike"
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        shown.append(f"{parameter.name}: {kind}{default}")
    returned = "tuple[Any, Any]" if "_with_" in name else "Any"
    return f"def {name}({', '.join(shown)}) -> {returned}: ...\n"


def _annotation(parameter: inspect.Parameter, several: bool) -> str:
    out = "tuple[NDArray[Any] | None, NDArray[Any] | None]" if several else "NDArray[Any]"
    known = {"training": "bool", "slopes": "ArrayLike | None", "out": f"{out} | None", "ufunc_arguments": "Any"}
    return known.get(parameter.name, "Any" if parameter.name == "rng" else "ArrayLike")


def main() -> int:
    """Write or compare; 1 if the file is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the file is not what would be written")
    arguments = parser.parse_args()
    header, _, constants = HEADER.partition("\n__version__")
    imports = "".join(row_stub(name) for name in row_ops())
    declarations = "".join(stub(name) for name in [*public_names(), *FUNCTIONS])
    text = f"{header}\n{imports}\n__version__{constants}\n{declarations}"
    if arguments.check:
        if TARGET.read_text() != text:
            print(f"{TARGET.relative_to(ROOT)} is stale: run python tools/stubs.py", file=sys.stderr)
            return 1
        return 0
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
