"""What is proved: a table with its environment, bounds, and reasons for what need not hold; and how it is found."""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

import attrs

from gatewright.harness.explore.environment import Environment
from gatewright.harness.explore.mutants import without_timers
from gatewright.harness.explore.product import Product
from gatewright.harness.explore.search import Bounds
from gatewright.harness.explore.table import Table
from gatewright.spec.errors import ConfigurationError, GatewrightError

_NONE: Final[Mapping[str, str]] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class Subject:
    """What is proved, and how far.

    Attributes:
        table, environment: the machine, and what surrounds it.
        bounds: of the exploration.
        stages: of the mutants, the small ones first; the bounds of the exploration if there are none.
        spin: of the comparison with Spin; likewise.
        justified: ids of rows that cannot be taken, to the reason.
        survivors: names of mutants that need not be noticed (``*`` stands for anything), to the reason.
        without_deadline: makes a table of which one state forgets its deadline.
    """

    table: Table
    environment: Environment
    bounds: Bounds = Bounds()  # noqa: RUF009 - it is frozen
    stages: tuple[Bounds, ...] = ()
    spin: tuple[Bounds, ...] = ()
    justified: Mapping[str, str] = _NONE
    survivors: Mapping[str, str] = _NONE
    without_deadline: Callable[[Table, Enum], Table] = without_timers


SPIN_BOUNDS: Final = tuple(
    Bounds(values=values)
    for values in (
        {"faults": 0, "commands": 0},
        {"faults": 0, "commands": 1},
        {"faults": 0, "commands": 2, "strict": 0, "capped": 0, "session": 0},
        {"faults": 1, "commands": 0, "strict": 1, "capped": 1},
        {"faults": 1, "commands": 1, "strict": 0, "capped": 1, "session": 0},
    )
)
"""For the shipped table: small ones, of which every side of the table has its part."""


def shipped() -> Subject:
    """The gateway."""
    from gatewright.harness.explore import gateway
    from gatewright.harness.explore.gateway_environment import gateway_environment
    from gatewright.harness.explore.gateway_table import SMALL, gateway_table

    return Subject(
        table=gateway_table(settings=SMALL),
        environment=gateway_environment(),
        bounds=gateway.DEFAULT,
        stages=gateway.MUTATION_STAGES,
        spin=SPIN_BOUNDS,
        justified=gateway.justified(),
        survivors=gateway.survivors(),
        without_deadline=gateway.without_deadline,
    )


def load(path: str, environment: str | None = None) -> Subject:
    """What ``package.module:name`` names: a `Subject`, a `Table`, or a function without arguments that gives one.

    A table needs its environment: the one that `environment` names in the same way, or else what the module of the
    table calls ``ENVIRONMENT``. Modules are looked for in the working directory, too.

    Raises:
        ConfigurationError: for a path that leads nowhere, or to something else.
    """
    found = _named(path)
    if isinstance(found, Subject):
        return found
    if isinstance(found, Product):
        raise ConfigurationError(
            f"{path} is a product of machines, and this takes one table; `gatewright.harness.explore.explore` takes "
            "products, and `mutants_of_machines` their mutants"
        )
    if not isinstance(found, Table):
        raise ConfigurationError(f"{path} is a {type(found).__name__}; it must be a Table or a Subject")
    around = _named(environment or f"{path.partition(':')[0]}:ENVIRONMENT")
    if not isinstance(around, Environment):
        raise ConfigurationError(f"{environment or path}: {type(around).__name__} is no Environment")
    return Subject(table=found, environment=around)


def _named(path: str) -> object:
    module, colon, name = path.partition(":")
    if not (colon and module and name):
        raise ConfigurationError(f"{path!r} names no object; write package.module:name")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and not f"{module}.".startswith(f"{error.name}."):
            raise ConfigurationError(f"{path}: {module} imports {error.name}, which is not installed here") from error
        raise ConfigurationError(f"{path}: {error}; modules are looked for in the working directory, too") from error
    except GatewrightError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    except Exception as error:
        raise ConfigurationError(f"{path}: {module} cannot be imported: {_told(error)}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ConfigurationError(f"{path}: {module} has no {name!r}; for a table, name its environment as well")
        found = getattr(found, part)
    if callable(found) and not isinstance(found, type):
        try:
            inspect.signature(found).bind()
        except TypeError as error:
            raise ConfigurationError(f"{path}: it must be callable without arguments ({error})") from error
        try:
            return cast("Callable[[], object]", found)()
        except GatewrightError as error:
            raise ConfigurationError(f"{path}: {error}") from error
        except Exception as error:
            raise ConfigurationError(f"{path}: calling it failed: {_told(error)}") from error
    return found


def _told(error: Exception) -> str:
    """What another's code raised, and where: the innermost line of it."""
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} ({error.filename}, line {error.lineno})"
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({last.filename}, line {last.lineno})"
