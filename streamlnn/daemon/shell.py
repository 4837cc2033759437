"""What all commands share: exit codes, how much is logged, where the configuration is."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from streamlnn.daemon import logs
from streamlnn.errors import ConfigError, InputUnavailable, StreamlnnError

if TYPE_CHECKING:
    from streamlnn.daemon.config import Config

OK, FAILED, INPUT_UNAVAILABLE, CONFIGURATION = 0, 1, 69, 78
"""Exit codes; click's own for a wrong usage is 2."""
INTERRUPTED = 128 + signal.SIGINT
"""What a shell makes of an end by Ctrl-C: other than a failure."""

FILE = click.Path(path_type=Path)

_CONFIG = "STREAMLNN_CONFIG"
_ORDER = (
    "demo",
    "init",
    "check",
    "run",
    "top",
    "tap",
    "doctor",
    "health",
    "state",
    "record",
    "info",
)
_WHOLE = 200
_ENDLESS = ("run", "demo", "top", "tap")
_Function = TypeVar("_Function", bound=Callable[..., Any])

log = logging.getLogger("streamlnn.cli")


class Listing(click.Group):
    """Lists commands in the order of need, each with its whole first sentence."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which one comes to need them."""
        known = super().list_commands(ctx)
        return sorted(known, key=lambda name: (_ORDER.index(name) if name in _ORDER else 99, name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands with their whole first sentences."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, one.get_short_help_str(_WHOLE)) for name, one in commands if one]
            )


class Commands(Listing):
    """Turns what a command raises into a message on stderr and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; only click's own exceptions, and those of mistakes here, get out."""
        try:
            return self._invoke_and_flush(ctx)
        except ConfigError as error:
            ctx.exit(_fail(error.problems, CONFIGURATION))
        except InputUnavailable as error:
            ctx.exit(_fail([f"streamlnn: {error}"], INPUT_UNAVAILABLE))
        except StreamlnnError as error:
            ctx.exit(_fail([f"streamlnn: {error}"], FAILED))
        except BrokenPipeError:
            _forget_stdout()
            ctx.exit(OK)
        except OSError as error:
            log.debug("this is where it failed", exc_info=True)
            ctx.exit(_fail([f"streamlnn: {_said_by_system(error)}"], FAILED))
        except KeyboardInterrupt:
            if ctx.invoked_subcommand in _ENDLESS:
                ctx.exit(OK)
            ctx.exit(_fail(["interrupted"], INTERRUPTED))

    def _invoke_and_flush(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        finally:
            # Here a reader who has gone is no news; when Python ends it would be a complaint.
            if sys.stdout is not None:  # closed by whoever started us
                sys.stdout.flush()


def _fail(problems: list[str], code: int) -> int:
    for problem in problems:
        click.echo(problem, err=True)
    return code


def _said_by_system(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _forget_stdout() -> None:
    # Whoever read us is gone: what is still buffered must not fail once more at exit.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


def verbosity(function: _Function) -> _Function:
    """Add `-v` and `-q`, which hold before and after the command's name."""
    quiet = click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_note("warning"),
        help="Log only warnings and errors.",
    )
    verbose = click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_note("debug"),
        help="Log more.",
    )
    return verbose(quiet(function))


def _note(level: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    def note(ctx: click.Context, _param: click.Parameter, given: bool) -> None:
        if given:
            ctx.find_root().meta["level"] = level

    return note


def end_when_told() -> None:
    """Let SIGTERM end the process cleanly until somebody else listens to it.

    To import the model takes seconds, and the first process of a container has no default.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(OK))


def set_up_logs(config: Config | None = None) -> None:
    """Log as asked for on the command line, else as configured."""
    log = config.daemon.log if config else None
    level = click.get_current_context().find_root().meta.get("level")
    logs.set_up(level or (log.level if log else "info"), log.format if log else "text")


def config_argument(function: _Function) -> _Function:
    """Add CONFIG, which the command cannot do without."""
    return click.argument("config", type=FILE, envvar=_CONFIG, required=False, callback=_required)(
        function
    )


def config_option(function: _Function) -> _Function:
    """Add `--config`, without which the command does its work too."""
    return click.option(
        "--config", type=FILE, envvar=_CONFIG, help=f"Configuration; also {_CONFIG}."
    )(function)


def _required(_ctx: click.Context, _param: click.Parameter, path: Path | None) -> Path:
    if path is None:
        raise click.UsageError(
            f"Name a configuration file: CONFIG, or {_CONFIG}. To make one: streamlnn init -o FILE."
        )
    return path


def load_config(path: Path, *, live: bool = True) -> Config:
    """Return the configuration at `path`; see `streamlnn.daemon.config.load`."""
    from streamlnn.daemon.config import load

    return load(path, live=live)


def default_config() -> Config:
    """Return what holds where nothing is configured."""
    from streamlnn.daemon.config import loads

    return loads("", live=False)
