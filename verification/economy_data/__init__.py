"""Measured figures behind verification.economics, as JSON with the commands that made them."""
