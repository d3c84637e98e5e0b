"""A chain's errors as those of the program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jobs.errors import BadInput, Unavailable

__all__ = ["told"]


@contextmanager
def told() -> Iterator[None]:
    """What can be tried again is raised as Unavailable, the rest as BadInput: another chain, no contract, a refusal."""
    from contracts.errors import ChainError, ChainUnavailable, TransactionPending

    try:
        yield
    except (ChainUnavailable, TransactionPending) as error:
        raise Unavailable(str(error)) from error
    except ChainError as error:
        raise BadInput(str(error), code="chain_refused") from error
