"""What is to be done when somebody imports a module that fastact needs to know of, and never imports itself."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

_awaited: dict[str, Callable[[], None]] = {}


class _Arrival:
    """What the interpreter asks for every module that it imports: it lets something be done after one that is awaited."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ARG002 - as it is called
        """How the module is found, by those who come next; ``None``, which leaves it to them, for every other one."""
        if name not in _awaited:
            return None
        action = _awaited.pop(name)
        with _asleep():
            spec = find_spec(name)
        if spec is None or spec.loader is None:  # it may be installed later
            when_imported(name, action)
        else:
            spec.loader.exec_module = partial(_executed, spec.loader.exec_module, action)  # type: ignore[method-assign]
        return spec


_arrival = _Arrival()


def when_imported(name: str, action: Callable[[], None]) -> None:
    """Call a function, once, after a module that nobody has imported yet has been; the last one that is given for it."""
    _awaited[name] = action
    if _arrival not in sys.meta_path:
        sys.meta_path.insert(0, _arrival)


@contextlib.contextmanager
def _asleep() -> Iterator[None]:
    """Ask the others alone; and be asked again only if something is still awaited."""
    with contextlib.suppress(ValueError):
        sys.meta_path.remove(_arrival)
    try:
        yield
    finally:
        if _awaited and _arrival not in sys.meta_path:
            sys.meta_path.insert(0, _arrival)


def _executed(execute: Any, action: Callable[[], None], module: Any) -> None:
    execute(module)
    action()
