//! `/health`, and `LOG_SOURCES` that are missing, empty, unreadable, or go away.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::Command;

use common::testing::{Client, Service, TempDir, skip, wait_for};
use serde_json::Value;

use crate::driver::Docker;
use crate::{KEY, binary, start, start_service, start_with};

fn health(service: &Service) -> Value {
    let answer = Client::new(service.address()).get("/health");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Waits until the health has this status; the whole of it.
#[track_caller]
fn wait_for_status(service: &Service, status: &str) -> Value {
    wait_for(&format!("status {status}"), || Some(health(service)).filter(|health| health["status"] == status))
}

#[test]
fn health_needs_no_key_and_counts_for_no_rate() {
    let viewer = start_with(&[("RATE_LIMIT", "1")]);
    let client = Client::new(viewer.address());
    for path in ["/health", "/health?x", "/health?api_key=wrong"] {
        let answer = client.get(path);
        assert_eq!(answer.status, 200, "{path}");
        let health = answer.json();
        assert_eq!((&health["status"], &health["logs_indexed"]), (&"ok".into(), &0.into()), "{path}");
        assert_eq!((&health["last_ingest"], &health["last_error"]), (&Value::Null, &Value::Null));
        assert_eq!(answer.headers["cache-control"], "no-store");
    }
    assert_eq!(client.send("HEAD", "/health", b"").unwrap().status, 200);
}

#[test]
fn health_tells_how_fresh_the_entries_are() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    web.stdout("a line");
    viewer.wait_for_entries(1);
    let health = health(&viewer);
    assert_eq!((&health["logs_indexed"], &health["containers_watched"]), (&1.into(), &1.into()));
    assert_eq!(health["last_ingest"], viewer.logs(&[])[0]["timestamp"]);
    let age = health["newest_age_seconds"].as_f64().unwrap();
    assert!((0.0..30.0).contains(&age), "{health}");
}

/// A folder for the database, and the path of sources that are not there yet.
fn homeless() -> (TempDir, std::path::PathBuf) {
    let folder = TempDir::new();
    let sources = folder.path().join("containers");
    (folder, sources)
}

#[test]
fn sources_that_are_missing_are_told_and_found_later() {
    let (folder, sources) = homeless();
    let service = start_service(&folder.path().join("logs.db"), &sources, &[]);
    let health = wait_for_status(&service, "degraded");
    let detail = health["detail"].as_str().unwrap();
    assert!(detail.contains("LOG_SOURCES"), "{detail}");
    let path = sources.to_str().unwrap();
    let told = |service: &Service| {
        service.log().iter().filter(|line| line.contains(path) && !line.contains("level=info")).count()
    };
    wait_for("a warning", || (told(&service) > 0).then_some(()));

    let mut web = Docker::new(sources.clone()).container("web");
    web.stdout("found");
    wait_for("the entry", || (service.client(KEY).get("/api/stats").json()["total_logs"] == 1).then_some(()));
    let health = wait_for_status(&service, "ok");
    assert_eq!(health["containers_watched"], 1);
    assert_eq!(told(&service), 1, "once is enough: {:?}", service.log());
}

#[test]
fn sources_that_go_away_are_told_and_found_again() {
    let (folder, sources) = homeless();
    let docker = Docker::new(sources.clone());
    let mut web = docker.container("web");
    web.stdout("before");
    let service = start_service(&folder.path().join("logs.db"), &sources, &[]);
    let stored = || service.client(KEY).get("/api/stats").json()["total_logs"].as_u64().unwrap();
    wait_for("the entry", || (stored() == 1).then_some(()));
    // The disk with Docker's data is unmounted, and comes back.
    let elsewhere = folder.path().join("elsewhere");
    fs::rename(&sources, &elsewhere).unwrap();
    wait_for_status(&service, "degraded");
    assert_eq!(stored(), 1, "what is stored stays");
    web.stdout("meanwhile");
    fs::rename(&elsewhere, &sources).unwrap();
    wait_for_status(&service, "ok");
    web.stdout("after");
    wait_for("all entries", || (stored() == 3).then_some(()));
}

#[test]
fn empty_sources_are_fine() {
    let viewer = start();
    assert_eq!(health(&viewer)["status"], "ok");
    assert_eq!(health(&viewer)["containers_watched"], 0);
    assert!(!viewer.log().iter().any(|line| line.contains("level=error")), "{:?}", viewer.log());
}

#[test]
fn a_file_in_place_of_the_sources_is_told() {
    let (folder, sources) = homeless();
    fs::write(&sources, "not a folder").unwrap();
    let service = start_service(&folder.path().join("logs.db"), &sources, &[]);
    let health = wait_for_status(&service, "degraded");
    assert!(health["detail"].as_str().unwrap().contains("LOG_SOURCES"), "{health}");
}

/// As somebody for whom permissions count: Docker's folder belongs to root.
#[test]
fn unreadable_sources_are_told_and_read_later() {
    let folder = TempDir::new();
    // Somebody else must be able to run it, wherever it was built.
    let (program, data, sources) =
        (folder.path().join("log-viewer"), folder.path().join("data"), folder.path().join("containers"));
    fs::copy(binary(), &program).unwrap();
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    let mut web = Docker::new(sources.clone()).container("web");
    web.stdout("hidden");
    fs::set_permissions(&sources, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::metadata(&sources).unwrap().uid() != 0 {
        return skip("unreadable sources were NOT tested: only root can run a service as somebody else");
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
    let database = data.join("logs.db");
    let variables = [
        ("API_KEY", KEY),
        ("POLL_INTERVAL", "1"),
        ("DATABASE_PATH", database.to_str().unwrap()),
        ("LOG_SOURCES", sources.to_str().unwrap()),
    ];
    let service = Service::launch(command, &variables);
    let health = wait_for_status(&service, "degraded");
    assert!(health["detail"].as_str().unwrap().to_lowercase().contains("permission"), "{health}");
    for path in [web.path(), web.folder().join("config.v2.json")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    fs::set_permissions(&sources, fs::Permissions::from_mode(0o755)).unwrap();
    wait_for_status(&service, "ok");
    wait_for("the entry", || (service.client(KEY).get("/api/stats").json()["total_logs"] == 1).then_some(()));
}
