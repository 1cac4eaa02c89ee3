"""How a machine runs a program: one folder per target."""
