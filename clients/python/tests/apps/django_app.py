"""A Django application that crashes; as ASGI for a server, as WSGI when it is run."""

import os
from wsgiref.simple_server import make_server

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    LOGGING_CONFIG=None,
    MIDDLEWARE=["monlight.integrations.django.MonlightMiddleware", "django.middleware.common.CommonMiddleware"],
    MONLIGHT={
        "error_tracker_url": os.environ["TRACKER"],
        "metrics_collector_url": os.environ["COLLECTOR"],
        "api_key": os.environ["KEY"],
        "project": "shop",
        "environment": "staging",
        "release": "1.2",
        "flush_interval": 0.1,
    },
)


def order(_: HttpRequest, number: int) -> HttpResponse:
    return HttpResponse(str(number))


def crash(_: HttpRequest, number: int) -> HttpResponse:
    raise LookupError(f"no such order: {number}")


urlpatterns = [path("orders/<int:number>", order), path("crash/<int:number>", crash)]

if __name__ == "__main__":
    with make_server("127.0.0.1", 0, get_wsgi_application()) as server:
        print(f"running on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()
else:
    app = get_asgi_application()
