"""Runs an example; when it has made an application or settings of one, visits it."""

import runpy
import sys
from typing import Any


def visit(names: dict[str, Any]) -> None:
    if "MONLIGHT" in names:
        visit_django(names)
    elif "app" in names and hasattr(names["app"], "test_client"):
        assert names["app"].test_client().get("/pay/7").status_code == 500
    elif "app" in names:
        from fastapi.testclient import TestClient

        with TestClient(names["app"], raise_server_exceptions=False) as client:
            assert client.get("/pay/7").status_code == 500


def visit_django(names: dict[str, Any]) -> None:
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.test import Client
    from django.urls import path

    def pay(_: Any, order: int) -> None:
        raise LookupError(f"django has no order {order}")

    given = {name: value for name, value in names.items() if name.isupper()}
    urls = type(sys)("urls")
    urls.urlpatterns = [path("pay/<int:order>", pay)]  # type: ignore[attr-defined]
    settings.configure(ALLOWED_HOSTS=["*"], SECRET_KEY="key", ROOT_URLCONF=urls, **given)
    get_wsgi_application()
    assert Client(raise_request_exception=False).get("/pay/7").status_code == 500


if __name__ == "__main__":
    visit(runpy.run_path(sys.argv[1]))
