"""Checks that a library still has the private parts that a module relies on.

A private attribute can vanish in any release. Some uses would then fail at the first request, and others would have no
effect without an error: a replaced method that the library no longer calls. So the module that uses one checks it at
import, and the service does not start.
"""

import inspect
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from types import FunctionType, ModuleType
from typing import Any


def require(owner: type | ModuleType, *names: str) -> None:
    """Check that a class or a module has these attributes.

    An attribute that a class sets on its instances counts if one of the class's methods, or of its bases', names it.

    Raises:
        ImportError: an attribute is missing.
    """
    for name in names:
        if not hasattr(owner, name) and not (isinstance(owner, type) and _is_named_by_method(owner, name)):
            raise unsupported(owner, f"has no attribute {name!r}")


def require_parameters(function: Callable[..., Any], *names: str) -> None:
    """Check that a function takes these arguments by name.

    Raises:
        ImportError: an argument is missing.
    """
    for name in names:
        if name not in inspect.signature(function).parameters:
            raise unsupported(function, f"has no parameter {name!r}")


def unsupported(part: Callable[..., Any] | ModuleType, reason: str) -> ImportError:
    """Return the error for a library whose part, a class, function or module, is not as expected."""
    is_module = isinstance(part, ModuleType)
    module = part.__name__ if is_module else part.__module__
    library = module.partition(".")[0]
    try:
        installed = version(library)
    except PackageNotFoundError:
        installed = "of an unknown version"
    name = module if is_module else f"{module}.{getattr(part, '__qualname__', part)}"
    return ImportError(
        f"{library} {installed} is not supported: {name} {reason}. Install the version that requirements/ pins, or "
        "adapt the code that uses it",
        name=library,
    )


def _is_named_by_method(owner: type, name: str) -> bool:
    return any(
        isinstance(method, FunctionType) and name in method.__code__.co_names
        for each in owner.__mro__
        for method in vars(each).values()
    )
