"""What actionlint and zizmor do not see in .github/workflows, and what the steps of releases do, with programs that only write down how they are called."""

import os
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ["error-tracker", "log-viewer", "metrics-collector", "browser-relay"]
DIGEST = "sha256:" + "0123456789abcdef" * 4


def workflow(name):
    # YAML 1.1 reads the key `on` as true.
    loaded = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text())
    return {("on" if key is True else key): value for key, value in loaded.items()}


def workflows():
    return {path.stem: workflow(path.stem) for path in (ROOT / ".github/workflows").glob("*.yml")}


class Workflows(unittest.TestCase):
    def test_none_runs_for_ever_or_beside_itself(self):
        for name, flow in workflows().items():
            self.assertIn("group", flow["concurrency"], name)
            for job, steps in flow["jobs"].items():
                self.assertTrue("uses" in steps or 0 < steps["timeout-minutes"] <= 60, f"{name}: {job}")

    def test_every_part_has_a_workflow_for_its_tags(self):
        tags = [tag for flow in workflows().values() for tag in (flow["on"].get("push") or {}).get("tags", [])]
        listed = subprocess.run([ROOT / "scripts/release.sh", "versions"], text=True, capture_output=True, check=True)
        self.assertEqual(sorted(tags), sorted(f"{line.split()[0]}-v*" for line in listed.stdout.splitlines()))

    def test_nothing_is_published_before_the_tests_have_passed(self):
        for name in ["release-image", "release-python", "release-js"]:
            jobs = workflow(name)["jobs"]
            self.assertEqual(jobs["test"]["uses"], "$/.github/workflows/test.yml")
            self.assertIn("test", jobs["publish"]["needs"])

    def test_only_who_publishes_may_sign_and_it_builds_nothing(self):
        for name, flow in workflows().items():
            for job, steps in flow["jobs"].items():
                if "id-token" in steps["permissions"]:
                    self.assertEqual(job, "publish", name)
                    self.assertNotIn("actions/checkout", str(steps), f"{name}: {job}")


class Steps(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.calls = self.folder / "calls"
        self.output = self.folder / "output"
        (self.folder / "bin").mkdir()
        self.version = tomllib.loads((ROOT / "log-viewer/Cargo.toml").read_text())["package"]["version"]

    def program(self, name, answer=":"):
        path = self.folder / "bin" / name
        path.write_text(f'#!/bin/bash\necho "{name} $*" >>"{self.calls}"\n{answer}\n')
        path.chmod(0o755)

    def run_step(self, flow, job, name, cwd=ROOT, check=True, **environment):
        """As the runner does it; expressions are the environment's business."""
        steps = [step for step in workflow(flow)["jobs"][job]["steps"] if step.get("name") == name]
        self.assertEqual(len(steps), 1, f"{flow}: {job}: {name}")
        self.assertNotIn("${{", steps[0]["run"])
        self.calls.write_text("")
        self.output.write_text("")
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "GITHUB_OUTPUT": str(self.output), "GITHUB_REPOSITORY": "mattmezza/monlight", **environment}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps[0]["run"]]
        done = subprocess.run(command, cwd=cwd, env=environment, text=True, capture_output=True)
        if check:
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done, self.calls.read_text(), self.output.read_text()

    def test_a_tag_is_what_its_manifest_says(self):
        name = "the tag must name the version in the manifest"
        _, _, output = self.run_step("release-image", "version", name, GITHUB_REF_NAME=f"log-viewer-v{self.version}")
        self.assertEqual(output, f"service=log-viewer\nversion={self.version}\n")
        for flow, job, tag in [
            ("release-image", "version", "log-viewer-v99.0.0"),
            ("release-python", "build", "python-v99.0.0"),
            ("release-js", "build", "js-v99.0.0"),
        ]:
            done, _, output = self.run_step(flow, job, name, check=False, GITHUB_REF_NAME=tag)
            self.assertEqual((done.returncode, output), (1, ""), tag)

    def test_an_image_is_pushed_as_what_its_architecture_is(self):
        self.program("docker")
        scripts = self.folder / "scripts"
        scripts.mkdir()
        (scripts / "images.sh").write_text(f'#!/bin/bash\necho "$*" >>"{self.calls}"\necho "{DIGEST}"\n')
        (scripts / "images.sh").chmod(0o755)
        _, calls, output = self.run_step(
            "release-image", "build", "build, check and push", cwd=self.folder, SERVICE="log-viewer", ARCHITECTURE="arm64"
        )
        self.assertIn("push log-viewer ghcr.io/mattmezza/monlight/log-viewer\n", calls)
        self.assertEqual(output, f"arm64={DIGEST}\n")

    def name_image(self, version, answer):
        self.program("docker", answer)
        image = "ghcr.io/mattmezza/monlight/log-viewer"
        return self.run_step(
            "release-image", "publish", "one image of both architectures, under its names",
            check=False, IMAGE=image, VERSION=version, AMD64="sha256:a", ARM64="sha256:b",
        )  # fmt: skip

    def test_an_image_has_its_version_and_unless_it_is_a_pre_release_is_the_latest(self):
        answer = f"""[ "$3" != inspect ] || echo '{{"digest": "{DIGEST}"}}'"""
        image = "ghcr.io/mattmezza/monlight/log-viewer"
        for version, names in [
            ("1.2.3", f"--tag {image}:1.2.3 --tag {image}:latest"),
            ("1.2.3-rc.1", f"--tag {image}:1.2.3-rc.1"),
        ]:
            done, calls, output = self.name_image(version, answer)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"imagetools create {names} {image}@sha256:a {image}@sha256:b\n", calls)
            self.assertEqual(output, f"digest={DIGEST}\n")
        compose = (ROOT / "docker-compose.yml").read_text()
        for service in SERVICES:
            self.assertIn(f"image: ghcr.io/mattmezza/monlight/{service}:", compose)

    def test_an_image_that_is_not_found_again_fails(self):
        for answer in ['[ "$3" != inspect ] || echo {}', '[ "$3" != inspect ]', '[ "$3" != create ]']:
            done, _, output = self.name_image("1.2.3", answer)
            self.assertNotEqual(done.returncode, 0)
            self.assertEqual(output, "")

    def test_a_release_says_what_is_new_and_where_it_is(self):
        self.program("gh", 'for argument in "$@"; do [ "$argument" != notes.md ] || cat notes.md; done')
        for version, is_early in [(self.version, False), (f"{self.version}-rc.1", True)]:
            scripts = self.folder / "scripts"
            scripts.mkdir(exist_ok=True)
            (scripts / "release.sh").write_text('#!/bin/bash\necho "notes of ${2:?}"\n')
            (scripts / "release.sh").chmod(0o755)
            tag = f"log-viewer-v{version}"
            done, calls, _ = self.run_step(
                "release-image", "announce", "GitHub release",
                cwd=self.folder, GITHUB_REF_NAME=tag, SERVICE="log-viewer", VERSION=version, DIGEST=DIGEST,
            )  # fmt: skip
            self.assertIn(f"gh release create {tag} --verify-tag --title log-viewer {version} --notes-file notes.md", calls)
            self.assertEqual("--prerelease" in calls, is_early)
            self.assertIn(f"notes of {tag}\n", done.stdout)
            self.assertIn(f"`ghcr.io/mattmezza/monlight/log-viewer:{version}`, for amd64 and arm64: `{DIGEST}`", done.stdout)

    def test_pages_reach_jekyll_whole(self):
        pages = {
            "docs/index.md": ("---\ntitle: A\n---\n\n# A\n\n---\n", "---\ntitle: A\n---\n{% raw %}\n\n# A\n\n---\n{% endraw %}\n"),
            "docs/decisions/0001-gate-before-body.md": ("# B\n\n`{{.B}}`\n", "{% raw %}\n# B\n\n`{{.B}}`\n{% endraw %}\n"),
        }
        for name, (before, _) in pages.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(before)
        self.run_step("docs", "build", "nothing in a page is a template", cwd=self.folder)
        for name, (_, after) in pages.items():
            self.assertEqual((self.folder / name).read_text(), after)

    def test_npm_gets_a_pre_release_as_the_next(self):
        self.program("npm")
        (self.folder / "monlight-browser.tgz").write_text("")
        for tag, name in [("js-v1.0.0", "latest"), ("js-v1.0.0-rc.1", "next")]:
            _, calls, _ = self.run_step("release-js", "publish", "publish", cwd=self.folder, GITHUB_REF_NAME=tag)
            self.assertEqual(calls, f"npm publish ./monlight-browser.tgz --provenance --access public --ignore-scripts --tag {name}\n")


if __name__ == "__main__":
    unittest.main()
