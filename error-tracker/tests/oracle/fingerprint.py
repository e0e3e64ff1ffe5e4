"""A second fingerprint, written from the description of the original's and from nothing else, compared with the service's
on random tracebacks. Arguments: host, port, API key, seed, number of tracebacks. Every difference is printed."""

import hashlib
import http.client
import json
import random
import re
import sys

DIGITS = "0123456789"

# What tracebacks are made of, and what almost looks like it.
PIECES = [
    'File "', '"', ", line ", "/app/a.py", "b.py", "1", "42", "007", "at ", "at f (", "at A.b(A.java:5)", "(", ")", "@", "f@",
    "x.js", "https://e.com/x.js", ":", ":7", ":7:8", ":x", "\n", "\n", "\n  ", "\r\n", "\t", " ", "Native Method", "eval at ",
    "what ", "é", "٣", "\0", "\x0b", "\u2028", "<anonymous>", 'File "a.py", line 3', 'File "a.py", line x', "Error: no (x:9)",
]


def python_place(text):
    """The last well-formed frame. After a malformed one the search goes on with the next line of the text."""
    place, at = None, 0
    while (mark := text.find('File "', at)) >= 0:
        frame = re.compile(r'File "([^"]*)", line ([0-9]+)').match(text, mark)
        if frame:
            place, at = frame.groups(), frame.end()
        else:
            line_end = text.find("\n", mark)
            if line_end < 0:
                break
            at = line_end + 1
    return place


def script_place(text):
    """The place on the first line that has one."""
    for line in text.split("\n"):
        line = line.strip(" \t\r")
        if "at " in line:
            candidate = line[line.index("at ") + 3 :]
            opening, closing = candidate.find("("), candidate.find(")")
            if 0 <= opening < closing:
                candidate = candidate[opening + 1 : closing]
        elif "@" in line:
            candidate = line[line.index("@") + 1 :]
        else:
            continue
        if place := parse(candidate):
            return place
    return None


def parse(candidate):
    """file:line:column or file:line."""
    candidate = candidate.strip(" \t\r")
    file, number = split(candidate)
    if file is None:
        return None
    shorter, line = split(file)
    return (file, number) if shorter is None else (shorter, line)


def split(text):
    colon = text.rfind(":")
    digits = text[colon + 1 :]
    if colon <= 0 or not digits or any(digit not in DIGITS for digit in digits):
        return None, None
    return text[:colon], digits


def fingerprint(project, exception_type, traceback):
    place = python_place(traceback) or script_place(traceback)
    where = ":".join(place) if place else traceback
    return hashlib.md5(f"{project}:{exception_type}:{where}".encode()).hexdigest()


def main(host, port, key, seed, count):
    chance = random.Random(seed)
    connection = http.client.HTTPConnection(host, port, timeout=30)
    differences = 0
    for _ in range(count):
        traceback = "".join(chance.choices(PIECES, k=chance.randint(0, 25)))
        report = {"project": "p", "exception_type": "E", "message": "m", "traceback": traceback}
        connection.request("POST", "/api/errors", json.dumps(report), {"X-API-Key": key})
        answer = json.load(connection.getresponse())
        if answer.get("fingerprint") != fingerprint("p", "E", traceback):
            print(f"{traceback!r}: {answer}")
            differences += 1
    sys.exit(differences > 0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
