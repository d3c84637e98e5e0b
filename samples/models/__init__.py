"""A real model and a real batch for the demonstration, taken out of packages that are installed anyway."""
