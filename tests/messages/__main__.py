"""`python -m tests.messages`: writes docs/errors.md from the code."""

from tests.messages.table import PAGE, markdown

PAGE.write_text(markdown(), encoding="utf-8")
