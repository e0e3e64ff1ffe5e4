"""The images: what is in them, and what they are allowed."""

import json
import tempfile
import unittest
from pathlib import Path

from stack import ROOT, SERVICES, docker, run

HARDENED = ["--rm", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]


def image(service):
    return json.loads(docker("image", "inspect", f"monlight/{service}:latest"))[0]


class Images(unittest.TestCase):
    def test_they_are_small(self):
        print(run(ROOT / "scripts/images.sh", "check").stderr)

    def test_they_say_what_they_are(self):
        for service in SERVICES:
            config = image(service)["Config"]
            self.assertEqual(config["Entrypoint"], [f"/app/{service}"])
            self.assertEqual(config["Healthcheck"]["Test"], ["CMD", f"/app/{service}", "--healthcheck"])
            self.assertEqual(list(config["ExposedPorts"]), ["8000/tcp"])
            self.assertEqual(list(config["Volumes"]), ["/app/data"])
            self.assertEqual(config["User"], "0:0" if service == "log-viewer" else "65532:65532")
            version = docker("run", *HARDENED, f"monlight/{service}", "--version")
            labels = {name.rsplit(".", 1)[1]: value for name, value in config["Labels"].items()}
            self.assertEqual(f"{labels['title']} {labels['version']}", version)
            self.assertRegex(labels["revision"], "^[0-9a-f]{40}$|^unknown$")

    def test_there_is_nothing_in_them_but_the_binary(self):
        for service in SERVICES:
            container = docker("create", f"monlight/{service}")
            listing = run("sh", "-c", f"docker export {container} | tar --list --verbose").stdout.splitlines()
            docker("rm", "--volumes", container)
            ours = [line.split() for line in listing if line.split()[5].startswith("app")]
            self.assertEqual(
                {(words[5], words[0]) for words in ours},
                {("app/", "drwxr-xr-x"), (f"app/{service}", "-rwxr-xr-x"), ("app/data/", "drwxrwxrwt")},
            )
            # What the engine itself puts into every container.
            others = {words[5].split("/")[0] for words in map(str.split, listing)} - {"app"}
            self.assertLessEqual(others, {".dockerenv", "dev", "etc", "proc", "sys"})

    def test_a_folder_that_cannot_be_written_is_told_with_the_remedy(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            command = ["docker", "run", *HARDENED, "--env=API_KEY=key", f"--volume={folder}:/app/data", "monlight/error-tracker"]
            done = run(*command, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn("chown -R 65532:65532 /app/data", done.stderr)

    def test_a_key_may_come_from_a_file(self):
        with tempfile.NamedTemporaryFile("w") as secret:
            # A mounted secret keeps the host's mode, and must be readable by the service's user.
            Path(secret.name).chmod(0o644)
            secret.write("the key\n")
            secret.flush()
            options = [f"--volume={secret.name}:/run/secrets/key:ro", "--env=API_KEY_FILE=/run/secrets/key"]
            container = docker("run", "--detach", "--read-only", "--cap-drop=ALL", *options, "monlight/error-tracker")
            try:
                docker("exec", container, "/app/error-tracker", "--backup", "/app/data/copy.db")
                docker("stop", container)
                self.assertEqual(docker("inspect", "--format={{.State.ExitCode}}", container), "0")
            finally:
                docker("rm", "--force", "--volumes", container)


if __name__ == "__main__":
    unittest.main()
