"""The `sapggan` command: a thin layer over the library. Exit status: 0 done, 1 failed, 2 wrong use."""

import sys
import traceback
from collections.abc import Sequence

from sapggan_lib.base.errors import SapgganError
from sapggan_lib.base.files import readable


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. Errors are one line, with a traceback under `--debug`."""
    try:
        import click

        from sapggan_lib.cli import runs, uses
        from sapggan_lib.cli.commands import sapggan
    except ImportError as error:
        print(f"sapggan: no command works without click ({error}); `make clean-venv`, then `make setup`",
              file=sys.stderr)  # fmt: skip
        return 1
    try:
        with sapggan.make_context("sapggan", list(sys.argv[1:] if arguments is None else arguments)) as context:
            sapggan.invoke(context)
    except click.exceptions.Exit as end:  # --help, --version
        return end.exit_code
    except click.ClickException as error:  # wrong use
        error.show()
        return error.exit_code
    except BrokenPipeError:  # `sapggan ... | head`
        sys.stderr.close()
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if context.params["debug"]:
            traceback.print_exc()
        print(f"sapggan: {explain(error)}", file=sys.stderr)
        return 1
    return 0


def explain(error: BaseException) -> str:
    """The one line for an error that ended a command."""
    if isinstance(error, OSError):
        error = readable(error, error.filename or "the folder that is written to")
    if isinstance(error, SapgganError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; the same command goes on where it stopped"
    if isinstance(error, ImportError):
        return f"a package is missing or broken ({error}); `sapggan doctor` tells which and how to mend it"
    return f"unexpected {type(error).__name__}: {error}; `sapggan --debug ...` shows where, please report it"
