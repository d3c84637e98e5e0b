# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Not written yet."""

from __future__ import annotations

from typing import Any

from .errors import RunnerError
from .session import Session


def reference(_session: Session, _request: dict[str, Any]) -> dict[str, Any]:
    raise RunnerError("not_supported", "This runner cannot do that yet.")
