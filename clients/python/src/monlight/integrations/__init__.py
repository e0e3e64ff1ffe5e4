"""One module per framework; each is imported by those who use it."""
