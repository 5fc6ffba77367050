"""What is to be done when somebody imports a module that fastact needs to know of, and never imports itself."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

_awaited: dict[str, list[Callable[[], None]]] = {}


class _Arrival:
    """What the interpreter asks for every module that it imports: it lets something be done after one that is awaited."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """How the module is found, by those who would have been asked; ``None``, which leaves it to them, for every other one."""
        if name not in _awaited:
            return None
        for finder in [finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec")]:
            spec: Any = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader.exec_module = partial(_executed, spec.loader.exec_module)
                return spec
        return None  # it may be installed later


_arrival = _Arrival()


def when_imported(name: str, action: Callable[[], None]) -> None:
    """Call a function, once, after a module that nobody has imported yet has been."""
    actions = _awaited.setdefault(name, [])
    if action not in actions:
        actions.append(action)
    if _arrival not in sys.meta_path:
        sys.meta_path.insert(0, _arrival)


def _executed(execute: Any, module: Any) -> None:
    """Execute a module, and do what waits for it; a module that failed may be imported again."""
    execute(module)
    for action in _awaited.pop(module.__name__, []):
        action()
    if not _awaited and _arrival in sys.meta_path:
        sys.meta_path.remove(_arrival)
