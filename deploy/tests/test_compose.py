"""The compose files: limits that hold, names of what is missing, and containers that come, go and come back."""

import contextlib
import os
import shutil
import socket
import tempfile
import threading
import time
import unittest
from datetime import UTC, datetime
from pathlib import Path

from stack import DEPLOY, KEYS, PATIENCE, ROOT, SERVICES, Stack, docker, engine_logs, is_healthy, keeping_images, request, run, test_stack, wait_for

FILES = ["docker-compose.yml", "deploy/docker-compose.monitoring.yml", "deploy/docker-compose.test.yml"]
PROGRAMS = ["docker-compose"] + (["docker compose"] if run("docker", "compose", "version", check=False).returncode == 0 else [])
MEBIBYTE = 1 << 20
STOP_SECONDS_MAX = 2
PIDS_MAX = 512
# As many as a service takes at a time.
CONNECTIONS = 256
# What the engine makes for log-viewer's mount.
MOUNT_POINT = {"/var", "/var/lib", "/var/lib/docker", "/var/lib/docker/containers"}


def released_stack():
    """docker-compose.yml with the images of this run under the names of released ones."""
    for service in SERVICES:
        docker("tag", f"monlight/{service}:latest", f"ghcr.io/mattmezza/monlight/{service}:latest")
    return Stack(ROOT / "docker-compose.yml", range(5010, 5014), KEYS)


class Files(unittest.TestCase):
    def test_every_program_takes_them(self):
        for program in PROGRAMS:
            for file in FILES:
                run(*program.split(), "--file", file, "config", env=KEYS, cwd=ROOT)

    def test_a_missing_key_stops_up_with_its_name(self):
        # An empty one, as secrets.env.example has them: what refuses that refuses one that is not there.
        for program in PROGRAMS:
            for file in FILES[:2]:
                for name in KEYS:
                    done = run(*program.split(), "--file", file, "up", "--detach", env={**KEYS, name: ""}, cwd=ROOT, check=False)
                    self.assertNotEqual(done.returncode, 0)
                    self.assertIn(f"{name} is not set", done.stderr)

    def test_the_example_of_secrets_is_complete(self):
        example = (DEPLOY / "secrets.env.example").read_text()
        with tempfile.NamedTemporaryFile("w", suffix=".env") as secrets:
            for name in KEYS:
                self.assertIn(f"\n{name}=\n", example)
                example = example.replace(f"\n{name}=\n", f"\n{name}=key-of-{name}\n")
            secrets.write(example)
            secrets.flush()
            for file in FILES[:2]:
                config = run("docker-compose", "--env-file", secrets.name, "--file", file, "config", cwd=ROOT).stdout
                for name in KEYS:
                    self.assertIn(f"key-of-{name}", config)


class WithContainers(unittest.TestCase):
    def check_hardening(self, stack):
        for service, container in stack.containers().items():
            self.assertEqual(container.memory_limit(), 30 * MEBIBYTE, service)
            host = container.inspect()["HostConfig"]
            self.assertEqual(host["PidsLimit"], PIDS_MAX, service)
            self.assertEqual({limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in host["Ulimits"]}, {"nofile": (4096, 4096), "core": (0, 0)}, service)
            self.assertTrue(host["ReadonlyRootfs"], service)
            self.assertEqual([word.removeprefix("CAP_") for word in host["CapDrop"]], ["ALL"], service)
            self.assertEqual(host["SecurityOpt"], ["no-new-privileges:true"], service)
            status = Path(f"/proc/{container.state()['Pid']}/status").read_text()
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            self.assertEqual(int(fields["CapEff"], 16) | int(fields["CapBnd"], 16), 0, service)
            self.assertEqual(fields["NoNewPrivs"], "1", service)
            self.assertEqual(fields["Uid"].split()[0], "0" if service == "log-viewer" else "65532", service)


class Released(WithContainers):
    """docker-compose.yml: one stack, which every test leaves healthy."""

    @classmethod
    def setUpClass(cls):
        started = time.monotonic()
        stack = released_stack()
        stack.environment["DOCKER_LOGS"] = engine_logs()
        cls.stack = cls.enterClassContext(stack)
        print(f"docker-compose up until all four answer: {time.monotonic() - started:.1f} s")

    def test_they_are_hardened(self):
        self.check_hardening(self.stack)
        for service, container in self.stack.containers().items():
            host = container.inspect()["HostConfig"]
            self.assertEqual(host["RestartPolicy"]["Name"], "unless-stopped", service)
            self.assertEqual(host["LogConfig"]["Config"], {"max-file": "3", "max-size": "10m"}, service)

    def test_each_service_gets_its_own_keys_only(self):
        allowed = {service: {f"{service.replace('-', '_').upper()}_API_KEY"} for service in SERVICES[:3]}
        allowed["browser-relay"] = {"BROWSER_RELAY_ADMIN_API_KEY", "ERROR_TRACKER_API_KEY", "METRICS_COLLECTOR_API_KEY"}
        for service, container in self.stack.containers().items():
            environment = " ".join(container.inspect()["Config"]["Env"])
            seen = {name for name, key in KEYS.items() if key in environment}
            self.assertEqual(seen, allowed[service], service)

    def test_log_viewer_reads_what_containers_of_the_engine_print(self):
        # As /var/lib/docker/containers is: for root alone.
        self.assertEqual(Path(engine_logs()).stat().st_mode & 0o007, 0)
        self.addCleanup(docker, "rm", "--force", "speaker")
        docker("run", "--name=speaker", "monlight/error-tracker", "--version")
        headers = {"X-API-Key": KEYS["LOG_VIEWER_API_KEY"]}
        url = "http://localhost:5011/api/logs?container=speaker"
        # log-viewer answers a client 60 times a minute.
        found = wait_for("the line", lambda: request("GET", url, headers=headers).json()["logs"], pause=1)
        self.assertRegex(found[0]["message"], "^error-tracker [0-9]")

    def test_what_the_kernel_kills_for_memory_comes_back(self):
        container = self.stack.container("error-tracker")
        headers = {"X-API-Key": KEYS["ERROR_TRACKER_API_KEY"]}
        report = {"project": "p", "exception_type": "Kept", "message": "kept", "traceback": "t"}
        self.assertEqual(request("POST", "http://localhost:5010/api/errors", report, headers).status, 201)
        # Far below what it needs under load, so that the kernel must act; no request could do it at 30 MB.
        docker("update", "--memory=6m", "--memory-swap=6m", container.id)
        since = str(int(time.time()))
        stop, acknowledged = threading.Event(), []
        body = b'{"project":"p","exception_type":"T","message":"%s","traceback":"t"}' % (b"x" * 200_000)

        def press():
            while not stop.is_set():
                try:
                    answer = request("POST", "http://localhost:5010/api/errors", body, headers, timeout=2)
                    if answer.status in (200, 201):
                        acknowledged.append(answer.json()["count"])
                except OSError:
                    stop.wait(0.05)

        threads = [threading.Thread(target=press) for _ in range(64)]
        for thread in threads:
            thread.start()
        try:
            wait_for("the kernel to kill it", lambda: container.inspect()["RestartCount"] > 0)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        events = docker("events", f"--since={since}", f"--until={int(time.time()) + 1}", "--filter=event=oom")
        self.assertIn("oom", events)
        docker("update", "--memory=30m", "--memory-swap=60m", container.id)
        wait_for("it to be back", lambda: is_healthy(5010))
        # It counts by the minute, and whoever pressed may have used it up since the last kill.
        found = wait_for("the limit of requests to pass", lambda: self.list_of_errors(headers), pause=1, patience=60 + PATIENCE)
        counts = {error["message"][:4]: error["count"] for error in found["errors"]}
        self.assertEqual(counts["kept"], 1)
        self.assertGreaterEqual(counts.get("xxxx", 0), max(acknowledged, default=0))

    def list_of_errors(self, headers):
        answer = request("GET", "http://localhost:5010/api/errors?limit=100", headers=headers)
        return answer.json() if answer.status == 200 else None


class ForTests(WithContainers):
    """docker-compose.test.yml: one stack, which every test leaves running."""

    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enterClassContext(test_stack())

    def threads(self, container):
        return len(os.listdir(f"/proc/{container.state()['Pid']}/task"))

    def test_docker_finds_them_healthy_also_with_all_connections_in_use(self):
        self.check_hardening(self.stack)
        for port, (service, container) in zip(self.stack.ports, self.stack.containers().items()):
            with contextlib.ExitStack() as connections:
                for _ in range(CONNECTIONS):
                    connection = connections.enter_context(socket.create_connection(("localhost", port)))
                    connection.sendall(b"GET /health HTTP/1.1\r\n")
                threads = wait_for("a thread each", lambda: self.threads(container) >= CONNECTIONS and self.threads(container))
                self.assertLess(threads, PIDS_MAX, service)
                self.assertLess(container.memory(), 30 * MEBIBYTE, service)
                wait_for(service, lambda: container.state()["Health"]["Status"] == "healthy")

    def test_they_stop_at_once_and_leave_nothing_undone(self):
        containers = self.stack.containers()
        self.addCleanup(self.stack.up)
        request("POST", "http://localhost:15010/api/errors", {"project": "p", "exception_type": "T", "message": "m", "traceback": "t"},
                {"X-API-Key": "test_api_key_e2e_12345"})
        for service, container in containers.items():
            begun = datetime.now(UTC)
            docker("stop", container.id)
            state = container.state()
            # Taking networks and mounts away is the engine's time.
            took = (datetime.fromisoformat(state["FinishedAt"]) - begun).total_seconds()
            print(f"{service} stopped in {took:.2f} s")
            self.assertEqual(state["ExitCode"], 0, service)
            self.assertLess(took, STOP_SECONDS_MAX, "docker stop would have killed it after ten")
            written = {line.split()[1] for line in docker("diff", container.id).splitlines()}
            self.assertLessEqual(written, MOUNT_POINT, "nothing is written outside the volume")


class FromSource(WithContainers):
    def test_folders_on_the_host(self):
        data = DEPLOY / "data"
        if data.exists():
            self.skipTest("deploy/data holds data of yours")
        try:
            for folder in ["errors", "logs", "metrics", "browser-relay"]:
                (data / folder).mkdir(parents=True)
                if folder != "logs":
                    os.chown(data / folder, 65532, 65532)
            file = DEPLOY / "docker-compose.monitoring.yml"
            stack = Stack(file, range(5010, 5014), {**KEYS, "MONLIGHT_TARGET": "prebuilt"})
            with keeping_images():
                stack.compose("build")
            with stack:
                self.check_hardening(stack)
                names = docker("ps", "--format={{.Names}}").split()
                self.assertEqual(sorted(names), ["browser_relay", "error_tracker", "log_viewer", "metrics_collector"])
                for path in ["errors/errors.db", "logs/logs.db", "metrics/metrics.db", "browser-relay/browser-relay.db"]:
                    self.assertTrue((data / path).exists(), path)
        finally:
            shutil.rmtree(data)


if __name__ == "__main__":
    unittest.main()
