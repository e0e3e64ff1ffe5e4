"""deploy/nginx-shards.conf.example in a real nginx, in front of two of each service: the key says which one is meant."""

import os
import re
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from stack import DEPLOY, PATIENCE, request, run, wait_for

# The keys in the example.
SHOP = {
    "errors": "error-tracker-key-of-shop",
    "metrics": "metrics-collector-key-of-shop",
    "relay": "browser-relay-key-of-shop",
    "dsn": "0123456789abcdef0123456789abcdef",
}
ALL = {"errors": "errors-key-of-all", "metrics": "metrics-key-of-all", "relay": "relay-key-of-all", "dsn": "f" * 32}
REPORT = {"project": "p", "exception_type": "E", "message": "m", "traceback": "t"}
EVENT = {"type": "E", "message": "m", "stack": "E: m"}


class Service:
    """A real service on a free port, with a database of its own."""

    def __init__(self, folder, name, **variables):
        variables |= {"PORT": "0", "BIND_ADDRESS": "127.0.0.1", "DATABASE_PATH": f"{folder}/{name}.db", "TRUST_PROXY": "true"}
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen([Path(os.environ["MONLIGHT_BIN_DIR"]) / name], env=variables, stderr=self.log)
        self.address = wait_for(name, self._address)
        self.url = f"http://{self.address}"

    def _address(self):
        assert self.process.poll() is None, "it ended"
        with open(f"/proc/self/fd/{self.log.fileno()}") as log:
            found = re.search(r"listens on (\S+)", log.read())
        return found and found[1]

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.log.close()


class Shard:
    """Three services with these keys."""

    def __init__(self, test, keys):
        folder = test.enterClassContext(tempfile.TemporaryDirectory())
        self.keys = keys
        self.errors = Service(folder, "error-tracker", API_KEY=keys["errors"])
        self.metrics = Service(folder, "metrics-collector", API_KEY=keys["metrics"])
        self.relay = Service(
            folder, "browser-relay", ADMIN_API_KEY=keys["relay"], DSN_KEYS=f"web:{keys['dsn']}", CORS_ORIGINS="https://shop.example",
            ERROR_TRACKER_URL=self.errors.url, ERROR_TRACKER_API_KEY=keys["errors"],
            METRICS_COLLECTOR_URL=self.metrics.url, METRICS_COLLECTOR_API_KEY=keys["metrics"],
        )
        for service in [self.relay, self.metrics, self.errors]:
            test.addClassCleanup(service.stop)

    def reports(self):
        """How often each error was seen, asked of the service itself."""
        answer = request("GET", f"{self.errors.url}/api/errors?resolved=all", headers={"X-API-Key": self.keys["errors"]})
        return {group["exception_type"]: group["count"] for group in answer.json()["errors"]}

    def values(self):
        return {metric["name"] for metric in request("GET", f"{self.metrics.url}/api/metrics/names", headers={"X-API-Key": self.keys["metrics"]}).json()["metrics"]}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """nginx with the example, its addresses replaced by those of two shards."""

    def __init__(self, folder, shop, rest):
        self.port = free_port()
        config = (DEPLOY / "nginx-shards.conf.example").read_text().replace("listen 80;", f"listen 127.0.0.1:{self.port};")
        for name, port in [("errors", 5010), ("metrics", 5012), ("relay", 5013)]:
            for address, shard in [("127.0.0.1", rest), ("127.0.0.2", shop)]:
                assert f"{address}:{port}" in config, config
                config = config.replace(f"server {address}:{port};", f"server {getattr(shard, name).address};")
        temporary = "".join(f"{what}_temp_path {folder}/{what}; " for what in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
        Path(folder, "shards.conf").write_text(config)
        Path(folder, "nginx.conf").write_text(
            f"{'user root;' if os.getuid() == 0 else ''} daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;\n"
            f"events {{}}\nhttp {{ access_log off; {temporary} include shards.conf; }}\n"
        )
        command = ["nginx", "-p", folder, "-c", f"{folder}/nginx.conf", "-e", "stderr"]
        environment = {"PATH": f"{os.environ['PATH']}:/usr/sbin"}
        run(*command, "-t", env=environment)
        self.process = subprocess.Popen(command, env={**os.environ, **environment})
        wait_for("nginx", self._answers)

    def _answers(self):
        assert self.process.poll() is None, "nginx ended"
        try:
            return self.ask("errors", "GET", "/health").status == 200
        except OSError:
            return False

    def ask(self, name, method, path, body=None, **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return request(method, f"http://127.0.0.1:{self.port}{path}", body, {"Host": f"{name}.example.com", **headers})

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


class Shards(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shop, cls.rest = Shard(cls, SHOP), Shard(cls, ALL)
        cls.nginx = Nginx(cls.enterClassContext(tempfile.TemporaryDirectory()), cls.shop, cls.rest)
        cls.addClassCleanup(cls.nginx.stop)

    def report(self, kind, query="", **headers):
        return self.nginx.ask("errors", "POST", f"/api/errors{query}", {**REPORT, "exception_type": kind}, **headers).status

    def test_the_key_says_which_error_tracker_however_it_is_shown(self):
        for shard, kind in [(self.shop, "OfShop"), (self.rest, "OfAll")]:
            key = shard.keys["errors"]
            self.assertEqual(self.report(kind, X_API_Key=key), 201)
            self.assertEqual(self.report(kind, Authorization=f"Bearer {key}"), 200)
            self.assertEqual(self.report(kind, f"?api_key={key}"), 200)
        self.assertEqual((self.shop.reports()["OfShop"], self.rest.reports()["OfAll"]), (3, 3))
        self.assertNotIn("OfAll", self.shop.reports())
        self.assertNotIn("OfShop", self.rest.reports())
        self.assertEqual(self.report("OfNobody", X_API_Key="wrong"), 401)
        # As without nginx, a wrong header is not rescued by a good query.
        self.assertEqual(self.report("OfNobody", f"?api_key={SHOP['errors']}", X_API_Key="wrong"), 401)

    def test_values_go_where_their_key_belongs(self):
        for shard, name in [(self.shop, "of_shop"), (self.rest, "of_all")]:
            item = [{"name": name, "type": "counter", "value": 1}]
            answer = self.nginx.ask("metrics", "POST", "/api/metrics", item, X_API_Key=shard.keys["metrics"])
            self.assertEqual(answer.status, 202)
        self.assertIn("of_shop", self.shop.values())
        self.assertIn("of_all", self.rest.values())
        self.assertFalse({"of_all"} & self.shop.values() or {"of_shop"} & self.rest.values())

    def test_pages_reach_the_relay_of_their_dsn_key(self):
        for shard, kind in [(self.shop, "PageOfShop"), (self.rest, "PageOfAll")]:
            for count, (query, headers) in enumerate([("", {"X_Monlight_Key": shard.keys["dsn"]}), (f"?key={shard.keys['dsn']}", {})]):
                answer = self.nginx.ask("relay", "POST", f"/api/browser/errors{query}", {**EVENT, "type": kind}, **headers)
                self.assertEqual(answer.status, 200 if count else 201, answer.text)
            self.assertEqual(shard.reports()[kind], 2)
            keys = self.nginx.ask("relay", "GET", "/api/dsn-keys", X_API_Key=shard.keys["relay"]).json()["keys"]
            self.assertEqual([key["public_key"] for key in keys], [shard.keys["dsn"]])
        preflight = self.nginx.ask("relay", "OPTIONS", "/api/browser/errors", Origin="https://shop.example", Access_Control_Request_Method="POST")
        self.assertEqual((preflight.status, preflight.headers["access-control-allow-origin"]), (204, "https://shop.example"))


class OneAway(unittest.TestCase):
    def test_what_happens_to_one_does_not_happen_to_the_other(self):
        shop, rest = Shard(type(self), SHOP), Shard(type(self), ALL)
        nginx = Nginx(self.enterContext(tempfile.TemporaryDirectory()), shop, rest)
        self.addCleanup(nginx.stop)
        shop.errors.process.kill()
        shop.errors.process.wait(PATIENCE)
        self.assertEqual(nginx.ask("errors", "POST", "/api/errors", REPORT, X_API_Key=SHOP["errors"]).status, 502)
        self.assertEqual(nginx.ask("errors", "POST", "/api/errors", REPORT, X_API_Key=ALL["errors"]).status, 201)
        # What pages send waits in the relay of the shop.
        queued = nginx.ask("relay", "POST", "/api/browser/errors", EVENT, X_Monlight_Key=SHOP["dsn"])
        self.assertEqual((queued.status, queued.json()), (202, {"status": "queued"}))
