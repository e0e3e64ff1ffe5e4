"""deploy/nginx.conf.example in a real nginx, in front of a real stack."""

import base64
import http.client
import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from stack import DEPLOY, KEYS, PATIENCE, ROOT, Stack, docker, engine_logs, request, run, wait_for

HOST = "http://localhost"
USER = {"Authorization": "Basic " + base64.b64encode(b"alice:secret").decode()}
BEHIND_PROXY = {"MONLIGHT_BIND": "127.0.0.1", "TRUST_PROXY": "true"}
# As many as the relay takes per minute from one address.
RELAY_LIMIT = 300


def key(name):
    return {**USER, "X-API-Key": KEYS[name]}


class Nginx:
    """nginx with the example as its only site; port 80 is free in the engine's network."""

    def __init__(self, config):
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name)
        password = run("openssl", "passwd", "-apr1", "secret").stdout.strip()
        (self.path / "monlight.htpasswd").write_text(f"alice:{password}\n")
        (self.path / "site.conf").write_text(config)
        (self.path / "nginx.conf").write_text(
            "daemon off; worker_processes 1; pid nginx.pid; error_log stderr;\n"
            "events {}\nhttp { access_log off; include site.conf; }\n"
        )
        # Its worker runs as another user and reads the passwords.
        self.path.chmod(0o755)
        self.command = ["nginx", "-p", self.folder.name, "-c", str(self.path / "nginx.conf")]

    def check(self):
        run(*self.command, "-t")

    def __enter__(self):
        self.process = subprocess.Popen(self.command)
        wait_for("nginx", self.answers)
        return self

    def answers(self):
        try:
            return request("GET", f"{HOST}/browser-relay/health").status == 200
        except OSError:
            assert self.process.poll() is None, "nginx ended"
            return False

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(PATIENCE)
        self.folder.cleanup()


def example():
    return (DEPLOY / "nginx.conf.example").read_text()


class BehindNginx(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        settings = {**KEYS, **BEHIND_PROXY, "DOCKER_LOGS": engine_logs()}
        for service in ["error-tracker", "log-viewer", "metrics-collector", "browser-relay"]:
            docker("tag", f"monlight/{service}:latest", f"ghcr.io/mattmezza/monlight/{service}:latest")
        cls.stack = cls.enterClassContext(Stack(ROOT / "docker-compose.yml", range(5010, 5014), settings))
        cls.enterClassContext(Nginx(example()))
        made = request("POST", f"{HOST}/browser-relay/api/dsn-keys", {"project": "web"}, {"X-API-Key": KEYS["BROWSER_RELAY_ADMIN_API_KEY"]})
        cls.dsn = {"X-Monlight-Key": made.json()["public_key"]}

    def test_a_password_opens_three_and_none_the_relay(self):
        for service in ["error-tracker", "log-viewer", "metrics-collector"]:
            self.assertEqual(request("GET", f"{HOST}/{service}/health").status, 401)
            self.assertEqual(request("GET", f"{HOST}/{service}/health", headers=USER).json()["status"], "ok")
        self.assertEqual(request("GET", f"{HOST}/log-viewer/api/logs/tail").headers["www-authenticate"], 'Basic realm="Monlight"')
        self.assertEqual(request("GET", f"{HOST}/browser-relay/health").json(), {"status": "ok"})

    def test_a_password_is_no_key(self):
        self.assertEqual(request("GET", f"{HOST}/error-tracker/api/errors", headers=USER).json(), {"detail": "Invalid API key"})
        self.assertEqual(request("GET", f"{HOST}/error-tracker/api/errors", headers=key("ERROR_TRACKER_API_KEY")).status, 200)

    def test_interfaces_work_below_their_paths(self):
        for service in ["error-tracker", "log-viewer", "metrics-collector"]:
            moved = run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", f"{HOST}/{service}").stdout
            self.assertEqual(moved, f"301 {HOST}/{service}/")
            page = request("GET", f"{HOST}/{service}/", headers=USER)
            self.assertEqual(page.status, 200)
            self.assertIn("default-src", page.headers["content-security-policy"])
            links = re.findall(r'(?:src|href)="([^"]+\.(?:js|css))"', page.text)
            self.assertTrue(links, page.text)
            for link in links:
                self.assertFalse(link.startswith("/"), link)
                asset = request("GET", f"{HOST}/{service}/{link}", headers={**USER, "Accept-Encoding": "gzip"})
                self.assertEqual(asset.status, 200, link)

    def test_a_tail_is_not_buffered(self):
        connection = http.client.HTTPConnection("localhost", 80, timeout=PATIENCE)
        connection.request("GET", "/log-viewer/api/logs/tail?container=speaker", headers=key("LOG_VIEWER_API_KEY"))
        answer = connection.getresponse()
        self.assertEqual((answer.status, answer.headers["content-type"].split(";")[0]), (200, "text/event-stream"))
        self.addCleanup(docker, "rm", "--force", "speaker")
        # Much less than any buffer holds; the answer goes on, so only what is passed on at once can be read.
        docker("run", "--name=speaker", "monlight/error-tracker", "--version")
        for line in answer:
            if b"error-tracker " in line:
                break
        else:
            self.fail("the tail ended without the line")
        connection.close()

    def test_bodies_as_large_as_the_services_take(self):
        text = "x" * 200_000
        report = {"project": "p", "exception_type": "T", "message": text, "traceback": "t"}
        answer = request("POST", f"{HOST}/error-tracker/api/errors", report, key("ERROR_TRACKER_API_KEY"))
        self.assertEqual(answer.status, 201)
        content = '{"version":3,"sources":["a.ts"],"names":[],"mappings":"AAAA","x":"%s"}' % ("x" * 4_000_000)
        upload = {"project": "web", "release": "1", "file_url": "/a.js", "map_content": content}
        answer = request("POST", f"{HOST}/browser-relay/api/source-maps", upload, {"X-API-Key": KEYS["BROWSER_RELAY_ADMIN_API_KEY"]})
        self.assertEqual(answer.status, 201, answer.text)
        self.assertEqual(request("POST", f"{HOST}/browser-relay/api/source-maps", b"x" * (11 << 20)).status, 413)

    def statuses(self, source, count, *headers):
        """Of posts that are wrong and count all the same, by the address they come from."""
        options = [word for header in headers for word in ("--header", header)]
        key = f"X-Monlight-Key: {self.dsn['X-Monlight-Key']}"
        return run(
            "curl", "--silent", "--interface", source, "--header", key, *options, "--data", "{}", "--output", "/dev/null",
            "--write-out", "%{http_code} ", "--rate", "1200/m", f"http://127.0.0.1/browser-relay/api/browser/errors?[1-{count}]",
        ).stdout.split()

    def test_limits_count_by_the_clients_address(self):
        # nginx's own limit lets this many pass at this rate; what is refused is refused by the relay.
        first = self.statuses("127.0.0.2", RELAY_LIMIT + 5)
        self.assertEqual((first[:RELAY_LIMIT], first[RELAY_LIMIT:]), (["400"] * RELAY_LIMIT, ["429"] * 5))
        self.assertEqual(self.statuses("127.0.0.2", 1, "X-Forwarded-For: 127.0.0.9"), ["429"], "a claimed address helps nobody")
        self.assertEqual(self.statuses("127.0.0.3", 1), ["400"], "another address has its own limit")

    def test_a_flood_is_stopped_before_the_relay_and_told_so_that_pages_can_read_it(self):
        # More than the burst at once. Wrong keys, so that the relay's own limit has no part in it.
        flood = "http://127.0.0.1/browser-relay/api/browser/errors?[1-200]"
        curl = ["curl", "--silent", "--include", "--parallel", "--parallel-max", "50", "--interface"]
        posts = run(*curl, "127.0.0.4", "--header", "X-Monlight-Key: wrong", "--data", "{}", flood).stdout
        self.assertIn("HTTP/1.1 401 ", posts)
        self.assertRegex(posts, r"(?s)HTTP/1.1 429 .*\nAccess-Control-Allow-Origin: \*\nRetry-After: 5\n")
        self.assertIn('{"detail": "Rate limit exceeded", "retry_after": 5}', posts)
        # From another address: the relay's own limit counts those of origins that it does not know.
        preflights = run(*curl, "127.0.0.5", "--request", "OPTIONS", "--header", "Origin: https://example.com", flood).stdout
        self.assertEqual(preflights.count("HTTP/1.1 "), 200)
        self.assertNotIn("HTTP/1.1 429 ", preflights)

    def test_ports_are_closed_to_others(self):
        for published in docker("ps", "--format={{.Ports}}").splitlines():
            self.assertRegex(published, r"^127\.0\.0\.1:501[0-3]->8000/tcp$")


class Examples(unittest.TestCase):
    def test_the_lines_for_tls_are_right(self):
        with tempfile.TemporaryDirectory() as folder:
            run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=test",
                "-keyout", f"{folder}/privkey.pem", "-out", f"{folder}/fullchain.pem")
            config = re.sub(r"(?m)^    # (listen|ssl_|add_header|set_real_ip|real_ip)", r"    \1", example())
            config = config.replace("/etc/letsencrypt/live/monitoring.example.com", folder)
            self.assertEqual(config.count("\n    ssl_"), 3)
            nginx = Nginx(config)
            self.addCleanup(nginx.folder.cleanup)
            nginx.check()


if __name__ == "__main__":
    unittest.main()
