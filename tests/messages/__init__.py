"""What a person can be told went wrong, read from the code: `python -m tests.messages` writes docs/errors.md."""
