"""What keeps an execution from starting or going on here, as errors of the command line.

Nothing of it is a failure of the state machine: no Retry or Catch sees it.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from engine.cli.targets import missing_text
from engine.errors import ApiError
from engine.integrations.registry import MissingHandler
from engine.integrations.request import UnsupportedTask
from engine.interpreter.snapshot import UnknownFormat
from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


REFUSALS = (MissingHandler, UnsupportedTask, UnknownFormat, ApiError, StoreUnavailable)


@contextmanager
def refusals_told() -> Iterator[None]:
    """Turns them into messages; StoreUnavailable is `database_faults_told`'s to tell.

    Raises:
        click.ClickException: In place of REFUSALS: no handler, a Task nothing here can do, a bad name or input.
    """
    try:
        yield
    except MissingHandler as error:
        raise click.ClickException(missing_text(error)) from error
    except UnsupportedTask as error:
        raise click.ClickException(str(error)) from error
    except UnknownFormat as error:
        raise click.ClickException(f"{error}: upgrade asl") from error
    except ApiError as error:
        raise click.ClickException(error.message) from error
