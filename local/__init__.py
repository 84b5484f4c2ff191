"""The local stack: the same program, whole, on one machine."""
