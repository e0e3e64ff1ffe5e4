"""A checkout of its own, with an origin, from which deploy/upgrade.sh makes one version after another."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from stack import DEPLOY, FOLDERS, KEYS, SERVICES, USER, Stack, docker, engine_logs, run

# Nothing of the tests is limited, and no look at the health waits long.
OVERRIDE = "services:\n" + "".join(f'  {service}: {{environment: {{RATE_LIMIT: "0"}}}}\n' for service in SERVICES)
GIT = ["git", "-c", "user.name=Monlight", "-c", "user.email=tests@example.com", "-c", "init.defaultBranch=main"]


def give_origin(root):
    """Makes a folder a checkout, of a repository beside it."""
    origin = root.with_name("origin")
    git = [*GIT, "-C", str(root)]
    run(*git, "init", "--quiet")
    run(*git, "add", "--all")
    run(*git, "commit", "--quiet", "--message", "the first version")
    run("git", "clone", "--quiet", "--bare", str(root), str(origin))
    run(*git, "remote", "add", "origin", str(origin))
    run(*git, "fetch", "--quiet")
    run(*git, "branch", "--quiet", "--set-upstream-to=origin/main")


class Sandbox:
    def __init__(self):
        self.folder = Path(tempfile.mkdtemp())
        # The services' users look into it.
        self.folder.chmod(0o755)
        self.root = self.folder / "checkout"
        self.deploy = self.root / "deploy"
        self.deploy.mkdir(parents=True)
        for path in DEPLOY.iterdir():
            if path.suffix in (".sh", ".yml") or path.name == "Dockerfile":
                shutil.copy(path, self.deploy)
        (self.deploy / "override.yml").write_text(OVERRIDE)
        (self.deploy / "secrets.env").write_text("".join(f"{name}={key}\n" for name, key in KEYS.items()))
        (self.root / ".gitignore").write_text("target/\ndeploy/data/\ndeploy/backups/\ndeploy/secrets.env\n")
        give_origin(self.root)
        for service in SERVICES:
            self.put(service)
            self.data(service).mkdir(parents=True)
            if service != "log-viewer":
                os.chown(self.data(service), USER, USER)

    def close(self):
        shutil.rmtree(self.folder)

    def git(self, *args):
        return run(*GIT, "-C", str(self.root), *args).stdout.strip()

    def push(self, message):
        """A commit that only the origin has yet."""
        folder = self.folder / "elsewhere"
        run("git", "clone", "--quiet", str(self.folder / "origin"), str(folder))
        run(*GIT, "-C", str(folder), "commit", "--quiet", "--allow-empty", "--message", message)
        run("git", "-C", str(folder), "push", "--quiet")
        shutil.rmtree(folder)

    def data(self, service):
        return self.deploy / "data" / FOLDERS[service]

    def put(self, service, version=b"", script=None, **files):
        """What the next image of a service is made of: the real binary, different by a few bytes after its end, or a stand-in."""
        app = self.root / "target" / "images" / service / "app"
        shutil.rmtree(app, ignore_errors=True)
        (app / "data").mkdir(parents=True)
        (app / "data").chmod(0o1777)
        binary = app / service
        if script is None:
            binary.write_bytes((Path(os.environ["MONLIGHT_BIN_DIR"]) / service).read_bytes() + version)
        else:
            shutil.copy(self.stand_in(), binary)
            (app / "script").write_text(script)
        for name, content in files.items():
            (app / name.replace("_", ".")).write_bytes(content)
        binary.chmod(0o755)

    def stand_in(self):
        program = self.folder / "stand_in"
        if not program.exists():
            run("cc", "-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(Path(__file__).with_name("stand_in.c")))
        return program

    def stack(self, **environment):
        files = f"{self.deploy}/docker-compose.monitoring.yml:{self.deploy}/override.yml"
        ours = {"MONLIGHT_TARGET": "prebuilt", "COMPOSE_FILE": files, "COMPOSE_PROJECT_NAME": "monlight_sandbox", "DOCKER_LOGS": engine_logs()}
        return SandboxStack(self, {**KEYS, **ours, **environment})


class SandboxStack(Stack):
    """The stack of a sandbox, as it is built and upgraded there."""

    def __init__(self, sandbox, environment):
        super().__init__(sandbox.deploy / "docker-compose.monitoring.yml", range(5010, 5014), environment)
        self.project = environment["COMPOSE_PROJECT_NAME"]
        self.sandbox = sandbox

    def compose(self, *args, check=True):
        files = [word for file in self.environment["COMPOSE_FILE"].split(":") for word in ("--file", file)]
        return run(*self.program, "--project-name", self.project, *files, *args, env=self.environment, check=check)

    def up(self):
        self.compose("build", "--quiet")
        super().up()

    def __exit__(self, *_):
        super().__exit__()
        for service in SERVICES:
            run("docker", "rmi", "--force", f"monlight/{service}:rollback", check=False)

    def script(self, name, *args, **environment):
        """Runs one of the scripts to its end; `stdout` and `stderr` as they are."""
        return run(str(self.sandbox.deploy / name), *args, env={**self.environment, "HEALTH_INTERVAL": "0.2", **environment}, check=False)

    def start(self, name, *args, **options):
        """Starts one of the scripts as the leader of a process group."""
        command = [str(self.sandbox.deploy / name), *args]
        environment = {**os.environ, **self.environment, "HEALTH_INTERVAL": "0.2"}
        return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **options)


def image(name):
    """The id of an image, or None."""
    return docker("image", "inspect", "--format={{.Id}}", name, check=False) or None
