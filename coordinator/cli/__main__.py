"""`python -m coordinator.cli` is the `kilnet` program."""

from coordinator.cli.main import run

if __name__ == "__main__":
    run()
