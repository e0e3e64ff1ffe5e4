//! A real Docker Engine: the test starts one of its own, with images made from nothing and programs that really crash.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::testing::{Service, TempDir, skip, wait_for};
use serde_json::Value;

use crate::{KEY, message, start_service, target};

/// An engine with folders of its own, which touches no other.
struct Engine {
    folder: TempDir,
    /// `scripts/engine.sh`, which ends with its input.
    script: Child,
}

impl Engine {
    /// None where there is none, or where it cannot work; says so, and fails where it must not be missing.
    fn start() -> Option<Self> {
        const UNAVAILABLE: i32 = 69;
        let folder = TempDir::new();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/engine.sh");
        let script = Command::new(script)
            .arg("cat")
            .env("ENGINE_FOLDER", folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut engine = Self { folder, script };
        let is_there = wait_for("the engine", || match engine.script.try_wait().unwrap() {
            None => engine.run(&["version"]).status.success().then_some(true),
            Some(status) if status.code() == Some(UNAVAILABLE) => Some(false),
            Some(status) => panic!("scripts/engine.sh ended with {status}"),
        });
        if !is_there {
            skip("a real Docker Engine was NOT tested: it needs root, and docker.io (scripts/setup.sh test)");
        }
        is_there.then_some(engine)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What log-viewer reads.
    fn sources(&self) -> PathBuf {
        self.path("data/containers")
    }

    fn run(&self, args: &[&str]) -> Output {
        let host = format!("unix://{}", self.path("docker.sock").display());
        Command::new("docker").args(["--host", &host]).args(args).output().unwrap()
    }

    /// A command of the client that must work; what it printed.
    #[track_caller]
    fn docker(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {args:?}: {said}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Makes the image `program` of one static binary and nothing else.
    fn build_image(&self) {
        let context = self.path("image");
        fs::create_dir(&context).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker/program.rs");
        let mut rustc = Command::new("rustc");
        rustc.args(["--edition=2024", "-g", "-C", "target-feature=+crt-static", "-o"]).arg(context.join("program"));
        assert!(rustc.arg(source).status().unwrap().success());
        let archive = self.path("image.tar");
        let tar = Command::new("tar").arg("cf").arg(&archive).arg("-C").arg(&context).arg("program").status();
        assert!(tar.unwrap().success());
        let archive = archive.to_str().unwrap();
        self.docker(&["import", "--change", "ENTRYPOINT [\"/program\"]", archive, "program"]);
    }

    /// `docker run` in the background; `more` are options, the image and its arguments.
    #[track_caller]
    fn start_container(&self, name: &str, more: &[&str]) {
        self.docker(&[&["run", "--detach", "--network=none", "--env=SECRET=hunter2", "--name", name], more].concat());
    }

    /// Waits for a container's end.
    #[track_caller]
    fn wait(&self, name: &str) {
        self.docker(&["wait", name]);
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        // Only this process could have ended it before.
        let _ = self.script.wait();
    }
}

/// All entries of a container, the oldest first.
fn entries_of(service: &Service, container: &str) -> Vec<Value> {
    let answer = service.client(KEY).get(&target("/api/logs/export", &[("container", container)]));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let mut entries: Vec<Value> = answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    entries.sort_by_key(|entry| entry["id"].as_i64());
    entries
}

/// Waits until a container's entries are as they should be.
#[track_caller]
fn wait_for_entries(service: &Service, container: &str, is_complete: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    wait_for(&format!("the entries of {container}"), || {
        Some(entries_of(service, container)).filter(|found| is_complete(found))
    })
}

#[test]
fn what_containers_of_a_real_engine_write_is_found() {
    let Some(engine) = Engine::start() else { return };
    engine.build_image();
    let service = start_service(&engine.path("logs.db"), &engine.sources(), &[]);
    every_line_is_there_once(&engine, &service);
    each_crash_is_one_entry(&engine, &service);
    other_drivers_are_named(&engine, &service);
    containers_come_and_go(&engine, &service);
    assert!(!service.log().join("\n").contains("hunter2"));
}

fn every_line_is_there_once(engine: &Engine, service: &Service) {
    const LINES: usize = 3000;
    let ways: [(&str, &[&str]); 3] = [
        ("plain", &[]),
        ("rotated", &["--log-opt=max-size=100k", "--log-opt=max-file=5"]),
        ("compressed", &["--log-opt=max-size=150k", "--log-opt=max-file=5", "--log-opt=compress=true"]),
    ];
    for (name, options) in ways {
        engine.start_container(name, &[options, &["program", "talk", &LINES.to_string()]].concat());
    }
    for (name, _) in ways {
        engine.wait(name);
        let found = wait_for_entries(service, name, |found| found.len() >= 2 * LINES);
        let mut streams: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for entry in &found {
            streams.entry(entry["stream"].as_str().unwrap()).or_default().push(message(entry));
        }
        for (stream, beginning) in [("stdout", "out"), ("stderr", "err")] {
            let messages = &streams[stream];
            assert_eq!(messages.len(), LINES, "{name} {stream}");
            for (number, message) in messages.iter().enumerate() {
                assert!(
                    message.starts_with(&format!("{beginning} {number} ")),
                    "{name} {stream} {number}: {message:.50}"
                );
                let fillers = message.matches('z').count();
                assert_eq!(fillers, if number % 500 == 250 { 40_000 } else { 60 }, "{name} {stream} {number}");
            }
        }
    }
    engine.start_container("dying", &["program", "die"]);
    let found = wait_for_entries(service, "dying", |found| !found.is_empty());
    assert_eq!(found.iter().map(message).collect::<Vec<_>>(), ["dying words"]);
}

/// Options that let a container use the machine's own programs, which are not static.
fn machine() -> Vec<String> {
    // The Node of the tests, where the system's is too old.
    let own_node = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(".node");
    ["/usr", "/lib", "/lib64", "/root/.pyenv", "/opt"]
        .into_iter()
        .map(Path::new)
        .chain([&*own_node])
        .filter(|path| path.exists())
        .map(|path| format!("--volume={0}:{0}:ro", path.display()))
        .collect()
}

/// Where a program really is, as containers have no `PATH` of ours.
fn real_path(program: &str, question: &[&str]) -> Option<String> {
    let output = Command::new(program).args(question).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn each_crash_is_one_entry(engine: &Engine, service: &Service) {
    engine.start_container("rust", &["--env=RUST_BACKTRACE=1", "program", "crash"]);
    check_crash(engine, service, "rust", &["panicked at", "index out of bounds", "stack backtrace:", "program::crash"]);

    let machine = machine();
    let options: Vec<&str> = machine.iter().map(String::as_str).collect();
    let runtimes: [(&str, &[&str], &str, &[&str]); 3] = [
        (
            "python3",
            &["-c", "import sys; print(sys.executable)"],
            "def pay(order):\n    try:\n        return {}[order]\n    except KeyError as e:\n        raise ValueError('no such order') from e\npay(7)",
            &["Traceback (most recent call last):", "KeyError: 7", "direct cause", "ValueError: no such order"],
        ),
        (
            "node",
            &["-p", "process.execPath"],
            "function pay() { throw new Error('no such order', { cause: new TypeError('seven') }) }\npay()",
            &["Error: no such order", "at pay (", "[cause]: TypeError: seven"],
        ),
        ("perl", &["-e", "print $^X"], "sub pay { die 'no such order' } pay()", &["no such order"]),
    ];
    for (name, question, program, words) in runtimes {
        let Some(path) = real_path(name, question) else {
            eprintln!("{name} is not on this machine, so its crash was not tested");
            continue;
        };
        let flag = if name == "python3" { "-c" } else { "-e" };
        let entrypoint = format!("--entrypoint={path}");
        engine.start_container(name, &[&options[..], &[&entrypoint, "program", flag, program]].concat());
        check_crash(engine, service, name, words);
    }
}

/// The whole of a crash is one entry, and an error. What a runtime says after it may be another.
#[track_caller]
fn check_crash(engine: &Engine, service: &Service, name: &str, words: &[&str]) {
    engine.wait(name);
    let mentions = |entry: &Value| message(entry).contains(words[words.len() - 1]);
    let found = wait_for_entries(service, name, |found| found.iter().any(mentions));
    let crashes: Vec<&Value> =
        found.iter().filter(|entry| words.iter().any(|word| message(entry).contains(word))).collect();
    let texts: Vec<String> = found.iter().map(message).collect();
    assert_eq!(crashes.len(), 1, "{name}: {texts:#?}");
    assert!(words.iter().all(|word| message(crashes[0]).contains(word)), "{name}: {texts:#?}");
    assert!(["ERROR", "CRITICAL"].contains(&crashes[0]["level"].as_str().unwrap()), "{name}: {}", crashes[0]);
}

fn other_drivers_are_named(engine: &Engine, service: &Service) {
    for driver in ["none", "local"] {
        let name = format!("logs_to_{driver}");
        engine.start_container(&name, &[&format!("--log-driver={driver}"), "program", "die"]);
        wait_for("a warning", || {
            let said = |line: &String| line.contains("level=warn") && line.contains(&name) && line.contains(driver);
            service.log().iter().any(said).then_some(())
        });
        assert!(entries_of(service, &name).is_empty());
    }
}

fn containers_come_and_go(engine: &Engine, service: &Service) {
    engine.start_container("first", &["program", "live"]);
    wait_for_entries(service, "first", |found| found.len() > 3);
    engine.docker(&["rename", "first", "second"]);
    let later = wait_for_entries(service, "second", |found| found.len() > 3);
    let earlier = entries_of(service, "first");
    let numbers: Vec<String> = earlier.iter().chain(&later).map(message).collect();
    let expected: Vec<String> = (0..numbers.len()).map(|number| format!("alive {number}")).collect();
    assert_eq!(numbers, expected, "a new name costs no line");

    engine.docker(&["rm", "--force", "second"]);
    engine.start_container("second", &["program", "die"]);
    wait_for_entries(service, "second", |found| found.iter().any(|entry| message(entry) == "dying words"));
    let log = service.log();
    assert!(!log.iter().any(|line| line.contains("level=error") || line.contains("panicked")), "{log:#?}");
}
