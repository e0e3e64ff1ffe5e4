"""Recomputes every minute and hour of a database from its points with Python's own statistics, and compares.

rollup.py DATABASE: prints what differs, the first few, and how much was compared. Exits with 1 if anything differs.
"""

import math
import sqlite3
import statistics
import sys
from collections import defaultdict

SHOWN = 10
HOUR_ERROR_MAX = 0.01


def nearest_rank(values, p):
    """The value at index ceil(p * n / 100) - 1 of the sorted values, in whole numbers."""
    return sorted(values)[-(-p * len(values) // 100) - 1]


def expected(values, kind):
    """What a bucket of these values comes to; the median by another way than the rest."""
    figures = [len(values), math.fsum(values), min(values), max(values)]
    if kind != "histogram":
        return figures + [None] * 3
    return figures + [statistics.median_low(values), nearest_rank(values, 95), nearest_rank(values, 99)]


def agrees(found, wanted, error_max):
    """Count and extremes are equal; a sum may differ in its last digits; percentiles within the error."""
    if (found[0], found[2], found[3]) != (wanted[0], wanted[2], wanted[3]):
        return False
    if not math.isclose(found[1], wanted[1], rel_tol=1e-9, abs_tol=1e-9 * max(map(abs, wanted[2:4]))):
        return False
    pairs = zip(found[4:], wanted[4:])
    return all(f is w if w is None else abs(f - w) <= abs(w) * error_max for f, w in pairs)


def compare(conn, table, seconds, error_max):
    """The differences of one table, and how many rows there are."""
    kinds = dict(conn.execute("SELECT id, type FROM series"))
    values = defaultdict(list)
    for number, series, value in conn.execute("SELECT id, series, value FROM points"):
        second = (number >> 21) // 1000
        values[second - second % seconds, series].append(value)
    rows = conn.execute(f"SELECT bucket, series, count, sum, min, max, p50, p95, p99 FROM {table}")
    found = {(bucket, series): figures for bucket, series, *figures in rows}
    differences = []
    for key in values.keys() | found.keys():
        wanted = expected(values[key], kinds[key[1]]) if key in values else None
        if wanted is None or key not in found or not agrees(found[key], wanted, error_max):
            differences.append(f"{table} {key}: {found.get(key)}, expected {wanted}")
    return differences, len(found)


def main(path):
    """Compares both tables."""
    conn = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    minutes, minute_count = compare(conn, "minutes", 60, 0)
    hours, hour_count = compare(conn, "hours", 3600, HOUR_ERROR_MAX)
    differences = minutes + hours
    print(*differences[:SHOWN], sep="\n")
    print(f"{minute_count} minutes, {hour_count} hours, {len(differences)} differ")
    return 1 if differences or not minute_count or not hour_count else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
