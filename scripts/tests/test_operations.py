"""docs/operations.md and deploy/alerts.yml.example by what running services say; docs/upgrading.md by the migrations there are."""

import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path

import promql_parser
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
BIN_DIR = Path(os.environ.get("MONLIGHT_BIN_DIR", ROOT / f"target/{platform.machine()}-unknown-linux-gnu/release"))
KEY = "the-key"
PATIENCE = 30
NOWHERE = "http://localhost:9"
VARIABLES = {
    # Mails that nobody takes: alerts are on.
    "error-tracker": {"API_KEY": KEY, "SMTP_HOST": "localhost", "SMTP_PORT": "9", "ALERT_EMAILS": "ops@example.com"},
    "log-viewer": {"API_KEY": KEY},
    "metrics-collector": {"API_KEY": KEY},
    "browser-relay": {
        "ADMIN_API_KEY": KEY,
        "ERROR_TRACKER_URL": NOWHERE,
        "ERROR_TRACKER_API_KEY": KEY,
        "METRICS_COLLECTOR_URL": NOWHERE,
        "METRICS_COLLECTOR_API_KEY": KEY,
    },
}


class Service:
    """A running binary, with data of its own."""

    def __init__(self, name, folder):
        self.log = folder / "log"
        logs = folder / "containers"
        logs.mkdir(parents=True)
        variables = {"DATABASE_PATH": str(folder / "data.db"), "BIND_ADDRESS": "127.0.0.1", "PORT": "0", "LOG_SOURCES": str(logs)}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([BIN_DIR / name], env={**variables, **VARIABLES[name]}, stderr=log)

    def read(self, path):
        request = urllib.request.Request(self.url + path, headers={"X-API-Key": KEY})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def wait(self):
        deadline = time.monotonic() + PATIENCE
        while True:
            if listens := re.search(r"listens on (\S+)", self.log.read_text()):
                self.url = f"http://{listens.group(1)}"
                return
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"it does not listen: {self.log.read_text()}")
            time.sleep(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait(PATIENCE)


def page(name):
    return (DOCS / f"{name}.md").read_text()


def rules():
    groups = yaml.safe_load((ROOT / "deploy/alerts.yml.example").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def selectors(expression):
    """All `name{label="value"}` of a parsed expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        return [expression]
    parts = [getattr(expression, part, None) for part in ["lhs", "rhs", "expr", "vector_selector"]]
    parts += getattr(expression, "args", None) or []
    return [selector for part in parts if part is not None for selector in selectors(part)]


class Operations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.services = {}
        for name in VARIABLES:
            cls.services[name] = Service(name, folder / name)
            cls.addClassCleanup(cls.services[name].stop)
        cls.pages = {}
        for name, service in cls.services.items():
            service.wait()
            cls.pages[name] = service.read("/metrics")
        cls.names = {name: set(re.findall(r"^# TYPE (\S+) ", text, re.M)) for name, text in cls.pages.items()}
        cls.all_names = set().union(*cls.names.values())

    def test_metrics_that_pages_name_exist(self):
        named = set()
        for path in [ROOT / "README.md", *DOCS.glob("*.md")]:
            for name in re.findall(r"`((?:monlight|process)_[a-z0-9_]+)(?:\{[^`]*\})?`", path.read_text()):
                named.add(name)
                self.assertIn(name, self.all_names, f"{path.name}: no service has it")
        self.assertGreater(len(named), 15)

    def test_alerts_are_expressions_on_metrics_that_exist(self):
        for rule in rules():
            found = selectors(promql_parser.parse(rule["expr"]))
            self.assertTrue(found, rule["alert"])
            for selector in found:
                self.assertIn(selector.name, {*self.all_names, "up"}, rule["alert"])
                for matcher in selector.matchers.matchers:
                    values = set(self.services)
                    if matcher.name != "job":
                        label = rf'^{selector.name}\{{.*{matcher.name}="([^"]*)"'
                        values = {value for text in self.pages.values() for value in re.findall(label, text, re.M)}
                    # Not one of several names may be a misspelled one.
                    wanted = matcher.value.split("|")
                    known = {word for word in wanted if any(re.fullmatch(word, value) for value in values)}
                    self.assertEqual(known, set(wanted), rule["alert"])
            self.assertIn(rule["labels"]["severity"], ["critical", "warning"])
            self.assertTrue(rule["annotations"]["summary"])

    def test_an_expression_that_is_none_is_noticed(self):
        for wrong in ["rate(monlight_uptime_seconds) > 0", "sum by (job rate(x[5m])", "increase(x[5 minutes])"]:
            with self.assertRaises(ValueError, msg=wrong):
                promql_parser.parse(wrong)

    def test_the_page_has_all_alerts_with_their_metrics(self):
        rows = re.findall(r"^\| `(Monlight\w+)` \| (.*?) \|", page("operations"), re.M)
        told = {alert: set(re.findall(r"`(\w+)`", cell)) for alert, cell in rows}
        self.assertEqual(list(told), [rule["alert"] for rule in rules()])
        for rule in rules():
            used = {selector.name for selector in selectors(promql_parser.parse(rule["expr"]))}
            self.assertLessEqual(used, told[rule["alert"]], rule["alert"])

    def test_prometheus_is_told_of_all_services(self):
        block = re.search(r"```yaml\n(.*?)```", page("operations"), re.S).group(1)
        jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in yaml.safe_load(block)["scrape_configs"]}
        ports = {name: [f"localhost:{5010 + place}"] for place, name in enumerate(VARIABLES)}
        self.assertEqual(jobs, ports)

    def test_commands_work(self):
        blocks = re.findall(r"```sh\n(.*?)```", page("operations"), re.S)
        self.assertTrue(blocks)
        for block in blocks:
            environment = {"PATH": os.environ["PATH"], "URL": self.services["error-tracker"].url, "KEY": KEY}
            done = subprocess.run(["bash", "-euo", "pipefail", "-c", block], env=environment, text=True, capture_output=True)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_words_that_services_say_are_theirs(self):
        sources = "".join(path.read_text() for path in (ROOT / "common/src").rglob("*.rs"))
        rows = re.search(r"\| it says \|.*?\n\n", page("operations"), re.S).group()
        for words in re.findall(r"^\| (`.*?) \|", rows, re.M):
            for said in re.findall(r"`([^`]*)`", words):
                self.assertTrue(said in sources, f"no service says {said!r}")

    def test_schemas_are_those_of_the_migrations(self):
        rows = re.findall(r"^\| ([a-z-]+) \| (\d+) \|", page("upgrading"), re.M)
        newest = {name: max(int(path.name[:4]) for path in (ROOT / name / "migrations").glob("*.sql")) for name in VARIABLES}
        self.assertEqual({name: int(schema) for name, schema in rows}, newest)


if __name__ == "__main__":
    unittest.main()
