"""One thread after the other dies; the program goes on."""

import sys
import threading

sys.stderr.reconfigure(line_buffering=True)


def work(number):
    {}[number]


for number in range(2):
    thread = threading.Thread(target=work, args=(number,), name=f"worker-{number}")
    thread.start()
    thread.join()
print("INFO:     still here", file=sys.stderr)
print("ValueError: an unrelated line that looks like an error's", file=sys.stderr)
print("Service: another", file=sys.stderr)
