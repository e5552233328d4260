"""Object types. Most are resolved straight from rows, so `root` is a row and `self` never exists."""
