"""Write ``fastact/__init__.pyi``, the types that editors and checkers see, from the records; ``--check`` only compares."""

import argparse
import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fastact import table  # noqa: E402
from fastact.functions.record import Function  # noqa: E402

TARGET = ROOT / "fastact" / "__init__.pyi"

HEADER = """\
# Written by tools/stubs.py from the records: do not edit.
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastact.acceleration import accelerate as accelerate
from fastact.acceleration import accelerated as accelerated
from fastact.advice.block import advise as advise
from fastact.custom import elementwise as elementwise
from fastact.keeping import keep_memory as keep_memory
from fastact.keeping import release_memory as release_memory
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


def declaration(record: Function) -> str:
    """The declaration of a public function that is built from a record."""
    if isinstance(record.function, np.ufunc):
        return f"{record.name}: np.ufunc\n"
    parameters: list[str] = []
    several = len(record.written) > 1
    for parameter in inspect.signature(record.function).parameters.values():
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in parameters:
            parameters.append("*")
        default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
        if parameter.kind is parameter.VAR_POSITIONAL:
            parameters += ["/", f"*{parameter.name}: NDArray[Any]"]
        else:
            parameters.append(f"{parameter.name}: {_annotation(parameter, several)}{default}")
    shown = ", ".join(parameters).replace("ufunc_arguments:", "**ufunc_arguments:")
    return f"def {record.name}({shown}) -> Any: ...\n"


def imported(record: Function) -> str:
    """The import of a function whose signature is in the sources."""
    return f"from {record.home} import {record.name} as {record.name}\n"


def _annotation(parameter: inspect.Parameter, several: bool) -> str:
    out = "tuple[NDArray[Any] | None, NDArray[Any] | None]" if several else "NDArray[Any]"
    known = {"training": "bool", "slopes": "ArrayLike | None", "out": f"{out} | None", "ufunc_arguments": "Any"}
    known |= {"axis": "int | tuple[int, ...] | None", "keepdims": "bool", "where": "ArrayLike"}
    known |= {"reduction": "str", "ignore_index": "int | None", "rng": "Any", "dtype": "Any"}
    if parameter.kind is parameter.KEYWORD_ONLY:
        known |= {parameter.name: known.get(parameter.name, _of_default(parameter.default))}
    return known.get(parameter.name, "ArrayLike")


def _of_default(default: Any) -> str:
    return "ArrayLike | None" if default is None else type(default).__name__


def is_in_sources(record: Function) -> bool:
    """Whether a function is defined under its name, with the arguments that it shows."""
    return hasattr(import_module(record.home), record.name) and not hasattr(record.function, "__signature__")


def main() -> int:
    """Write or compare; 1 if the file is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if the file is not what would be written")
    arguments = parser.parse_args()
    header, _, constants = HEADER.partition("\n__version__")
    records = table.functions().values()
    imports = "".join(imported(record) for record in records if not record.op and is_in_sources(record))
    declarations = "".join(declaration(record) for record in records if record.op or not is_in_sources(record))
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
