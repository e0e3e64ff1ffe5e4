"""Backups of a service that is being written to, and the drill of restoring one."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import unittest
import urllib.request
from pathlib import Path

from stack import DEPLOY, FOLDERS, USER, run, wait_for

KEY = "key-of-errors"
SERVICES = {folder: service for service, folder in FOLDERS.items()}
NOWHERE = "http://127.0.0.1:9"


class Service:
    """A real service with its database where the compose files have it."""

    def __init__(self, data, name="errors"):
        folder = Path(data) / name
        folder.mkdir(exist_ok=True)
        variables = {"PORT": "0", "BIND_ADDRESS": "127.0.0.1", "RATE_LIMIT": "0", "DATABASE_PATH": str(folder / f"{name}.db")}
        keys = ["API_KEY", "ADMIN_API_KEY", "ERROR_TRACKER_API_KEY", "METRICS_COLLECTOR_API_KEY"]
        others = {"ERROR_TRACKER_URL": NOWHERE, "METRICS_COLLECTOR_URL": NOWHERE, "LOG_SOURCES": str(folder)}
        binary = Path(os.environ["MONLIGHT_BIN_DIR"]) / SERVICES[name]
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen([binary], env={**variables, **dict.fromkeys(keys, KEY), **others}, stderr=self.log)
        self.address = wait_for(SERVICES[name], self._address)

    def _address(self):
        with open(f"/proc/self/fd/{self.log.fileno()}") as log:
            found = re.search(r"listens on (\S+)", log.read())
        return found and found[1]

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{self.address}{path}", data, {"X-API-Key": KEY})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def report(self, number):
        report = {"project": "p", "exception_type": "E", "message": f"m{number}", "traceback": f'File "{number}.py", line 1'}
        return self.call("/api/errors", report)["id"]

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0
        self.log.close()


class Backup(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.data, self.backups = Path(folder.name) / "data", Path(folder.name) / "backups"
        self.data.mkdir()
        self.env = {"DATA_DIR": str(self.data), "BACKUP_DIR": str(self.backups)}

    def script(self, name, *args, check=True, **env):
        return run(str(DEPLOY / name), *args, check=check, env={**self.env, **env})

    def files(self, name="errors"):
        return sorted(path.name for path in (self.backups / name).iterdir())

    def test_a_backup_under_writes_has_all_that_was_acknowledged_before_and_is_restored(self):
        tracker = Service(self.data)
        acknowledged, stop = [], threading.Event()

        def write(first):
            number = first
            while not stop.is_set():
                acknowledged.append(tracker.report(number))
                number += 2

        writers = [threading.Thread(target=write, args=(first,)) for first in range(2)]
        for writer in writers:
            writer.start()
        wait_for("some reports", lambda: len(acknowledged) > 200)
        before = set(acknowledged)
        output = self.script("backup.sh", "errors").stdout
        stop.set()
        for writer in writers:
            writer.join()
        self.assertRegex(output, r"\] OK: errors backed up successfully \(\S+\)\n")
        self.assertIn("All backups completed successfully", output)
        (name,) = self.files()
        self.assertRegex(name, r"^errors_\d{4}-\d\d-\d\d_\d{6}\.db$")
        copy = sqlite3.connect(self.backups / "errors" / name)
        stored = {row[0] for row in copy.execute("SELECT id FROM groups")}
        copy.close()
        self.assertLessEqual(before, stored)

        refused = self.script("restore.sh", "errors", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("is running; stop it first", refused.stderr)
        tracker.stop()
        self.script("restore.sh", "errors")
        tracker = Service(self.data)
        self.assertEqual(tracker.call("/api/errors?resolved=all")["total"], len(stored))
        tracker.stop()
        kept = [path.name for path in (self.data / "errors").iterdir() if "before-restore" in path.name]
        self.assertTrue(kept)

    def test_the_hosts_sqlite3_reads_and_backs_up_all_four(self):
        for name in SERVICES:
            service = Service(self.data, name)
            if name == "browser-relay":
                # In more than one piece.
                given = {"version": 3, "sources": ["a.ts"], "names": [], "mappings": ",".join(["AAAA"] * 100_000)}
                upload = {"project": "web", "release": "1", "file_url": "/a.js", "map_content": json.dumps(given)}
                service.call("/api/source-maps", upload)
            service.stop()
        # Nothing else that could.
        tools = {"PATH": "/usr/bin:/bin", "DOCKER_HOST": "unix:///nowhere"}
        output = self.script("backup.sh", **tools).stdout
        self.assertEqual(len(re.findall("OK: .* backed up successfully", output)), len(SERVICES), output)
        (copy,) = (self.backups / "browser-relay").glob("*.db")
        self.assertEqual(copy.stat().st_mode & 0o077, 0, "nobody else reads it")
        kept = json.loads(run("sqlite3", str(copy), "SELECT map_content FROM source_maps").stdout)
        self.assertEqual(kept["mappings"], given["mappings"])
        # The drill, into folders that are empty and belong to the services' user.
        for name in SERVICES:
            shutil.rmtree(self.data / name)
            (self.data / name).mkdir()
            os.chown(self.data / name, USER, USER)
            self.script("restore.sh", name)
            owners = {path.name: path.stat().st_uid for path in (self.data / name).iterdir()}
            self.assertEqual(owners, {f"{name}.db": USER, f"{name}.db.lock": USER})
            Service(self.data, name).stop()

    def test_without_a_database_it_fails(self):
        done = self.script("backup.sh", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing was backed up", done.stderr)
        self.assertEqual(done.stdout.count("SKIP: "), len(SERVICES))

    def test_what_is_commented_out_sends_the_backups_to_s3(self):
        Service(self.data).stop()
        folder = self.data.parent / "scripts"
        folder.mkdir()
        shutil.copy(DEPLOY / "lib.sh", folder)
        script = re.sub(r"(?m)^    # (aws |    die )", r"    \1", (DEPLOY / "backup.sh").read_text())
        (folder / "backup.sh").write_text(script)
        (folder / "aws").write_text('#!/bin/sh\necho "$@" >"$SAID"\n')
        (folder / "aws").chmod(0o755)
        said = folder / "said"
        environment = {**self.env, "PATH": f"{folder}:{os.environ['PATH']}", "S3_BUCKET": "bucket", "SAID": str(said)}
        run("bash", str(folder / "backup.sh"), "errors", env=environment)
        self.assertTrue(said.read_text().startswith(f"s3 sync {self.backups} s3://bucket/monlight "))

    def test_backups_and_what_is_restored_are_closed_to_other_users(self):
        tracker = Service(self.data)
        tracker.report(1)
        for compress in ["0", "1"]:
            self.script("backup.sh", "errors", COMPRESS=compress)
        tracker.stop()
        self.script("restore.sh", "errors")
        paths = [*self.backups.rglob("*"), *(self.data / "errors").iterdir()]
        self.assertGreater(len(paths), 4)
        for path in paths:
            self.assertEqual(path.stat().st_mode & 0o027, 0, f"{path}: {path.stat().st_mode:o}")

    def test_the_newest_are_kept_and_compressed_ones_count(self):
        Service(self.data).stop()
        for turn in range(4):
            self.script("backup.sh", "errors", RETENTION_COUNT="2", COMPRESS=str(turn % 2))
            newest = max((self.backups / "errors").glob("errors_*"), key=lambda path: path.stat().st_mtime)
            # A name has the second; a test need not wait for the next.
            newest.rename(newest.with_name(newest.name.replace("errors_", f"errors_{turn}")))
        self.assertEqual([name[7] for name in self.files()], ["2", "3"])
        self.script("restore.sh", "errors")

    def test_without_sqlite3_the_service_makes_it(self):
        Service(self.data).stop()
        tools = self.data.parent / "bin"
        tools.mkdir()
        for folder in ("/usr/bin", "/bin"):
            for program in Path(folder).iterdir():
                if program.name not in ("sqlite3", "docker") and not (tools / program.name).exists():
                    (tools / program.name).symlink_to(program)
        (tools / "error-tracker").symlink_to(Path(os.environ["MONLIGHT_BIN_DIR"]) / "error-tracker")
        self.script("backup.sh", "errors", PATH=str(tools))
        copy = sqlite3.connect(self.backups / "errors" / self.files()[0])
        self.assertEqual(copy.execute("PRAGMA integrity_check").fetchone(), ("ok",))
        copy.close()

    def test_what_goes_wrong_leaves_nothing_that_looks_like_a_backup(self):
        (self.data / "errors").mkdir()
        (self.data / "errors" / "errors.db").write_bytes(b"this is no database" * 1000)
        Path(self.data / "metrics").mkdir()
        sqlite3.connect(self.data / "metrics" / "metrics.db").execute("CREATE TABLE t (x)").connection.close()
        done = self.script("backup.sh", check=False)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("WARNING: errors was not backed up", done.stdout)
        self.assertIn("OK: metrics backed up successfully", done.stdout)
        self.assertIn("SKIP: ", done.stdout)
        self.assertEqual(self.files(), [])
        self.assertEqual(len(self.files("metrics")), 1)
        (self.backups / "errors" / "errors_2026-01-01_000000.db").write_bytes(b"broken")
        refused = self.script("restore.sh", "errors", check=False)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("not a sound database", refused.stderr)
        self.assertTrue((self.data / "errors" / "errors.db").read_bytes().startswith(b"this is no"))

    def test_a_full_disk_leaves_nothing_that_looks_like_a_backup(self):
        tracker = Service(self.data)
        for number in range(300):
            tracker.report(f"{number}" + "x" * 2000)
        tracker.stop()
        self.backups.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(self.backups))
        try:
            done = self.script("backup.sh", "errors", check=False)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertEqual(self.files(), [])
        finally:
            run("umount", str(self.backups))

    def test_words_that_are_not_understood_are_refused_before_any_work(self):
        self.assertEqual(self.script("backup.sh", "errors", "nonsense", check=False).returncode, 1)
        self.assertFalse(self.backups.exists())
        self.assertEqual(self.script("backup.sh", RETENTION_COUNT="0", check=False).returncode, 1)
        for script in ("backup.sh", "restore.sh"):
            self.assertIn("Usage:", self.script(script, "--help").stdout)


if __name__ == "__main__":
    unittest.main()
