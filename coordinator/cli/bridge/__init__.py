"""`kilnet bridge`: another program's way in, such as the Blender add-on's. It speaks lines of JSON (docs/bridge.md)."""
