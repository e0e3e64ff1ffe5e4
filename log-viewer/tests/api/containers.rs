//! Which containers are watched: by name, new ones, removed ones, renamed and recreated ones, and those that cannot be.

use common::testing::wait_for;

use crate::driver::{LogOptions, SECRET, Stream};
use crate::{Home, Viewer, start, start_in, start_with};

/// The containers that have entries.
fn names(viewer: &Viewer) -> Vec<String> {
    let list = viewer.ask("/api/containers", &[]);
    list["containers"].as_array().unwrap().iter().map(|found| found["name"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn wait_for_watched(viewer: &Viewer, count: u64) {
    wait_for(&format!("{count} containers to be watched"), || {
        (viewer.ask("/health", &[])["containers_watched"] == count).then_some(())
    });
}

#[test]
fn containers_are_chosen_by_name() {
    for (patterns, expected) in [
        ("", &["api", "my_app_db", "my_app_web", "shop_web"][..]),
        ("api", &["api"]),
        ("API", &[]),
        (" api , shop_web ", &["api", "shop_web"]),
        ("*web", &["my_app_web", "shop_web"]),
        ("m*p*b", &["my_app_db", "my_app_web"]),
        ("*", &["api", "my_app_db", "my_app_web", "shop_web"]),
        ("app,web", &[]),
    ] {
        let home = Home::new();
        for name in ["api", "my_app_db", "my_app_web", "shop_web"] {
            home.docker.container(name).stdout(format!("I am {name}"));
        }
        let viewer = start_in(home, &[("CONTAINERS", patterns)]);
        wait_for_watched(&viewer, expected.len() as u64);
        viewer.wait_for_entries(expected.len() as u64);
        assert_eq!(names(&viewer), expected, "{patterns:?}");
    }
}

#[test]
fn new_removed_and_recreated_containers_are_followed() {
    let viewer = start();
    let mut first = viewer.docker().container("web");
    first.stdout("of the first");
    viewer.wait_for_message("of the first");
    wait_for_watched(&viewer, 1);
    first.stdout("last words of the first");
    first.remove();
    wait_for_watched(&viewer, 0);
    let mut second = viewer.docker().container("web");
    second.stdout("of the second");
    viewer.wait_for_message("of the second");
    wait_for_watched(&viewer, 1);
    assert_eq!(viewer.messages(&[("container", "web")]).last().unwrap(), "of the first");
    // What was written just before the end is in a file that is still open.
    viewer.wait_for_message("last words of the first");
    viewer.wait_for_entries(3);
}

#[test]
fn a_renamed_container_goes_on_under_its_new_name() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    web.stdout("before");
    viewer.wait_for_message("before");
    web.rename("web_old");
    wait_for("the new name", || {
        web.stdout("after");
        names(&viewer).contains(&"web_old".to_owned()).then_some(())
    });
    assert_eq!(viewer.messages(&[("container", "web"), ("search", "before")]), ["before"]);
    let all = viewer.messages(&[("limit", "500")]);
    assert_eq!(all.iter().filter(|message| *message == "before").count(), 1);
}

#[test]
fn another_log_driver_is_named_in_a_warning() {
    let home = Home::new();
    let _quiet = home.docker.container_of_driver("quiet", "journald");
    let mut web = home.docker.container("web");
    web.stdout("here");
    let viewer = start_in(home, &[]);
    viewer.wait_for_message("here");
    let line = viewer.wait_for_log(&["quiet", "journald"]);
    assert!(line.contains("level=warn"), "{line}");
    let _later = viewer.docker().container_of_driver("later", "none");
    viewer.wait_for_log(&["level=warn", "later", "none"]);
    // Once is enough.
    let told = viewer.log().iter().filter(|line| line.contains("quiet")).count();
    assert_eq!(told, 1, "{:?}", viewer.log());
}

/// One that is not wanted is nobody's business.
#[test]
fn another_log_driver_of_a_container_that_is_not_watched_is_not() {
    let home = Home::new();
    let _quiet = home.docker.container_of_driver("quiet", "journald");
    home.docker.container("web").stdout("here");
    let viewer = start_in(home, &[("CONTAINERS", "web")]);
    viewer.wait_for_message("here");
    assert!(!viewer.log().iter().any(|line| line.contains("quiet")), "{:?}", viewer.log());
}

#[test]
fn what_cannot_be_read_is_told_once_and_disturbs_nobody() {
    let home = Home::new();
    let broken = home.docker.folder.join("b".repeat(64));
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("config.v2.json"), "{\"Name\": \"/broken\", \"SECRET\": hunter2-not-for-logs").unwrap();
    std::fs::create_dir(home.docker.folder.join("not-a-container")).unwrap();
    std::fs::write(home.docker.folder.join("a-file"), "x").unwrap();
    let unreadable = home.docker.container("folder-for-a-log");
    std::fs::remove_file(unreadable.path()).unwrap();
    std::fs::create_dir(unreadable.path()).unwrap();
    let mut web = home.docker.container("web");
    web.stdout("here");
    let viewer = start_in(home, &[]);
    viewer.wait_for_message("here");
    viewer.wait_for_log(&["level=warn", &"b".repeat(64)]);
    web.stdout("still here");
    viewer.wait_for_message("still here");
    let log = viewer.log();
    assert_eq!(log.iter().filter(|line| line.contains(&"b".repeat(64))).count(), 1, "{log:?}");
    assert!(!log.iter().any(|line| line.contains("hunter2")), "{log:?}");
    // It heals.
    std::fs::write(broken.join("config.v2.json"), "{\"Name\": \"/mended\"}").unwrap();
    let record = "{\"log\":\"mended\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-23T10:00:00Z\"}\n";
    std::fs::write(broken.join(format!("{}-json.log", "b".repeat(64))), record).unwrap();
    viewer.wait_for_message("mended");
}

/// The environment is in the same file as the name.
#[test]
fn the_environment_of_a_container_is_never_read_out() {
    let viewer = start_with(&[("LOG_LEVEL", "debug")]);
    let mut web = viewer.docker().container_with("web", LogOptions::rotated(500, 3, true));
    for number in 0..30 {
        web.line(Stream::BOTH[number % 2], format!("line {number}"));
    }
    viewer.wait_for_message("line 29");
    for path in ["/health", "/metrics", "/api/logs", "/api/stats", "/api/containers", "/api/logs/export"] {
        assert!(!viewer.client().get(path).text().contains(SECRET), "{path}");
    }
    assert!(!viewer.log().join("\n").contains(SECRET));
    let database = viewer.stop();
    for entry in std::fs::read_dir(database.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{}", path.display());
        }
    }
}

#[test]
fn the_first_look_at_an_old_log_begins_at_a_line_near_its_end() {
    let home = Home::new();
    let mut web = home.docker.container("web");
    for number in 0..1000 {
        web.stdout(format!("old line {number:04}"));
    }
    let record = std::fs::metadata(web.path()).unwrap().len() / 1000;
    let viewer = start_in(home, &[("TAIL_BUFFER", &(record * 10 - 5).to_string())]);
    viewer.wait_for_message("old line 0999");
    let found = viewer.messages(&[]);
    // Trailing zeros of times make records differ by a byte or two.
    assert!((8..=10).contains(&found.len()), "{found:?}");
    web.stdout("new");
    viewer.wait_for_message("new");
    // From now on nothing is skipped, however much it is.
    let home = viewer.stop();
    for number in 0..1000 {
        web.stdout(format!("later line {number:04}"));
    }
    let viewer = start_in(home, &[("TAIL_BUFFER", "100")]);
    viewer.wait_for_entries(found.len() as u64 + 1 + 1000);
}
