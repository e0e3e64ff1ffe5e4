"""The whole stack under mixed load and random faults, and an account of everything that was acknowledged."""
