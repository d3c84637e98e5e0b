# SPDX-FileCopyrightText: The kilnet authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blender runner: a process that renders what a contract says, one JSON request a line.

Started as a folder by an interpreter that has bpy (`python3.13 node/runners/blender --scratch DIR`) or by a Blender
executable (`blender -b --factory-startup --python node/runners/blender/__main__.py -- --scratch DIR`). It imports bpy,
numpy, an EXR reader and nothing else of ours, so the folder alone can be bound into a sandbox. PROTOCOL.md has every
message.
"""
