"""scripts/images.sh without an engine: what it asks of `docker`, and that nothing too big is pushed."""

import os
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DIGEST = "sha256:" + "0123456789abcdef" * 4
# Writes down how it is called, and answers as the engine would.
DOCKER = f"""#!/bin/bash
echo "$*" >>"$CALLS"
case $1 in
    create) echo container ;;
    export) head -c "$BYTES" /dev/zero ;;
    run) echo "$SAYS" ;;
    buildx)
        for argument in "$@"; do
            case $argument in
                --metadata-file=*) printf '{{\\n  "containerimage.digest": "{DIGEST}",\\n  "image.name": "x"\\n}}\\n' >"${{argument#*=}}" ;;
            esac
        done
        ;;
esac
"""


class Images(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        docker = self.folder / "docker"
        docker.write_text(DOCKER)
        docker.chmod(0o755)

    def run_with(self, *args, size, says=""):
        calls = self.folder / "calls"
        calls.write_text("")
        path = f"{self.folder}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "CALLS": str(calls), "BYTES": str(size), "SAYS": says}
        done = subprocess.run([ROOT / "scripts/images.sh", *args], env=environment, text=True, capture_output=True)
        return done, calls.read_text().splitlines()

    def test_each_has_its_limit(self):
        for service, limit in [("error-tracker", 5_000_000), ("log-viewer", 5_000_000), ("browser-relay", 5_500_000)]:
            done, _ = self.run_with("check", service, size=limit)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(done.stderr, f"monlight/{service}:latest: {limit} bytes of at most {limit}\n")
            done, _ = self.run_with("check", service, size=limit + 1)
            self.assertEqual(done.returncode, 1)
            self.assertIn("too big", done.stderr)

    def test_all_are_checked_and_all_are_told(self):
        done, calls = self.run_with("check", size=5_200_000)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("5200000 bytes"), 4)
        self.assertEqual(sum(call.startswith("create") for call in calls), 4)
        self.assertEqual(sum(call.startswith("rm") for call in calls), 4)

    def test_what_is_pushed_has_its_papers(self):
        version = tomllib.loads((ROOT / "log-viewer/Cargo.toml").read_text())["package"]["version"]
        done, calls = self.run_with("push", "log-viewer", "registry.example/log-viewer", size=1, says=f"log-viewer {version}")
        self.assertEqual((done.returncode, done.stdout), (0, DIGEST + "\n"), done.stderr)
        first, *_, last = calls
        self.assertIn("--load", first)
        for asked in ["--sbom=true", "--provenance=mode=max", "name=registry.example/log-viewer,push-by-digest=true"]:
            self.assertIn(asked, last)
            self.assertNotIn(asked, first)
        for shared in ["--target=final", "SERVICE=log-viewer", f"VERSION={version}", "--file=deploy/Dockerfile"]:
            self.assertIn(shared, first)
            self.assertIn(shared, last)

    def test_nothing_is_pushed_that_is_too_big_or_says_another_version(self):
        done, calls = self.run_with("push", "log-viewer", "registry.example/log-viewer", size=5_000_001)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertNotIn("push=true", " ".join(calls))
        done, calls = self.run_with("push", "log-viewer", "registry.example/log-viewer", size=1, says="log-viewer 0.0.0")
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("it says log-viewer 0.0.0", done.stderr)
        self.assertNotIn("push=true", " ".join(calls))


if __name__ == "__main__":
    unittest.main()
