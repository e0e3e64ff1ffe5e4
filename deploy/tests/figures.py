"""Measures what the containers cost and how an upgrade feels, and prints a line for each figure: name, goal, measured, met."""

import json
import time

from load import EVENTS_PER_TURN, Gaps, Load, Speaker
from sandbox import Sandbox
from stack import DEPLOY, SERVICES, Meter, docker, keeping_images, run, test_stack, wait_for

MEGABYTE = 1_000_000
EVENTS_PER_SECOND = 200
ROUNDS = 3


def show(name, goal, measured, is_met):
    print(f"{name}\t{goal}\t{measured}\t{'yes' if is_met else 'no'}", flush=True)


def images():
    for service in SERVICES:
        goal = 5.5 if service == "browser-relay" else 5
        size = json.loads(docker("image", "inspect", f"monlight/{service}:latest"))[0]["Size"] / MEGABYTE
        show(f"image of {service}, uncompressed", f"under {goal} MB", f"{size:.2f} MB", size < goal)


def containers():
    seconds, idle, busy = [], [], []
    for _ in range(ROUNDS):
        started = time.monotonic()
        with test_stack() as stack:
            seconds.append(time.monotonic() - started)
            running = stack.containers().values()
            idle.append(sum(container.memory() for container in running) / MEGABYTE)
            with Meter(running) as meter:
                run(str(DEPLOY / "smoke-test.sh"))
            busy.append(meter.peak / MEGABYTE)
    show("`docker-compose up` until all four are healthy", "under 3 s", f"{min(seconds):.1f} to {max(seconds):.1f} s", max(seconds) < 3)
    show("memory of the four containers, idle", "under 12 MB", f"{max(idle):.1f} MB", max(idle) < 12)
    show("memory of the four containers, under the smoke test", "under 30 MB", f"{max(busy):.1f} MB", max(busy) < 30)


def upgrade():
    sandbox = Sandbox()
    try:
        with keeping_images(), sandbox.stack() as stack:
            for service in SERVICES:
                sandbox.put(service, version=b"the next one")
            with Speaker(sandbox.stand_in()) as speaker:
                with Load(EVENTS_PER_SECOND) as load, Gaps(stack.ports) as gaps:
                    wait_for("some events", lambda: load.turns > EVENTS_PER_SECOND / EVENTS_PER_TURN)
                    for option in ("--no-pull", "--rollback"):
                        done = stack.script("upgrade.sh", option)
                        assert done.returncode == 0, done.stderr
                said, lines = speaker.finish()
            stored = load.stored()
    finally:
        sandbox.close()
    off = sum(abs(load.turns - kept) for kept in stored.values())
    sent = EVENTS_PER_TURN * load.turns
    what = f"upgrade of all four and back, under {sent / load.seconds:.0f} events/s"
    show(what, "0 lost", f"{off:.0f} lost or doubled of {sent}", off == 0)
    missing, doubled = said - len(set(lines)), len(lines) - len(set(lines))
    show("lines of a container's log meanwhile", "0 lost", f"{missing + doubled} lost or doubled of {said}", missing == doubled == 0)
    longest = ", ".join(f"{service} {gaps.longest[port]:.1f} s" for service, port in zip(SERVICES, stack.ports))
    show("longest without an answer of /health meanwhile", "-", longest, True)


if __name__ == "__main__":
    images()
    containers()
    upgrade()
