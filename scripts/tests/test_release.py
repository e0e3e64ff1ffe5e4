"""`make release-…` against a remote of its own: what is committed, tagged and pushed, and what is refused."""

import datetime
import json
import os
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ["error-tracker", "log-viewer", "metrics-collector", "browser-relay"]
PARTS = [*SERVICES, "python", "js"]
# What no release reads or writes, for speed. Cargo asks for the roots of crates.
LEFT_OUT = re.compile(r"/(src/(?!main\.|lib\.|monlight/__init__)|tests/|seeds/|targets/|images/|decisions/)")
# Nothing of the machine's or the user's own git.
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "MAKE")) and name != "DRY_RUN"},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.com",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.com",
}
CHANGELOG = """# Changelog

## Unreleased

### All services
- Quicker.

### Deployment
- Smaller images.

### error-tracker
- New: a bell.
- New: a whistle.

### log-viewer
- Fixed: a leak.

### Python client
- Friendlier.

## 2020-01-01: error-tracker 0.9.0

### error-tracker
- The first one.
"""


def run(*command, cwd, check=True, **environment):
    done = subprocess.run(command, cwd=cwd, env={**ENVIRONMENT, **environment}, text=True, capture_output=True)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def git(*args, cwd):
    return run("git", *args, cwd=cwd).stdout.strip()


def spoken(tag):
    """`log-viewer-v1.0.0` as `log-viewer 1.0.0`."""
    return " ".join(tag.rsplit("-v", 1))


def heading(*released):
    return f"## {datetime.datetime.now(datetime.UTC).date()}: {', '.join(released)}\n"


class Release(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """A remote that has what this checkout has, committed or not, with a changelog that the tests know."""
        cls.seed = Path(tempfile.mkdtemp())
        cls.addClassCleanup(shutil.rmtree, cls.seed)
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT, text=True, capture_output=True, check=True,
        )  # fmt: skip
        for name in filter(None, listed.stdout.split("\0")):
            if (ROOT / name).is_file() and not LEFT_OUT.search(name):
                (cls.seed / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, cls.seed / name)
        (cls.seed / "CHANGELOG.md").write_text(CHANGELOG)
        cls.set_versions()
        git("init", "--quiet", "--initial-branch=main", cwd=cls.seed)
        git("add", "--all", cwd=cls.seed)
        git("commit", "--quiet", "--message=everything", cwd=cls.seed)

    @classmethod
    def set_versions(cls):
        """Whatever has been released when this runs."""

        def replace(name, pattern, text):
            path = cls.seed / name
            changed, count = re.subn(pattern, text, path.read_text(), count=1, flags=re.M)
            assert count == 1, f"{name}: {pattern}"
            path.write_text(changed)

        for service in SERVICES:
            replace(f"{service}/Cargo.toml", '^version = ".*"$', 'version = "1.0.0"')
            replace(f"docs/openapi/{service}.yaml", "^  version: .*$", "  version: 1.0.0")
            for lock in ["Cargo.lock", "fuzz/Cargo.lock"]:
                replace(lock, f'^name = "{service}"\nversion = ".*"$', f'name = "{service}"\nversion = "1.0.0"')
        replace("clients/python/src/monlight/__init__.py", '^__version__ = ".*"$', '__version__ = "0.4.0"')
        replace("clients/js/package.json", '^  "version": ".*",$', '  "version": "0.3.0",')
        for client, version in [("python", "0.4.0"), ("js", "0.3.0")]:
            replace(f"clients/{client}/CHANGELOG.md", "^## .*$", f"## {version}")

    def setUp(self):
        folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        self.remote, self.checkout = folder / "remote.git", folder / "checkout"
        git("clone", "--quiet", "--bare", "--shared", str(self.seed), str(self.remote), cwd=folder)
        git("clone", "--quiet", "--shared", str(self.remote), str(self.checkout), cwd=folder)

    def make(self, target, *settings, check=True, **environment):
        return run("make", "--no-print-directory", target, *settings, cwd=self.checkout, check=check, **environment)

    def read(self, name):
        return (self.checkout / name).read_text()

    def write(self, name, text):
        (self.checkout / name).write_text(text)

    def commit(self, message="more"):
        git("add", "--all", cwd=self.checkout)
        git("commit", "--quiet", "--message", message, cwd=self.checkout)

    def push(self):
        git("push", "--quiet", "origin", "main", cwd=self.checkout)

    def hook(self, name, text):
        path = self.remote / "hooks" / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def versions(self):
        return dict(line.split() for line in self.make("versions").stdout.splitlines())

    def refs(self, where):
        listed = git("for-each-ref", "--format=%(refname) %(objectname)", "refs/heads", "refs/tags", cwd=where)
        return dict(line.split() for line in listed.splitlines())

    def everything(self):
        """All that a release could change."""
        objects = sorted(path.name for path in (self.checkout / ".git/objects").glob("??/*"))
        status = git("status", "--porcelain", "--branch", cwd=self.checkout)
        return self.refs(self.remote), self.refs(self.checkout), objects, status

    def assert_refused(self, target, *settings, says, **environment):
        before = self.everything()
        done = self.make(target, *settings, check=False, **environment)
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertIn(says, done.stderr)
        self.assertEqual(self.everything(), before)

    def assert_released(self, *tags):
        """One commit on main, here and there, with all these annotated tags on it; and nothing left to do."""
        before, after = self.refs(self.seed), self.refs(self.remote)
        self.assertEqual(self.refs(self.checkout), after)
        self.assertEqual(set(after) - set(before), {f"refs/tags/{tag}" for tag in tags})
        self.assertEqual(git("rev-list", "--count", f"{before['refs/heads/main']}..main", cwd=self.remote), "1")
        for tag in tags:
            self.assertEqual(git("cat-file", "-t", tag, cwd=self.remote), "tag")
            self.assertEqual(git("rev-parse", f"{tag}^{{commit}}", cwd=self.remote), after["refs/heads/main"])
            self.assertEqual(git("tag", "--list", "--format=%(contents:subject)", tag, cwd=self.remote), spoken(tag))
            said = run("scripts/release.sh", "check-tag", tag, cwd=self.checkout).stdout
            self.assertEqual(said, spoken(tag) + "\n")
        self.assertEqual(git("status", "--porcelain", "--branch", cwd=self.checkout), "## main...origin/main")

    def changed_files(self):
        return set(git("show", "--format=", "--name-only", "main", cwd=self.remote).splitlines())

    def locked(self, lock):
        packages = tomllib.loads(self.read(lock))["package"]
        return {package["name"]: package["version"] for package in packages if package["name"] in SERVICES}


class Released(Release):
    def test_a_service_has_its_version_wherever_it_is_written(self):
        before = self.versions()
        self.make("release-log-viewer", "V=1.2.3")
        self.assert_released("log-viewer-v1.2.3")
        self.assertEqual(self.versions(), {**before, "log-viewer": "1.2.3"})
        self.assertEqual(
            self.changed_files(),
            {"log-viewer/Cargo.toml", "Cargo.lock", "fuzz/Cargo.lock", "docs/openapi/log-viewer.yaml", "CHANGELOG.md"},
        )
        for lock in ["Cargo.lock", "fuzz/Cargo.lock"]:
            self.assertEqual(self.locked(lock), {name: before[name] for name in SERVICES} | {"log-viewer": "1.2.3"})
        self.assertIn("\n  version: 1.2.3\n", self.read("docs/openapi/log-viewer.yaml"))
        self.assertEqual(git("log", "-1", "--format=%s %an", "main", cwd=self.remote), "release: log-viewer 1.2.3 Ada")
        # What `--locked` builds ask of it.
        run("cargo", "update", "--workspace", "--locked", "--offline", "--quiet", cwd=self.checkout)

    def notes(self, tag):
        return run("scripts/release.sh", "notes", tag, cwd=self.checkout).stdout

    def test_what_is_new_moves_below_the_release(self):
        self.make("release-error-tracker", "V=1.0.0")
        moved = "### error-tracker\n- New: a bell.\n- New: a whistle.\n"
        expected = CHANGELOG.replace(f"{moved}\n", "", 1).replace(
            "## 2020", f"{heading('error-tracker 1.0.0')}\n{moved}\n## 2020"
        )
        self.assertEqual(self.read("CHANGELOG.md"), expected)
        self.assertEqual(self.notes("error-tracker-v1.0.0"), moved)

    def test_services_are_one_commit_and_four_tags(self):
        self.make("release-services", "V=2.0.0")
        self.assert_released(*[f"{service}-v2.0.0" for service in SERVICES])
        self.assertEqual({self.versions()[service] for service in SERVICES}, {"2.0.0"})
        for lock in ["Cargo.lock", "fuzz/Cargo.lock"]:
            self.assertEqual(set(self.locked(lock).values()), {"2.0.0"})
        changelog = self.read("CHANGELOG.md")
        self.assertIn("## Unreleased\n\n### Python client\n- Friendlier.\n\n" + heading(*[f"{name} 2.0.0" for name in SERVICES]), changelog)
        common = "### All services\n- Quicker.\n\n### Deployment\n- Smaller images.\n"
        self.assertEqual(self.notes("log-viewer-v2.0.0"), f"{common}\n### log-viewer\n- Fixed: a leak.\n")
        self.assertEqual(self.notes("browser-relay-v2.0.0"), common)

    def test_all_is_one_commit_and_six_tags(self):
        self.make("release-all", "V=3.0.0")
        self.assert_released(*[f"{part}-v3.0.0" for part in PARTS])
        self.assertEqual(self.versions(), dict.fromkeys(PARTS, "3.0.0"))
        self.assertIn("## Unreleased\n\n## ", self.read("CHANGELOG.md"))
        self.assertEqual(self.notes("python-v3.0.0"), "### Python client\n- Friendlier.\n")
        self.assertEqual(self.notes("js-v3.0.0"), "Nothing of its own changed.\n")

    def test_a_client_says_what_is_new_below_the_version_that_is_released(self):
        prepared = self.versions()
        before = {client: self.read(f"clients/{client}/CHANGELOG.md") for client in ["python", "js"]}
        self.make("release-all", "V=3.0.0")
        # What was prepared as another version never was one.
        for client, text in before.items():
            self.assertEqual(self.read(f"clients/{client}/CHANGELOG.md"), text.replace(f"\n## {prepared[client]}\n", "\n## 3.0.0\n"))
        self.write("CHANGELOG.md", self.read("CHANGELOG.md").replace("## Unreleased\n", "## Unreleased\n\n### log-viewer\n- More.\n"))
        self.commit()
        self.push()
        self.make("release-all", "V=3.0.1")
        for client in ["python", "js"]:
            self.assertIn("\n## 3.0.1\n\nReleased together with", self.read(f"clients/{client}/CHANGELOG.md"))

    def test_no_section_of_the_changelog_is_left_behind(self):
        titles = re.findall("^### .*$", (ROOT / "CHANGELOG.md").read_text(), re.M)
        sections = [f"{title}\n- Something.\n" for title in dict.fromkeys([*titles, "### error-tracker"])]
        self.write("CHANGELOG.md", "# Changelog\n\n## Unreleased\n\n" + "\n".join(sections))
        self.commit()
        self.push()
        for name in ["services", "python", "js"]:
            self.make(f"release-{name}", "V=9.0.0")
        left = self.read("CHANGELOG.md").split("## Unreleased\n")[1].split("\n## ")[0].strip()
        self.assertEqual(left, "", "whose sections are these? scripts/release.sh must know")

    def test_of_more_than_three_tags_each_is_a_push_of_its_own(self):
        self.hook("post-receive", "cut -d' ' -f3 | tr '\\n' ' ' >>pushes; echo >>pushes")
        self.make("release-services", "V=2.0.0")
        pushes = [line.split() for line in (self.remote / "pushes").read_text().splitlines()]
        self.assertEqual(pushes, [["refs/heads/main"], *[[f"refs/tags/{service}-v2.0.0"] for service in SERVICES]])

    def test_the_python_client_has_its_version_and_its_own_changelog(self):
        text = self.read("clients/python/CHANGELOG.md")
        self.write("clients/python/CHANGELOG.md", text.replace("\n## ", "\n## Unreleased\n\n- Friendlier.\n\n## ", 1))
        self.commit()
        self.push()
        self.make("release-python", "V=7.0.0")
        self.assertEqual(self.versions()["python"], "7.0.0")
        self.assertEqual(
            self.changed_files(), {"clients/python/src/monlight/__init__.py", "clients/python/CHANGELOG.md", "CHANGELOG.md"}
        )
        self.assertIn("# Changelog\n\n## 7.0.0\n\n- Friendlier.\n", self.read("clients/python/CHANGELOG.md"))
        self.assertIn(f"{heading('python 7.0.0')}\n### Python client\n- Friendlier.\n", self.read("CHANGELOG.md"))

    def test_the_javascript_client_has_its_version_in_both_files(self):
        before = json.loads(self.read("clients/js/package-lock.json"))
        self.make("release-js", "V=7.0.0")
        self.assertEqual(self.changed_files(), {"clients/js/package.json", "clients/js/package-lock.json", "clients/js/CHANGELOG.md", "CHANGELOG.md"})
        self.assertEqual(json.loads(self.read("clients/js/package.json"))["version"], "7.0.0")
        self.assertIn(f"{heading('js 7.0.0')}\nSee [its changelog](clients/js/CHANGELOG.md).\n", self.read("CHANGELOG.md"))
        before["version"] = before["packages"][""]["version"] = "7.0.0"
        self.assertEqual(json.loads(self.read("clients/js/package-lock.json")), before)

    def test_the_first_release_may_be_what_the_manifest_says(self):
        version = self.versions()["error-tracker"]
        self.make("release-error-tracker", f"V={version}")
        self.assert_released(f"error-tracker-v{version}")

    def test_a_dry_run_shows_everything_and_changes_nothing(self):
        before = self.everything()
        done = self.make("release-all", "V=3.0.0", "DRY_RUN=1")
        self.assertEqual(self.everything(), before)
        self.assertIn("would commit: release: all 3.0.0", done.stdout)
        self.assertIn('+version = "3.0.0"', done.stdout)
        tags = " ".join(f"{part}-v3.0.0" for part in PARTS)
        self.assertIn(f"would push to {self.remote}: main {tags}\n", done.stdout)

    def test_another_remote_may_be_named(self):
        git("remote", "rename", "origin", "upstream", cwd=self.checkout)
        self.make("release-error-tracker", "V=1.0.0", REMOTE="upstream")
        self.assertIn("refs/tags/error-tracker-v1.0.0", self.refs(self.remote))


class Refused(Release):
    def test_versions_that_are_none(self):
        for version in ["", "1", "1.0", "1.0.0.0", "v1.0.0", "1.0.0-rc.1", "1.0.0+1", "01.0.0", "1.0.x", "1.0.0 ", " 1.0.0", "1.0.0;id"]:
            with self.subTest(version):
                done = run("scripts/release.sh", "check-version", version, cwd=self.checkout, check=False)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                self.assertIn(f"expected V=MAJOR.MINOR.PATCH, got '{version}'", done.stderr)
        self.assert_refused("check-version", "V=1.0", says="got '1.0'")
        self.assert_refused("release-error-tracker", says="got ''")
        self.assert_refused("release-services", "V=v1.0.0", says="got 'v1.0.0'")
        self.make("check-version", "V=10.20.30")

    def test_a_tree_that_is_not_clean(self):
        self.make("check-clean")
        self.write("README.md", "else\n")
        self.assert_refused("check-clean", says=" M README.md")
        self.assert_refused("release-error-tracker", "V=1.0.0", says="expected a clean tree")
        git("checkout", "--quiet", "README.md", cwd=self.checkout)
        self.write("new.txt", "new\n")
        self.assert_refused("release-error-tracker", "V=1.0.0", says="?? new.txt")

    def test_a_tag_that_exists_here_or_there(self):
        git("tag", "error-tracker-v1.0.0", cwd=self.checkout)
        self.assert_refused("release-error-tracker", "V=1.0.0", says="tag error-tracker-v1.0.0 exists")
        git("tag", "log-viewer-v1.0.0", cwd=self.remote)
        self.assert_refused("release-log-viewer", "V=1.0.0", says="tag log-viewer-v1.0.0 exists")
        self.assert_refused("release-services", "V=1.0.0", says="tag error-tracker-v1.0.0 exists")

    def test_a_version_before_one_that_is_out_or_prepared(self):
        git("tag", "error-tracker-v1.10.0", cwd=self.remote)
        self.assert_refused("release-error-tracker", "V=1.9.0", says="expected a version after 1.10.0, got 1.9.0")
        self.assert_refused("release-log-viewer", "V=0.9.0", says="expected at least 1.0.0, which its manifest has, got 0.9.0")

    def test_a_part_that_is_none(self):
        self.assert_refused("release-error-trackers", "V=1.0.0", says="got 'error-trackers'")

    def test_another_branch_and_none(self):
        git("switch", "--quiet", "--create", "work", cwd=self.checkout)
        self.assert_refused("release-error-tracker", "V=1.0.0", says="expected branch main, this is 'work'")
        git("switch", "--quiet", "--detach", cwd=self.checkout)
        self.assert_refused("release-error-tracker", "V=1.0.0", says="expected branch main, this is 'no branch'")

    def test_a_remote_that_has_more(self):
        git("clone", "--quiet", str(self.remote), "other", cwd=self.checkout.parent)
        git("commit", "--quiet", "--allow-empty", "--message=theirs", cwd=self.checkout.parent / "other")
        git("push", "--quiet", cwd=self.checkout.parent / "other")
        self.assert_refused("release-error-tracker", "V=1.0.0", says="origin has commits that are not here: git pull")

    def test_commits_that_nobody_has_seen(self):
        git("commit", "--quiet", "--allow-empty", "--message=mine", cwd=self.checkout)
        self.assert_refused("release-error-tracker", "V=1.0.0", says="main is ahead of origin: push it first")

    def test_a_remote_that_cannot_be_reached(self):
        git("remote", "set-url", "origin", "/nowhere", cwd=self.checkout)
        self.assert_refused("release-error-tracker", "V=1.0.0", says="cannot be reached")

    def test_a_release_that_nothing_is_said_of(self):
        self.assert_refused("release-browser-relay", "V=1.0.0", says="below 'Unreleased' that says what is new")
        git("tag", f"python-v{self.versions()['python']}", cwd=self.remote)
        self.assert_refused("release-python", "V=9.0.0", says="expected a section 'Unreleased' or '9.0.0'")

    def test_a_committer_without_a_name(self):
        environment = dict.fromkeys(["GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "EMAIL"], "")
        self.assert_refused("release-error-tracker", "V=1.0.0", says="empty ident name", **environment)

    def test_a_main_that_the_remote_does_not_take(self):
        self.hook("update", '[ "$1" != refs/heads/main ] || { echo protected; exit 1; }')
        self.assert_refused("release-error-tracker", "V=1.0.0", says="origin did not take main; nothing was changed")
        self.hook("update", "exit 0")
        self.make("release-error-tracker", "V=1.0.0")
        self.assert_released("error-tracker-v1.0.0")

    def test_a_tag_that_the_remote_does_not_take_can_be_pushed_later(self):
        self.hook("update", '[ "$1" != refs/tags/log-viewer-v1.0.0 ] || exit 1')
        done = self.make("release-services", "V=1.0.0", check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("main is pushed, but not log-viewer-v1.0.0", done.stderr)
        self.hook("update", "exit 0")
        git("push", "--quiet", "origin", "log-viewer-v1.0.0", cwd=self.checkout)
        self.assert_released(*[f"{service}-v1.0.0" for service in SERVICES])

    def test_tags_that_say_something_else_than_the_manifest(self):
        wrong = ["error-tracker-v9.9.9", "error-tracker-1.0.0", "error-trackers-v1.0.0", "v1.0.0", "error-tracker-v1.0.0-rc.1"]
        for tag in wrong:
            done = run("scripts/release.sh", "check-tag", tag, cwd=self.checkout, check=False)
            self.assertEqual((done.returncode, done.stdout), (1, ""), tag)
            self.assertEqual(run("scripts/release.sh", "notes", tag, cwd=self.checkout, check=False).returncode, 1, tag)
        # By hand, before a release, as workflows allow it.
        text = self.read("error-tracker/Cargo.toml")
        self.write("error-tracker/Cargo.toml", text.replace('version = "1.0.0"', 'version = "1.1.0-rc.1"', 1))
        said = run("scripts/release.sh", "check-tag", "error-tracker-v1.1.0-rc.1", cwd=self.checkout).stdout
        self.assertEqual(said, "error-tracker 1.1.0-rc.1\n")


if __name__ == "__main__":
    unittest.main()
