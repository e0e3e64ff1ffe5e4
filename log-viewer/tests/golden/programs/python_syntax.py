"""Cannot be compiled."""

print("never"
x = 1
