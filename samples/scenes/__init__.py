# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scenes for the demonstration and the tests, each built by a script: `python samples/scenes/build.py [NAME ...]`."""
