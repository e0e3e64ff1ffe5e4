"""A published EventSource client (sseclient) for tests: prints what it gets, a JSON value a line.

sseclient connects anew by itself, with Last-Event-ID, when the server goes away.
"""

import json
import sys
import time

import requests
import sseclient


class Patient(sseclient.SSEClient):
    """Goes on trying while the server is away, as browsers do; the package gives up at once."""

    def _connect(self):
        while True:
            try:
                super()._connect()
            except requests.exceptions.ConnectionError:
                time.sleep(0.1)
            else:
                print('"open"', flush=True)
                return


def main():
    for event in Patient(sys.argv[1], retry=100):
        if event.data:
            print(json.dumps({"event": event.event, "id": event.id, "data": json.loads(event.data)}), flush=True)


main()
