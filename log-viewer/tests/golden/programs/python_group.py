"""Dies of several errors at once, and of one that was raised while handling them."""

import sys


def fail(kind, text):
    try:
        raise kind(text)
    except kind as error:
        return error


print("first", file=sys.stderr)
try:
    raise ExceptionGroup("two tasks failed", [fail(ValueError, "a"), fail(TypeError, "b")])
except ExceptionGroup:
    raise KeyError("clean-up")
