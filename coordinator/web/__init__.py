"""The web page: its files, the pictures on it, its sources (`app/`) and what they are built to (`static/`)."""
