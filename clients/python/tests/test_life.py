"""From start to end of a process: forks, exits, threads, signals, event loops. Each in a Python of its own."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import trustme

import monlight
from services import KEY, Answer, Recorder, wait_for

SOURCES = str(Path(monlight.__file__).parents[1])
PRELUDE = """
import os, sys
from monlight import ErrorClient, MetricsClient
url, key = sys.argv[1:]
errors = ErrorClient(url, key)
metrics = MetricsClient(url, key, flush_interval=3600)
"""


def run(recorder: Recorder, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Until its end; fails when it did, or when it said something."""
    text = PRELUDE + textwrap.dedent(script)
    command = [sys.executable, "-X", "dev", *options, "-c", text, recorder.url, KEY]
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done


def messages(recorder: Recorder) -> list[str]:
    return sorted(request.body["message"] for request in recorder.requests if request.path == "/api/errors")


def values(recorder: Recorder) -> dict[str, float]:
    """Sums by name."""
    sums: dict[str, float] = {}
    for request in recorder.requests:
        for item in request.body if request.path == "/api/metrics" else []:
            sums[item["name"]] = sums.get(item["name"], 0) + item["value"]
    return sums


def test_the_end_of_the_process_waits_for_everything(recorder: Recorder) -> None:
    done = run(
        recorder,
        """
        for number in range(50):
            errors.report_error_sync(ValueError(f"{number:02}"))
        metrics.counter("orders", value=7)
        """,
    )
    assert messages(recorder) == [f"{number:02}" for number in range(50)]
    assert values(recorder) == {"orders": 7}
    assert done.stderr == ""


def test_a_crashing_script_reports(recorder: Recorder) -> None:
    run(
        recorder,
        """
        try:
            1 / 0
        except ZeroDivisionError as error:
            errors.report_error_sync(error)
            sys.exit(0)
        """,
    )
    assert messages(recorder) == ["division by zero"]


def test_reports_of_the_last_moment_arrive(recorder: Recorder) -> None:
    # Before and after what the client does at the end; since Python 3.12 no thread can be started any more.
    text = """
        import atexit, sys
        atexit.register(lambda: errors.report_error_sync(ValueError("after")))
        from monlight import ErrorClient
        errors = ErrorClient(*sys.argv[1:])
        atexit.register(lambda: errors.report_error_sync(ValueError("before")))
        """
    command = [sys.executable, "-c", textwrap.dedent(text), recorder.url, KEY]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": SOURCES}, timeout=60, check=True)
    assert messages(recorder) == ["after", "before"]


def test_a_report_while_the_interpreter_is_taken_apart_is_no_trouble(recorder: Recorder) -> None:
    done = run(
        recorder,
        """
        class Last:
            def __del__(self):
                errors.report_error_sync(ValueError("last"))
                metrics.counter("last")
        keep = Last()
        keep.cycle = keep
        sys.last = keep
        """,
    )
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr


def test_a_dead_server_holds_up_the_exit_only_so_long(recorder: Recorder) -> None:
    recorder.close()
    start = time.monotonic()
    done = run(recorder, 'errors.report_error_sync(ValueError("x")); metrics.counter("a")')
    assert time.monotonic() - start < 15
    assert "1 error reports lost so far, at exit" in done.stderr
    assert "1 metrics lost so far, at exit" in done.stderr


def test_a_silent_server_holds_up_the_exit_only_so_long(recorder: Recorder) -> None:
    import threading

    recorder.usual = Answer(201, wait=threading.Event())
    done = run(recorder, 'ErrorClient(url, key, timeout=0.5).report_error_sync(ValueError("x"))')
    assert "1 error reports lost so far, at exit" in done.stderr


def test_a_server_that_closes_amid_its_answer_has_it(recorder: Recorder) -> None:
    # The status has arrived, of a text of which half is missing.
    recorder.answers = [Answer(201, text="x" * 1000, bytes_sent=500)]
    run(recorder, 'errors.report_error_sync(ValueError("x"))')
    assert len(recorder.requests) == 1


def test_a_server_that_closes_before_its_answer_gets_it_again(recorder: Recorder) -> None:
    recorder.answers = [Answer(201, bytes_sent=0), Answer(201, bytes_sent=5)]
    run(recorder, 'errors.report_error_sync(ValueError("x"))')
    keys = {request.headers["idempotency-key"] for request in recorder.requests}
    assert (len(recorder.requests), len(keys)) == (3, 1)


@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(0)"])
def test_a_forked_child_sends_its_own_and_only_that(recorder: Recorder, end: str) -> None:
    # In the parent things wait while it forks: what the child does with them would be seen twice.
    recorder.answers = [Answer(503, {"Retry-After": "1"})]
    run(
        recorder,
        f"""
        metrics.start()
        metrics.counter("parent")
        metrics.histogram("parent", 1)
        errors.report_error_sync(ValueError("parent"))
        while errors.stats()["retries"] == 0: pass
        child = os.fork()
        if child == 0:
            metrics.counter("child")
            metrics.gauge("child", 1)
            errors.report_error_sync(ValueError("child"))
            assert errors.flush() and metrics.flush()
            assert errors.stats() == {{"delivered": 1, "retries": 0, "waiting": 0}}, errors.stats()
            {end}
        assert os.waitpid(child, 0)[1] == 0
        """,
    )
    # The parent's first attempt was refused.
    assert messages(recorder) == ["child", "parent", "parent"]
    assert len({request.headers["idempotency-key"] for request in recorder.requests if "message" in request.body}) == 2
    assert values(recorder) == {"parent": 2, "child": 2}


def test_a_forked_child_goes_on_sending_by_itself(recorder: Recorder) -> None:
    run(
        recorder,
        """
        metrics = MetricsClient(url, key, flush_interval=0.05)
        metrics.start()
        metrics.counter("parent")
        child = os.fork()
        if child == 0:
            metrics.counter("child")
            while metrics.stats()["delivered"] == 0: pass
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        """,
    )
    assert values(recorder) == {"parent": 1, "child": 1}


def test_a_fork_waits_for_what_is_being_logged(recorder: Recorder) -> None:
    # Python frees the locks of log handlers in the child, but not those of the files they write to.
    recorder.answers = [Answer(503)]
    run(
        recorder,
        """
        import logging, threading, time
        file, is_writing = threading.Lock(), threading.Event()
        class Writer(logging.Handler):
            def emit(self, record):
                with file:
                    is_writing.set()
                    time.sleep(0.05)
        logging.getLogger("monlight").addHandler(Writer())
        errors.report_error_sync(ValueError("x"))
        is_writing.wait()
        child = os.fork()
        if child == 0:
            os._exit(not file.acquire(timeout=5))
        assert os.waitpid(child, 0)[1] == 0
        """,
    )


def test_a_fork_in_a_log_handler_waits_only_so_long(recorder: Recorder) -> None:
    recorder.answers = [Answer(503)]
    done = run(
        recorder,
        """
        import logging, threading
        logger = logging.getLogger("monlight")
        class Forker(logging.Handler):
            def emit(self, record):
                if threading.current_thread() is threading.main_thread():
                    errors.report_error_sync(ValueError("x"))
                    while errors.stats()["retries"] == 0: pass
                    # That thread now waits for this handler.
                    child = os.fork()
                    if child == 0:
                        os._exit(0)
                    assert os.waitpid(child, 0)[1] == 0
                    print("forked")
        logger.addHandler(Forker())
        logger.error("x")
        """,
    )
    assert done.stdout == "forked\n"


def test_a_fork_while_other_threads_report_is_no_trouble(recorder: Recorder) -> None:
    run(
        recorder,
        """
        import threading
        stop = threading.Event()
        def report():
            while not stop.is_set():
                metrics.counter("parent")
                metrics.histogram("parent", 1)
                errors.stats()
        threads = [threading.Thread(target=report) for _ in range(3)]
        for thread in threads: thread.start()
        for _ in range(30):
            child = os.fork()
            if child == 0:
                metrics.counter("child")
                metrics.gauge("child", 1)
                errors.stats()
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        """,
        "-W",
        "ignore::DeprecationWarning",
    )


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_send_before_they_end(recorder: Recorder, tmp_path: Path, method: str) -> None:
    script = tmp_path / "work.py"
    script.write_text(
        textwrap.dedent(
            """
            import multiprocessing, sys
            from monlight import ErrorClient
            errors = ErrorClient(sys.argv[1], sys.argv[2])
            def work():
                errors.report_error_sync(ValueError("child"))
            if __name__ == "__main__":
                errors.report_error_sync(ValueError("parent"))
                child = multiprocessing.get_context(sys.argv[3]).Process(target=work)
                child.start()
                child.join()
                assert child.exitcode == 0
            """
        )
    )
    command = [sys.executable, str(script), recorder.url, KEY, method]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": SOURCES}, timeout=60, check=True)
    assert messages(recorder) == ["child", "parent"]


def test_an_event_loop_that_is_closed_at_once_is_no_trouble(recorder: Recorder) -> None:
    run(
        recorder,
        """
        import asyncio
        async def main():
            await errors.report_error(ValueError("awaited"))
            task = asyncio.ensure_future(errors.report_error(ValueError("task")))
        asyncio.run(main())
        """,
    )
    # A task that never ran has reported nothing.
    assert "awaited" in messages(recorder)


def test_a_signal_in_the_middle_of_a_report_is_no_trouble(recorder: Recorder) -> None:
    done = run(
        recorder,
        """
        import signal
        def interrupted(*_):
            metrics.counter("signal")
            metrics.histogram("signal", 0)
            errors.stats()
        signal.signal(signal.SIGALRM, interrupted)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for _ in range(100_000):
            metrics.counter("main")
            errors.stats()
        signal.setitimer(signal.ITIMER_REAL, 0)
        """,
    )
    assert done.stderr == ""
    assert values(recorder)["signal"] > 0


def test_many_threads_lose_nothing(recorder: Recorder) -> None:
    run(
        recorder,
        """
        import threading
        sys.setswitchinterval(1e-6)
        def work():
            for _ in range(5000):
                metrics.counter("orders", {"city": "berlin"})
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        """,
    )
    assert values(recorder) == {"orders": 40_000}


def test_a_service_below_https_is_verified(recorder: Recorder, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    recorder.wrap(context)
    script = 'errors.report_error_sync(ValueError("x"))'
    assert "CERTIFICATE_VERIFY_FAILED" in run(recorder, script).stderr
    assert recorder.requests == []
    run(
        recorder,
        f"os.environ['SSL_CERT_FILE'] = {str(tmp_path / 'authority.pem')!r}\nerrors = ErrorClient(url, key)\n{script}",
    )
    assert messages(recorder) == ["x"]


def test_a_client_that_is_thrown_away_still_delivers(recorder: Recorder) -> None:
    from monlight import ErrorClient

    ErrorClient(recorder.url, KEY).report_error_sync(ValueError("thrown away"))
    wait_for("the report", lambda: messages(recorder) == ["thrown away"])
