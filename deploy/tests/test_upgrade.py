"""deploy/upgrade.sh: under load, and with versions that do not work."""

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import unittest

from load import Gaps, Load, Speaker
from sandbox import Sandbox, image
from stack import KEYS, ROOT, SERVICES, USER, docker, is_healthy, keeping_images, request, run, wait_for

EVENTS_PER_SECOND = 200
PORTS = dict(zip(SERVICES, range(5010, 5014)))
HEADERS = {"X-API-Key": KEYS["ERROR_TRACKER_API_KEY"]}


def report(message):
    body = {"project": "p", "exception_type": message, "message": message, "traceback": f'File "{message}.py", line 1'}
    answer = request("POST", "http://localhost:5010/api/errors", body, HEADERS)
    assert answer.status == 201, answer.text


def reported():
    return {error["message"] for error in request("GET", "http://localhost:5010/api/errors?project=p&limit=100", headers=HEADERS).json()["errors"]}


class Upgrades(unittest.TestCase):
    """One stack, which every test leaves healthy."""

    @classmethod
    def setUpClass(cls):
        cls.enterClassContext(keeping_images())
        cls.sandbox = Sandbox()
        cls.addClassCleanup(cls.sandbox.close)
        cls.stack = cls.enterClassContext(cls.sandbox.stack())

    def running(self):
        """The image of each service's container."""
        return {service: container.inspect()["Image"] for service, container in self.stack.containers().items()}

    def upgrade(self, *args, **environment):
        return self.stack.script("upgrade.sh", *args, **environment)

    def put_new(self, *services, **options):
        for service in services:
            self.sandbox.put(service, version=self.id().encode(), **options)

    def assert_well(self, done):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def assert_failed(self, done, *words):
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stdout + done.stderr)

    def test_under_load_nothing_is_lost_or_doubled_there_and_back(self):
        before = self.running()
        self.put_new(*SERVICES)
        self.sandbox.push("a new version")
        with self.speaker() as speaker, Load(EVENTS_PER_SECOND) as load:
            wait_for("some events", lambda: load.turns > 20)
            for name, args in [("upgrade", []), ("rollback", ["--rollback"])]:
                with Gaps(PORTS.values()) as gaps:
                    done = self.upgrade(*args)
                self.assert_well(done)
                print(f"{name}: longest without health " + ", ".join(f"{service} {gaps.longest[port]:.2f} s" for service, port in PORTS.items()))
                self.assertEqual(len(re.findall(r"(?m)^[a-z-]+: runs ", done.stdout)), len(SERVICES), done.stdout)
                if name == "upgrade":
                    self.check_upgraded(before)
            self.assertEqual(self.running(), before)
            self.assert_all_read(speaker)
        self.assert_all_stored(load)

    def check_upgraded(self, before):
        after = self.running()
        for service in SERVICES:
            self.assertNotEqual(after[service], before[service], service)
            self.assertEqual(image(f"monlight/{service}:rollback"), before[service], service)
            self.assertEqual(image(f"monlight/{service}:latest"), after[service], service)
            self.assertTrue(list(self.backups().glob(f"{self.sandbox.data(service).name}/*.db")), service)
        self.assertEqual(self.sandbox.git("log", "-1", "--format=%s"), "a new version")

    def backups(self):
        return self.sandbox.deploy / "backups"

    def test_a_kill_of_all_at_once_loses_and_doubles_nothing(self):
        with self.speaker() as speaker, Load(EVENTS_PER_SECOND) as load:
            wait_for("some events", lambda: load.turns > 40)
            # As the kernel does for memory, or a power cut for the machine; `docker kill` would keep them from coming back.
            for container in self.stack.containers().values():
                os.kill(container.state()["Pid"], signal.SIGKILL)
            wait_for("all to be back", lambda: all(map(is_healthy, PORTS.values())))
            turns = load.turns
            wait_for("some more events", lambda: load.turns > turns + 20)
            self.assert_all_read(speaker)
        self.assert_all_stored(load)

    def speaker(self):
        return Speaker(self.sandbox.stand_in())

    def assert_all_read(self, speaker):
        said, stored = speaker.finish()
        print(f"{said} lines said, {len(stored)} stored")
        self.assertEqual(stored, list(range(1, said + 1)))

    def assert_all_stored(self, load):
        stored = load.stored()
        print(f"{5 * load.turns} events in {load.seconds:.0f} s; stored {stored}")
        self.assertEqual(stored, dict.fromkeys(stored, load.turns))

    def test_a_version_that_crashes_is_put_back_and_the_upgrade_stops(self):
        before = self.running()
        report("crash")
        self.sandbox.put("error-tracker", script="crash")
        self.put_new("log-viewer")
        done = self.upgrade("--no-pull", "--no-backup")
        self.assert_failed(done, "error-tracker: FAILED: runs the version before again", "log-viewer: was not touched", "broken on purpose")
        self.assertEqual(self.running(), before)
        self.assertIn("crash", reported())
        # What is printed can be pasted, and does no harm where it was done already.
        commands = [line.strip() for line in done.stdout.splitlines() if line.startswith("  ")]
        self.assertEqual(commands[0], "docker tag monlight/error-tracker:rollback monlight/error-tracker:latest")
        self.assertRegex(commands[1], r" up --detach --no-deps --no-build error-tracker$")
        self.assertRegex(commands[2], r"/upgrade\.sh --rollback error-tracker$")
        for command in commands:
            run("bash", "-c", command, env=self.stack.environment, cwd="/")
        self.assertEqual(self.running(), before)

    def test_force_goes_on_past_a_version_that_never_gets_healthy(self):
        before = self.running()
        self.sandbox.put("metrics-collector", script="silent")
        self.put_new("browser-relay")
        done = self.upgrade("--no-pull", "--no-backup", "--force", "browser-relay", "metrics-collector", HEALTH_TIMEOUT="5")
        self.assert_failed(done, "metrics-collector: FAILED: runs the version before again", "browser-relay: runs ")
        self.assertRegex(done.stderr, r"metrics-collector is not healthy after \d+ s and 0 restarts")
        after = self.running()
        self.assertEqual({**after, "browser-relay": None}, {**before, "browser-relay": None})
        self.assertNotEqual(after["browser-relay"], before["browser-relay"])

    def next_database(self):
        """A file as a later version would have it."""
        path = self.sandbox.folder / "next.db"
        path.unlink(missing_ok=True)
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE _meta (key TEXT PRIMARY KEY, value TEXT)")
            database.execute("INSERT INTO _meta VALUES ('schema_version', '99')")
        database.close()
        return path.read_bytes()

    def test_a_version_that_migrates_and_crashes_leaves_the_database_as_it_was(self):
        before = self.running()
        report("before-migration")
        self.sandbox.put("error-tracker", script="migrate crash", next_db=self.next_database())
        done = self.upgrade("--no-pull", "--no-backup", "error-tracker")
        self.assert_failed(done, "error-tracker: FAILED: runs the version before again", "Putting back ", "errors.db.before-schema-99")
        self.assertEqual(self.running(), before)
        self.assertIn("before-migration", reported())
        report("after-migration")

    def test_a_rollback_over_a_migration_wants_force_and_keeps_what_came_since(self):
        before = self.running()
        report("before-rollback")
        self.sandbox.put("error-tracker", script="migrate serve", next_db=self.next_database())
        self.assert_well(self.upgrade("--no-pull", "--no-backup", "error-tracker"))
        migrated = self.running()
        self.assertNotEqual(migrated, before)
        refused = self.upgrade("--rollback", "error-tracker")
        self.assert_failed(refused, "has migrated its database since", "nothing was changed", "--rollback --force")
        self.assertEqual(self.running(), migrated)
        done = self.upgrade("--rollback", "--force", "error-tracker")
        self.assert_well(done)
        self.assertEqual(self.running(), before)
        self.assertIn("before-rollback", reported())
        kept = max(self.sandbox.data("error-tracker").glob("errors.db.before-restore-*[0-9]"))
        with sqlite3.connect(kept) as database:
            self.assertEqual(database.execute("SELECT value FROM _meta").fetchone(), ("99",))
        database.close()
        # Twice changes nothing: neither the image, nor the database once more.
        report("since-rollback")
        again = self.upgrade("--rollback", "error-tracker")
        self.assert_well(again)
        self.assertIn("error-tracker: runs ", again.stdout)
        self.assertIn("since-rollback", reported())

    def test_what_is_not_new_is_left_running_and_keeps_its_rollback(self):
        old = self.running()["log-viewer"]
        self.put_new("log-viewer")
        # `docker compose` is taken where it is there; this one is docker-compose.
        shim = self.sandbox.folder / "docker"
        shim.write_text(f'#!/bin/sh\nif [ "$1" = compose ]; then shift; exec docker-compose "$@"; fi\nexec {shutil.which("docker")} "$@"\n')
        shim.chmod(0o755)
        for turn, path in enumerate([os.environ["PATH"], f"{shim.parent}:{os.environ['PATH']}"]):
            container = self.stack.container("log-viewer").id
            self.assert_well(self.upgrade("--no-pull", "--no-backup", "log-viewer", PATH=path))
            self.assertEqual(self.stack.container("log-viewer").id == container, turn == 1)
            self.assertEqual(image("monlight/log-viewer:rollback"), old)

    def test_ctrl_c_waits_for_the_service_that_is_exchanged_and_another_upgrade_is_refused(self):
        before = self.running()
        self.put_new(*SERVICES)
        upgrade = self.stack.start("upgrade.sh", "--no-pull", "--no-backup")
        self.read_until(upgrade, "Restarting error-tracker")
        self.assert_failed(self.upgrade("--no-pull", "--no-backup", "log-viewer"), "another upgrade is running")
        # As a terminal does, and a lost connection.
        for number in (signal.SIGINT, signal.SIGHUP):
            os.killpg(upgrade.pid, number)
        stdout, stderr = upgrade.communicate(timeout=60)
        self.assertEqual(upgrade.returncode, 130, stderr)
        self.assertIn("Stopping as soon as this service is done", stderr)
        self.assertRegex(stdout, "error-tracker: runs .*\nlog-viewer: was not touched\n")
        self.assertIn("docker tag monlight/error-tracker:rollback", stdout)
        after = self.running()
        self.assertEqual({service for service in SERVICES if after[service] != before[service]}, {"error-tracker"})
        self.assertTrue(all(map(is_healthy, PORTS.values())))

    def test_it_goes_on_when_nobody_reads_what_it_says(self):
        before = self.running()
        self.put_new("metrics-collector")
        upgrade = self.stack.start("upgrade.sh", "--no-pull", "--no-backup", "metrics-collector")
        self.read_until(upgrade, "Building metrics-collector")
        upgrade.stdout.close()
        upgrade.stderr.close()
        upgrade.wait(60)
        self.assertNotEqual(self.running()["metrics-collector"], before["metrics-collector"])
        self.assertTrue(is_healthy(PORTS["metrics-collector"]))

    def read_until(self, process, words):
        for line in process.stderr:
            if words in line:
                return
        self.fail(f"it ended without {words}")

    def test_after_a_kill_in_the_middle_it_can_run_again(self):
        before = self.running()
        report("before-kill")
        self.put_new("error-tracker")
        upgrade = self.stack.start("upgrade.sh", "--no-pull", "--no-backup", "error-tracker")
        self.read_until(upgrade, "Restarting error-tracker")
        # The whole machine stops, so to speak; the exchange has a process group of its own.
        session = run("ps", "-o", "pid=", "--sid", str(upgrade.pid)).stdout.split()
        for process in session:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process), signal.SIGKILL)
        upgrade.communicate(timeout=60)
        self.assert_well(self.upgrade("--no-pull", "--no-backup", "error-tracker"))
        self.assertEqual(image("monlight/error-tracker:rollback"), before["error-tracker"])
        self.assertNotEqual(self.running(), before)
        self.assertEqual(len(docker("ps", "--all", "--quiet").split()), len(SERVICES))
        self.assertIn("before-kill", reported())

    def test_a_full_disk_of_backups_stops_it_before_anything_is_changed(self):
        before = self.running()
        self.put_new("metrics-collector")
        folder = self.sandbox.folder / "full"
        folder.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(folder))
        try:
            done = self.upgrade("--no-pull", "metrics-collector", BACKUP_DIR=str(folder))
            self.assert_failed(done, "the backup failed; nothing was changed")
            self.assertEqual(self.running(), before)
            done = self.upgrade("--no-pull", "--force", "metrics-collector", BACKUP_DIR=str(folder))
            self.assert_well(done)
            self.assertIn("WARNING: going on without a backup", done.stderr)
        finally:
            run("umount", str(folder))
        self.assertNotEqual(self.running(), before)

    def test_what_is_wrong_is_told_before_anything_is_changed(self):
        before = self.running()
        self.put_new("error-tracker")
        helped = self.upgrade("--help")
        self.assert_well(helped)
        self.assertTrue(helped.stdout.startswith("Upgrades the services"), helped.stdout)
        self.assert_failed(self.upgrade("--fast"), "unknown option or service: --fast")
        self.assert_failed(self.upgrade("nginx"), "unknown option or service: nginx")
        self.assert_failed(self.upgrade(COMPOSE_FILE="/nowhere.yml"), "COMPOSE_FILE: /nowhere.yml does not exist")
        self.assert_failed(self.upgrade(DOCKER_HOST="unix:///nowhere"), "the Docker Engine does not answer")
        self.assert_failed(self.upgrade(HEALTH_TIMEOUT="soon"), "HEALTH_TIMEOUT: expected a number of seconds, got soon")
        self.assert_failed(self.upgrade(ERROR_TRACKER_API_KEY=""), "ERROR_TRACKER_API_KEY is not set")
        origin = self.sandbox.folder / "origin"
        origin.rename(origin.with_name("away"))
        try:
            self.assert_failed(self.upgrade("--no-backup", "error-tracker"), "git pull failed; nothing was changed", "does not appear to be a git repository")
        finally:
            origin.with_name("away").rename(origin)
        self.assertEqual(self.running(), before)
        shutil.rmtree(self.sandbox.root / "target" / "images" / "error-tracker")
        self.assert_failed(self.upgrade("--no-pull", "--no-backup", "error-tracker"), "error-tracker: FAILED: there is no new image, it was not touched")
        self.assertEqual(self.running(), before)


class Released(unittest.TestCase):
    """docker-compose.yml: images of a registry, data in volumes."""

    def test_an_image_that_is_pulled_instead_of_built(self):
        self.enterContext(keeping_images())
        sandbox = Sandbox()
        self.addCleanup(sandbox.close)
        shutil.copy(ROOT / "docker-compose.yml", sandbox.root)
        (sandbox.root / "docker-compose.override.yml").write_text('services: {error-tracker: {environment: {RETENTION_DAYS: "7"}}}\n')
        name = "ghcr.io/mattmezza/monlight/error-tracker"
        docker("tag", "monlight/error-tracker:latest", f"{name}:1.0.0")
        sandbox.put("error-tracker", version=b"1.1.0")
        sandbox.stack().compose("build", "--quiet", "error-tracker")
        docker("tag", "monlight/error-tracker:latest", f"{name}:1.1.0")
        files = {"COMPOSE_FILE": str(sandbox.root / "docker-compose.yml"), "MONLIGHT_BIND": "127.0.0.1"}
        stack = sandbox.stack(**files, ERROR_TRACKER_VERSION="1.0.0")
        self.addCleanup(stack.__exit__)
        stack.compose("up", "--detach", "--no-deps", "error-tracker")
        wait_for("error-tracker", lambda: is_healthy(5010))
        report("in a volume")
        docker("rename", stack.container("error-tracker").id, "renamed")

        old, new = image(f"{name}:1.0.0"), image(f"{name}:1.1.0")
        # There is no network here; what `git pull` talks to is a folder.
        done = stack.script("upgrade.sh", "error-tracker", ERROR_TRACKER_VERSION="1.2.0")
        self.assertIn("error-tracker: FAILED: there is no new image, it was not touched", done.stdout)
        for option, expected in [("--no-pull", new), ("--rollback", old)]:
            done = stack.script("upgrade.sh", option, "error-tracker", ERROR_TRACKER_VERSION="1.1.0")
            self.assertEqual(done.returncode, 0, done.stderr)
            # The operator's own settings are still there.
            self.assertIn("RETENTION_DAYS=7", stack.container("error-tracker").inspect()["Config"]["Env"])
            self.assertEqual(stack.container("error-tracker").inspect()["Image"], expected)
            self.assertEqual(reported(), {"in a volume"})
        self.assertEqual(image(f"{name}:rollback"), old)
        self.assertEqual(len(list((sandbox.deploy / "backups" / "errors").glob("*.db"))), 2)


class FromTheOriginal(unittest.TestCase):
    """Its files belong to root, and have schema 4."""

    def setUp(self):
        self.enterContext(keeping_images())
        self.sandbox = Sandbox()
        self.addCleanup(self.sandbox.close)
        self.stack = self.sandbox.stack()
        self.addCleanup(self.stack.__exit__)
        self.folder = self.sandbox.data("error-tracker")
        os.chown(self.folder, 0, 0)
        with sqlite3.connect(self.folder / "errors.db") as database:
            for step in sorted((ROOT / "error-tracker" / "migrations").glob("000[1-4]_*.sql")):
                database.executescript(step.read_text())
            database.execute("CREATE TABLE _meta (key TEXT PRIMARY KEY, value TEXT)")
            database.execute("INSERT INTO _meta VALUES ('schema_version', '4')")
            database.execute(
                "INSERT INTO errors (project, exception_type, message, traceback, fingerprint, count, first_seen, last_seen)"
                " VALUES ('p', 'ValueError', 'of the original', 'trace', 'f', 3, '2026-01-01T00:00:00Z', '2026-01-01T00:00:00Z')"
            )
        database.close()
        self.sandbox.put("error-tracker", script="serve")
        self.stack.compose("build", "--quiet", "error-tracker")
        root = {**self.stack.environment, "MONLIGHT_USER": "0:0"}
        self.stack.environment, normal = root, self.stack.environment
        self.stack.compose("up", "--detach", "--no-deps", "error-tracker")
        self.stack.environment = normal
        wait_for("the original", lambda: is_healthy(5010))
        self.before = self.stack.container("error-tracker").inspect()["Image"]
        self.sandbox.put("error-tracker")

    def version(self):
        database = sqlite3.connect(self.folder / "errors.db")
        (version,) = database.execute("SELECT value FROM _meta WHERE key = 'schema_version'").fetchone()
        database.close()
        return version

    def test_it_becomes_ours_with_its_data_and_can_go_back(self):
        done = self.stack.script("upgrade.sh", "--no-pull", "error-tracker")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"Making {self.folder} belong to {USER}:{USER}, as error-tracker asks", done.stderr)
        self.assertEqual({path.stat().st_uid for path in self.folder.iterdir() if path.name != ".before-upgrade"}, {USER})
        self.assertEqual(reported(), {"of the original"})
        self.assertNotEqual(self.version(), "4")
        self.assertTrue(list((self.sandbox.deploy / "backups" / "errors").glob("*.db")))
        refused = self.stack.script("upgrade.sh", "--rollback")
        self.assertIn("has migrated its database since", refused.stderr)
        done = self.stack.script("upgrade.sh", "--rollback", "--force")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.version(), "4")
        self.assertEqual(self.stack.container("error-tracker").inspect()["Image"], self.before)

    def test_where_it_cannot_be_migrated_the_original_runs_on(self):
        with sqlite3.connect(self.folder / "errors.db") as database:
            database.execute("CREATE TABLE groups (in_the_way)")
        database.close()
        done = self.stack.script("upgrade.sh", "--no-pull", "error-tracker")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertRegex(done.stderr, "migration: .*groups.*; nothing was changed\n")
        self.assertIn("error-tracker: FAILED: runs the version before again", done.stdout)
        self.assertEqual(self.version(), "4")
        self.assertEqual(self.stack.container("error-tracker").inspect()["Image"], self.before)
        self.assertTrue(is_healthy(5010))


if __name__ == "__main__":
    unittest.main()
