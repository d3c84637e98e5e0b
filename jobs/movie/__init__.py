"""A video of delivered frames, written by Blender's own encoder."""

from jobs.movie.program import make_movie

__all__ = ["make_movie"]
