"""deploy/smoke-test.sh: it passes where all is well, and fails where it is not. And what the stack costs meanwhile."""

import time
import unittest

from stack import DEPLOY, Meter, docker, run, test_stack

SMOKE_TEST = str(DEPLOY / "smoke-test.sh")
# Goals for all four together.
IDLE_BYTES_MAX, BUSY_BYTES_MAX = 12 << 20, 30 << 20


class Running(unittest.TestCase):
    """One stack, which every smoke test stops."""

    @classmethod
    def setUpClass(cls):
        cls.stack = cls.enterClassContext(test_stack())

    def test_passes_twice_and_the_stack_stays_small(self):
        for _ in range(2):
            self.stack.up()
            containers = self.stack.containers().values()
            idle = sum(container.memory() for container in containers)
            started = time.monotonic()
            with Meter(containers) as meter:
                done = run(SMOKE_TEST, check=False)
            print(f"idle {idle / 1e6:.1f} MB, under the smoke test {meter.peak / 1e6:.1f} MB, {time.monotonic() - started:.1f} s")
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertRegex(done.stdout, r"Results: [1-9][0-9]* passed, 0 failed\n$")
            self.assertNotIn("FAIL", done.stdout)
            self.assertLess(idle, IDLE_BYTES_MAX)
            self.assertTrue(0 < meter.peak < BUSY_BYTES_MAX, meter.peak)

    def test_fails_when_a_service_does_what_it_must_not(self):
        self.stack.up()
        # It has other keys, and no container of its name is there to be stopped.
        docker("rm", "--force", self.stack.container("metrics-collector").id)
        docker("run", "--detach", "--publish=15012:8000", "--env=API_KEY=another", "--name=impostor", "monlight/metrics-collector")
        try:
            done = run(SMOKE_TEST, check=False)
        finally:
            docker("rm", "--force", "--volumes", "impostor")
        self.assertEqual(done.returncode, 1)
        self.assertIn("  FAIL: a batch is accepted: expected status 202, got 401", done.stdout)
        self.assertIn("  FAIL: e2e_metrics_collector: no SIGTERM could be sent", done.stdout)
        self.assertRegex(done.stdout, r"Results: [0-9]+ passed, [1-9][0-9]* failed\n$")


class Alone(unittest.TestCase):
    def test_names_every_service_that_is_missing(self):
        done = run(SMOKE_TEST, env={"HEALTH_TIMEOUT": "1"}, check=False)
        self.assertEqual(done.returncode, 1)
        for port in range(15010, 15014):
            self.assertIn(f"  FAIL: http://localhost:{port}/health does not answer", done.stdout)
        self.assertTrue(done.stdout.endswith("Results: 0 passed, 4 failed\n"), done.stdout)

    def test_help_and_wrong_arguments(self):
        self.assertIn("Usage: deploy/smoke-test.sh", run(SMOKE_TEST, "--help").stdout)
        self.assertEqual(run(SMOKE_TEST, "--fast", check=False).returncode, 1)


if __name__ == "__main__":
    unittest.main()
