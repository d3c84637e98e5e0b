"""Every cheat, really rendered, against the real commitment, challenge and comparison; `make adversaries` prints it."""
