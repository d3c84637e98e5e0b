"""`kilnet demo`: the whole story on one machine, each part of it checked."""

from coordinator.stack.demo.story import run_demo

__all__ = ["run_demo"]
