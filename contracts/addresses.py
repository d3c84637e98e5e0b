"""Where the contracts are: what a deployment hands to everybody else."""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from contracts.errors import NotDeployed

__all__ = ["Addresses"]


@dataclass(frozen=True)
class Addresses:
    """Checksummed addresses of one deployment and the chain they belong to.

    Token, escrow and distributor are enough to follow a job; the others are empty where nobody told them.
    """

    chain_id: int
    token: str
    escrow: str
    distributor: str
    registry: str = ""
    disputes: str = ""
    oracle: str = ""
    deploy_block: int = 0
    """The block to begin looking for events at."""
    bond: str = ""

    def save(self, path: Path) -> None:
        """Writes JSON atomically."""
        handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w") as file:
            json.dump(asdict(self), file, indent=1)
            file.write("\n")
        Path(aside).chmod(0o644)
        Path(aside).replace(path)

    @classmethod
    def load(cls, path: Path) -> "Addresses":
        """Reads what ``save`` wrote. Raises NotDeployed if the file is missing or is not that."""
        try:
            return cls(**json.loads(path.read_text()))
        except FileNotFoundError:
            raise NotDeployed(f"no contracts are known: {path} is missing; deploy first") from None
        except (ValueError, TypeError) as error:
            raise NotDeployed(
                f"{path} is no list of contract addresses ({error}): remove it and deploy again"
            ) from None
