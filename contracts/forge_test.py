"""``python -m contracts.forge_test [forge arguments]``: runs the Solidity tests, offline."""

import sys

from contracts.build import run_forge
from contracts.errors import ChainError

__all__ = ["run"]


def run(arguments: list[str]) -> str:
    """Runs ``forge test`` with further arguments and returns its output. Raises BuildFailed if a test fails."""
    return run_forge(["test", *arguments])


if __name__ == "__main__":
    try:
        print(run(sys.argv[1:]))
    except ChainError as error:
        sys.exit(str(error))
