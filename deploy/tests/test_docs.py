"""The commands of the documentation, run as a reader would: in a copy of the repository, in one terminal for each section.

Those of a service's own page are run by that service's tests. That no block is forgotten is a test in common/tests/tidy/docs.rs.
"""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import unittest
from pathlib import Path

from sandbox import give_origin
from stack import KEYS, PATIENCE, ROOT, SERVICES, docker, is_healthy, keeping_images, request, run, wait_for

# What a fresh clone does not have.
NOT_CLONED = shutil.ignore_patterns("target", ".git", ".venv", ".node", "node_modules", "run", "dist", "data", "backups", "__pycache__")
# A terminal of a machine that has all a reader is told to have, where this one differs from it.
TERMINAL = r"""
set -euo pipefail
trap 'echo "line $LINENO: $BASH_COMMAND" >&2' ERR

# The binaries are there; what is a test of its own, or builds with a network, is only looked up.
make() {
    case $1 in
        images) command make BIN_DIR="$MONLIGHT_BIN_DIR" --old-file=build "$@" ;;
        *) command make --dry-run "$@" >/dev/null ;;
    esac
}
docker() {
    if [ "$1" = compose ]; then shift && docker-compose "$@"; else command docker "$@"; fi
}
sudo() { "$@"; }
# What a comment asks a person to do.
fill_in_the_keys() { sed --in-place --regexp-extended 's/^([A-Z_]*_API_KEY)=$/\1=key-of-\1/' deploy/secrets.env; }
"""
# Sections that go on where one ended that starts the services.
BESIDE_A_STACK = ["Backups", "Upgrading"]
VENV = Path(os.environ.get("MONLIGHT_VENV", ROOT / ".venv"))
# What a person sees in the end.
ASK = 'curl -sS "http://localhost:{}/api/{}" -H "X-API-Key: $(cat run/development-key)"'
BY_HAND = {"# then fill in the four keys": "&& fill_in_the_keys"}


def blocks(page, *languages):
    """The blocks of a page in these languages, below their second-level headings; in order."""
    sections = {}
    heading, language, lines = "", None, []
    for line in (ROOT / page).read_text().splitlines():
        fence = re.match(r"\s*```(.*)", line)
        if fence is None and language is None and line.startswith("## "):
            heading = line.removeprefix("## ")
        elif fence and language is None:
            language, lines = fence[1], []
        elif fence:
            if language in languages:
                sections.setdefault(heading, []).append("\n".join(lines) + "\n")
            language = None
        else:
            lines.append(line)
    assert sections, f"{page}: no blocks of {languages}"
    return sections


class Clone:
    """A copy of the repository with nothing built, in which pages are followed."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name) / "monlight"
        shutil.copytree(ROOT, self.root, ignore=NOT_CLONED, symlinks=True)
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def follow(self, commands, **environment):
        for comment, by_hand in BY_HAND.items():
            commands = commands.replace(comment, by_hand)
        done = run("bash", "-c", TERMINAL + commands, cwd=self.root, env=environment, check=False)
        if done.returncode != 0:
            raise AssertionError(f"ended with {done.returncode}:\n{commands}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout


class Running:
    """`make run` in a terminal of its own, on a machine without containers."""

    def __init__(self, clone):
        self.clone = clone

    def __enter__(self):
        command = ["make", f"BIN_DIR={os.environ['MONLIGHT_BIN_DIR']}", "--old-file=build", "run"]
        environment = {**os.environ, "LOG_SOURCES": str(self.clone.root / "run/demo-logs")}
        self.output = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, cwd=self.clone.root, env=environment, stdout=self.output, stderr=subprocess.STDOUT, start_new_session=True
        )
        wait_for("make run", lambda: all(is_healthy(port) for port in range(5010, 5014)) or self.has_ended())
        return self

    def has_ended(self):
        if self.process.poll() is not None:
            raise AssertionError(f"make run ended:\n{self.said()}")

    def said(self):
        self.output.seek(0)
        return self.output.read()

    def __exit__(self, *_):
        # As Ctrl-C does, and at once the other way, as by somebody who cannot wait: what was started ends all the same.
        os.killpg(self.process.pid, signal.SIGINT)
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(PATIENCE)
        wait_for("the services to end", lambda: not any(is_healthy(port) for port in range(5010, 5014)))
        self.output.close()


class Started(unittest.TestCase):
    """What a newcomer reads, and types while `make run` goes on."""

    def test_the_lines_that_make_run_prints(self):
        with Clone() as clone, Running(clone) as running:
            lines = re.findall(r"^  curl (?:.*\\\n)?.*$", running.said(), re.MULTILINE)
            self.assertEqual(len(lines), 4, running.said())
            for line in lines:
                # A tail goes on until somebody ends it.
                if "curl -N" in line:
                    line = line.replace("curl -N", "timeout 2 curl -N") + " || [ $? = 124 ]"
                self.assertRegex(clone.follow(line), "created|accepted|event: log", line)

    def check_page(self, page, messages, metrics):
        """Its commands, then its Python; all of it in one terminal, beside the one with `make run`."""
        clones, starts, *commands = "".join(text for texts in blocks(page, "sh").values() for text in texts).splitlines()
        self.assertRegex(clones, r"^git clone \S+ && cd monlight$")
        self.assertRegex(starts, r"^make run( +#.*)?$")
        with Clone() as clone, Running(clone):
            wait_for("a line of the demo", lambda: '"total":0' not in clone.follow(ASK.format(5011, "logs")))
            said = clone.follow("\n".join(commands))
            self.assertRegex(said, '"logs":.{"id"')
            scripts = [text for texts in blocks(page, "python").values() for text in texts]
            for script in scripts:
                self.run_python(clone, script)
            errors = wait_for("the reports", lambda: self.all_in(messages, clone.follow(ASK.format(5010, "errors"))))
            self.assertNotIn("detail", errors)
            wait_for("the values", lambda: self.all_in(metrics, clone.follow(ASK.format(5012, "metrics/names"))))

    def all_in(self, words, text):
        return text if all(word in text for word in words) else None

    def run_python(self, clone, script):
        key = (clone.root / "run/development-key").read_text()
        script = script.replace("the key that make run printed", key)
        run(str(VENV / "bin/python"), "-c", script, cwd=clone.root, env={"PYTHONPATH": str(clone.root / "clients/python/src")})

    def test_readme(self):
        self.check_page("README.md", ["my first error", "division by zero"], ["orders_total"])

    def test_getting_started(self):
        self.check_page(
            "docs/getting-started.md", ["no such order: 7", "cart is undefined", "KeyError"], ["orders_total", "payment_seconds"]
        )

    def test_contributing(self):
        with Clone() as clone:
            for commands in blocks("CONTRIBUTING.md", "sh").values():
                clone.follow("\n".join(commands))


# A file of the original for each service: the steps that made it, and what is in it.
ORIGINALS = {
    "error-tracker": ("errors", 3, "INSERT INTO errors (fingerprint, project, exception_type, message, traceback, first_seen, last_seen)"
                      " VALUES ('f', 'old', 'E', 'of the original', 't', '2025-01-01T00:00:00Z', '2025-01-01T00:00:00Z')"),
    "log-viewer": ("logs", 4, "INSERT INTO log_entries (timestamp, container, message) VALUES ('2025-01-01T00:00:00Z', 'web', 'of the original')"),
    "metrics-collector": ("metrics", 6, "INSERT INTO metrics_aggregated (bucket, resolution, name, count) VALUES"
                          " (strftime('%Y-%m-%dT%H:00:00Z', 'now', '-5 hours'), 'hour', 'of_the_original', 1)"),
    "browser-relay": ("browser-relay", 3, "INSERT INTO dsn_keys (public_key, project) VALUES ('of-the-original', 'old')"),
}
# Where to see it.
KEPT = [
    (5010, "/api/errors", "of the original", "ERROR_TRACKER_API_KEY"),
    (5011, "/api/logs", "of the original", "LOG_VIEWER_API_KEY"),
    (5012, "/api/metrics/names", "of_the_original", "METRICS_COLLECTOR_API_KEY"),
    (5013, "/api/dsn-keys", "of-the-original", "BROWSER_RELAY_ADMIN_API_KEY"),
]


def put_original(service, folder):
    """Leaves in a folder what the original does, which runs as root."""
    name, version, content = ORIGINALS[service]
    for file in folder.iterdir():
        file.unlink()
    os.chown(folder, 0, 0)
    with sqlite3.connect(folder / f"{name}.db") as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE _meta (key TEXT PRIMARY KEY, value TEXT)")
        for step in sorted((ROOT / service / "migrations").iterdir())[:version]:
            database.executescript(step.read_text())
        database.execute("INSERT INTO _meta VALUES ('schema_version', ?)", [version])
        database.execute(content)
    database.close()


class Machine(Clone):
    """A clone on a machine that has nothing but images in the end."""

    def __enter__(self):
        super().__enter__()
        # What "from source" takes where there is no registry, as `make images` left it.
        shutil.copytree(ROOT / "target/images", self.root / "target/images")
        return self

    def __exit__(self, *_):
        containers = docker("ps", "--all", "--quiet").split()
        if containers:
            docker("rm", "--force", "--volumes", *containers)
        docker("volume", "prune", "--force")
        docker("network", "prune", "--force")
        super().__exit__()


class Deployed(unittest.TestCase):
    """Each section of a page about containers, from the start."""

    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(keeping_images())
        for service in SERVICES:
            docker("tag", f"monlight/{service}:latest", f"ghcr.io/mattmezza/monlight/{service}:latest")

    def test_deployment(self):
        sections = blocks("docs/deployment.md", "sh")
        for section, commands in sections.items():
            with self.subTest(section), Machine() as clone:
                before = sections["From source"] if section in BESIDE_A_STACK else []
                if section == "Upgrading":
                    give_origin(clone.root)
                clone.follow("\n".join([*before, *commands]), MONLIGHT_TARGET="prebuilt")

    def test_what_needs_a_running_stack(self):
        with Machine() as clone:
            self.start_from_source(clone)
            clone.follow("\n".join(text for texts in blocks("docs/troubleshooting.md", "sh").values() for text in texts))
            for entry in blocks("docs/deployment.md", "cron")["Backups"]:
                minute, hour, day, month, weekday, command = entry.split(maxsplit=5)
                self.assertRegex(f"{minute} {hour} {day} {month} {weekday}", r"^\d+ \d+ \* \* \*$")
                clone.follow(command.replace("/srv/monlight", str(clone.root)))

    def start_from_source(self, clone):
        clone.follow("\n".join(blocks("docs/deployment.md", "sh")["From source"]), MONLIGHT_TARGET="prebuilt")
        wait_for("all services", lambda: all(is_healthy(port) for port in range(5010, 5014)))

    def check_kept(self):
        for port, path, what, name in KEPT:
            wait_for(f"port {port}", lambda: is_healthy(port))
            found = request("GET", f"http://localhost:{port}{path}", headers={"X-API-Key": f"key-of-{name}"})
            self.assertIn(what, found.text)

    def test_migrating_and_going_back(self):
        sections = blocks("docs/migrating.md", "sh")
        with Machine() as clone:
            self.start_from_source(clone)
            data = clone.root / "deploy/data"
            docker("stop", *docker("ps", "--quiet").split())
            for service in SERVICES:
                put_original(service, data / ORIGINALS[service][0])
            clone.follow("\n".join(sections["With data in deploy/data"]), MONLIGHT_TARGET="prebuilt")
            self.check_kept()
            clone.follow("\n".join(sections["Going back"]))
            with sqlite3.connect(data / "errors/errors.db") as database:
                self.assertEqual(database.execute("SELECT value FROM _meta").fetchall(), [("3",)])
                self.assertEqual(database.execute("SELECT message FROM errors").fetchall(), [("of the original",)])
            database.close()

    def test_migrating_named_volumes(self):
        with Machine() as clone:
            clone.follow("\n".join(blocks("docs/deployment.md", "sh")["From released images"]))
            docker("stop", *docker("ps", "--quiet").split())
            for service in SERVICES:
                put_original(service, Path(docker("volume", "inspect", "--format={{.Mountpoint}}", f"monlight_{service}-data")))
            clone.follow("\n".join(blocks("docs/migrating.md", "sh")["With named volumes"]))
            self.check_kept()

    def test_the_override_of_configuration(self):
        override = blocks("docs/configuration.md", "yaml")["Compose files"][0]
        with Clone() as clone:
            (clone.root / "docker-compose.override.yml").write_text(override)
            config = clone.follow("docker compose config", **KEYS)
            for setting in re.findall(r"^      ([A-Z_]+: .*)$", override, re.MULTILINE):
                self.assertIn(setting.replace('"', ""), config.replace("'", "").replace('"', ""))


if __name__ == "__main__":
    unittest.main()
