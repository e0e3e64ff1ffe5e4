"""A Flask application that crashes."""

import os

from flask import Flask

from monlight import ErrorClient, MetricsClient
from monlight.integrations.flask import setup_monlight

key = os.environ["KEY"]
app = Flask(__name__)
setup_monlight(
    app,
    ErrorClient(os.environ["TRACKER"], key, project="shop", environment="staging", release="1.2"),
    MetricsClient(os.environ["COLLECTOR"], key, project="shop", flush_interval=0.1),
)


@app.get("/orders/<number>")
def order(number: str) -> str:
    return number


@app.get("/crash/<number>")
def crash(number: str) -> str:
    raise LookupError(f"no such order: {number}")
