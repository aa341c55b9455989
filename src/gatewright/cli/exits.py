"""How a command ends: exit codes that mean something, and one line on stderr for an error."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Annotated, ParamSpec, TypeVar

import typer

from gatewright import errors
from gatewright.cli.output import complain
from gatewright.redaction import redact

__all__ = ["EPILOG", "Debug", "code_of", "reported"]

OK, FAILED, USAGE, CONFIGURATION, AUTHENTICATION, RATE_LIMITED, TIMEOUT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 6, 130
EPILOG = (
    "Exit codes: 0 done · 1 the call or the provider failed · 2 wrong usage or input · 3 wrong configuration · "
    "4 the provider did not accept the key · 5 rate limited · 6 too slow · 130 interrupted"
)

# The first that fits counts.
_CODES: tuple[tuple[tuple[type[errors.GatewayError], ...], int], ...] = (
    ((errors.ConfigurationError,), CONFIGURATION),
    ((errors.ContentPolicyViolation,), FAILED),
    ((errors.BadRequest, errors.NotFound), USAGE),
    ((errors.AuthenticationFailed, errors.PermissionDenied), AUTHENTICATION),
    ((errors.RateLimited,), RATE_LIMITED),
    ((errors.ProviderTimeout, errors.DeadlineExceeded), TIMEOUT),
)

P = ParamSpec("P")
R = TypeVar("R")

_debug = os.environ.get("GATEWRIGHT_DEBUG", "") not in ("", "0")


def _set_debug(value: bool) -> bool:
    global _debug
    _debug = _debug or value
    return value


Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error.", callback=_set_debug, is_eager=True)
]


def code_of(error: BaseException) -> int:
    """Give the exit code for an error."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return next((code for kinds, code in _CODES if isinstance(error, kinds)), FAILED)


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Make a command tell of its errors in one line on stderr, and end with the exit code for them."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            result = command(*args, **kwargs)
            sys.stdout.flush()
            return result
        except (typer.Exit, typer.BadParameter):
            raise
        except BrokenPipeError:
            # Whoever read the output has had enough, as `head` does: Python would complain of it at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except (Exception, KeyboardInterrupt) as error:
            if _debug:
                raise
            _say(error)
            raise typer.Exit(code_of(error)) from None

    return run


def _say(error: BaseException) -> None:
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write("\n")
    elif isinstance(error, errors.GatewayError):
        complain("error", str(error))
    else:
        complain("error", f"{type(error).__name__}: {redact(str(error))} (--debug shows where)")
