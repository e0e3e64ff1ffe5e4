//! What goes wrong around the service: full disks, emptied and corrupt files, hostile content, monstrous lines.

use std::fs;

use common::testing::{SmallDisk, wait_for};

use crate::driver::{Docker, Stream, records};
use crate::{KEY, check_integrity, message, start, start_service, start_with};

#[test]
fn a_full_disk_stops_the_cursor_and_nothing_else() {
    let Some(disk) = SmallDisk::mount() else { return };
    let home = common::testing::TempDir::new();
    let docker = Docker::new(home.path().join("containers"));
    let database = disk.folder().path().join("logs.db");
    let mut web = docker.container("web");
    web.stdout("before 0");
    let service = start_service(&database, &docker.folder, &[]);
    let client = service.client(KEY);
    let stored = || client.get("/api/stats").json()["total_logs"].as_u64().unwrap();
    let unstored = || {
        let page = client.get("/metrics").text();
        let line = page.lines().find_map(|line| line.strip_prefix("monlight_log_unstored_bytes ")).expect("the figure");
        line.parse::<u64>().expect("a number")
    };
    wait_for("the first entry", || (stored() == 1).then_some(()));

    disk.fill();
    let filler = "x".repeat(500);
    for number in 0..3000 {
        web.line(Stream::BOTH[number % 2], format!("while full {number} {filler}"));
    }
    let health = wait_for("the health to tell", || Some(client.get("/health")).filter(|health| health.status == 503));
    assert!(health.detail().contains("full"), "{}", health.text());
    assert_eq!(client.get("/api/logs").status, 200, "what is stored can be read");
    assert!(stored() < 3001);
    let missing = 500 * (3001 - stored());
    wait_for("the lines that wait to be counted", || (unstored() >= missing).then_some(()));

    disk.empty();
    wait_for("all entries", || (stored() == 3001).then_some(()));
    wait_for("no more lines to wait", || (unstored() == 0).then_some(()));
    wait_for("the health to heal", || (client.get("/health").status == 200).then_some(()));
    for stream in Stream::BOTH {
        let found = client.get("/api/logs/export?search=%22while+full%22").text();
        let of_stream = found.lines().filter(|line| line.contains(&format!("\"stream\":\"{}\"", stream.name())));
        assert_eq!(of_stream.count(), 1500);
    }
    assert!(service.terminate().success());
    check_integrity(&database);
}

/// A crash on a full disk, a start on it, and room again.
#[test]
fn a_start_on_a_full_disk_heals() {
    let Some(disk) = SmallDisk::mount() else { return };
    let home = common::testing::TempDir::new();
    let docker = Docker::new(home.path().join("containers"));
    let database = disk.folder().path().join("logs.db");
    let mut web = docker.container("web");
    web.stdout("before");
    let service = start_service(&database, &docker.folder, &[]);
    let wait_for_entries = |client: &common::testing::Client, count: u64| {
        wait_for("the entries", || (client.get("/api/stats").json()["total_logs"] == count).then_some(()));
    };
    wait_for_entries(&service.client(KEY), 1);
    disk.fill();
    service.kill();
    for number in 0..100 {
        web.stdout(format!("after {number}"));
    }
    let service = start_service(&database, &docker.folder, &[]);
    disk.empty();
    wait_for_entries(&service.client(KEY), 101);
}

#[test]
fn hostile_content_is_data() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    let texts: [&[u8]; 12] = [
        b"[INFO] bad utf-8 \xff\xfe\xc3( end",
        b"[INFO] nul \0 and bell \x07 and backspace \x08 end",
        b"[INFO] <script>alert('x')</script> & <img src=x onerror=alert(1)>",
        b"[INFO] '); DROP TABLE log_entries; -- \"",
        b"[INFO] {\"log\":\"inner\",\"stream\":\"stderr\",\"time\":\"2020-01-01T00:00:00Z\"}",
        b"[INFO] \\u0041 \\n stays as it is",
        "[INFO] \u{202e}right to left\u{202c} \u{200b}\u{feff}".as_bytes(),
        "[INFO] 🦀 \u{1f469}\u{200d}\u{1f680} ﷽".as_bytes(),
        b"[INFO] \r carriage \r return",
        b"[INFO] event: close",
        b"[INFO] data: {}\\n\\nid: 7",
        b"[INFO] https://example.com/?a=1&b=%00#x",
    ];
    for text in texts {
        web.stdout(text);
    }
    viewer.wait_for_entries(texts.len() as u64);
    let mut found = viewer.messages(&[]);
    found.reverse();
    for (found, written) in found.iter().zip(texts) {
        let expected: String = written
            .utf8_chunks()
            .fold(String::new(), |text, chunk| text + chunk.valid() + &"\u{fffd}".repeat(chunk.invalid().len()));
        assert_eq!(*found, expected);
    }
    assert_eq!(viewer.messages(&[("search", "DROP TABLE log_entries")]).len(), 1);
    assert_eq!(viewer.export(&[]).lines().count(), texts.len());
    check_integrity(&viewer.stop().database());
}

/// Records that Docker never writes, and halves of those it does, as after a crash of the machine.
#[test]
fn corrupt_records_are_left_out_and_reading_goes_on() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    let good = |text: &str| records(text.as_bytes(), true, Stream::Stdout, 1_800_000_000_000_000_000).concat();
    let mut corrupt: Vec<Vec<u8>> = vec![
        b"not json at all".to_vec(),
        b"{\"log\":\"no end".to_vec(),
        b"{\"stream\":\"stdout\",\"time\":\"2026-11-23T02:12:51Z\"}".to_vec(),
        b"{\"log\":7,\"stream\":[],\"time\":{}}".to_vec(),
        b"[]".to_vec(),
        b"null".to_vec(),
        b"".to_vec(),
        vec![0; 5000],
        b"\xff\xfe\xfd".to_vec(),
        b"{".repeat(10_000),
        b"[".repeat(100_000),
        b"}\"\\u00".to_vec(),
    ];
    corrupt.push(good("half")[..30].to_vec());
    for (number, bytes) in corrupt.iter().enumerate() {
        web.raw(&good(&format!("[INFO] good {number}")));
        web.raw(bytes);
        web.raw(b"\n");
    }
    web.raw(&good("[INFO] the last"));
    viewer.wait_for_message("[INFO] the last");
    let found = viewer.messages(&[("search", "good"), ("limit", "500")]);
    assert_eq!(found.len(), corrupt.len(), "{found:?}");
    assert!(viewer.memory() < 30_000_000);
    // Told, but not for each.
    let told = viewer.log().iter().filter(|line| line.contains("level=warn")).count();
    assert!((1..5).contains(&told), "{:?}", viewer.log());
}

#[test]
fn monstrous_lines_are_cut_and_cost_no_memory() {
    let viewer = start_with(&[("TAIL_BUFFER", "1000000000")]);
    let mut web = viewer.docker().container("web");
    web.stdout("[INFO] before");
    viewer.wait_for_message("[INFO] before");
    // As a program writes it, in records of 16 KB, on either stream.
    web.stdout(format!("[INFO] one megabyte {}", "a".repeat(1_000_000)));
    web.stderr(format!("[ERROR] fifty megabytes {}", "b".repeat(50_000_000)));
    // As only a broken driver does: one record of 50 MB.
    let record = format!(
        "{{\"log\":\"[INFO] one record {}\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-23T10:00:00Z\"}}\n",
        "c".repeat(50_000_000)
    );
    web.raw(record.as_bytes());
    web.stdout("[INFO] after");
    viewer.wait_for_message("[INFO] after");
    viewer.wait_for_entries(5);
    let exported = viewer.export(&[]);
    let entries: Vec<serde_json::Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (beginning, filler) in
        [("[INFO] one megabyte a", 'a'), ("[ERROR] fifty megabytes b", 'b'), ("[INFO] one record c", 'c')]
    {
        let text = entries
            .iter()
            .map(message)
            .find(|text| text.starts_with(beginning))
            .unwrap_or_else(|| panic!("{beginning}"));
        assert!((1_000..1_000_000).contains(&text.len()), "{beginning}: {} bytes are kept", text.len());
        assert!(
            text.trim_end_matches([']', '[', '…']).ends_with("cut"),
            "{beginning}: {:?}",
            &text[text.len() - 100..]
        );
        assert!(text.matches(filler).count() > 1_000);
    }
    let peak = viewer.peak_memory() / 1_000_000;
    assert!(peak < 30, "{peak} MB");
}

/// `truncate --size 0` is what people do about a log that has become too long.
#[test]
fn an_emptied_log_is_read_from_its_new_start() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    for number in 0..50 {
        web.stdout(format!("old {number}"));
    }
    viewer.wait_for_entries(50);
    web.truncate();
    web.stdout("new 0");
    viewer.wait_for_message("new 0");
    web.truncate();
    // A Docker that has rotated once goes on where it was, behind a hole of zeros.
    let hole = vec![0; 4000];
    web.raw(&hole);
    web.stdout("behind the hole");
    viewer.wait_for_message("behind the hole");
    viewer.wait_for_entries(52);
}

#[test]
fn an_unfinished_last_line_waits_for_its_end() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    web.stdout("ready");
    viewer.wait_for_entries(1);
    let record = records(b"in two halves", true, Stream::Stdout, 1_800_000_000_000_000_000).concat();
    let (first, second) = record.split_at(20);
    web.raw(first);
    // A poll and more passes.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(viewer.messages(&[]), ["ready"]);
    web.raw(second);
    viewer.wait_for_message("in two halves");
    viewer.wait_for_entries(2);
}

#[test]
fn dying_words_without_a_newline_are_not_lost() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    web.dying_words(Stream::Stderr, "no newline at end");
    viewer.wait_for_message("no newline at end");
    // The program starts again; nothing is glued together.
    web.stderr("started");
    viewer.wait_for_message("started");
    viewer.wait_for_entries(2);
}

#[test]
fn a_trace_is_one_entry_even_between_the_lines_of_the_other_stream() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    let trace = "Traceback (most recent call last):\n  File \"/app/pay.py\", line 12, in pay\n    raise ValueError(x)\nValueError: x";
    // At once: a trace may be broken where its program pauses, and a busy machine pauses this one.
    let record = |line: &str, stream| records(line.as_bytes(), true, stream, 1_800_000_000_000_000_000).concat();
    let both = |line| [record(line, Stream::Stderr), record("[INFO] request served", Stream::Stdout)].concat();
    web.raw(&trace.lines().flat_map(both).collect::<Vec<u8>>());
    viewer.wait_for_entries(5);
    assert_eq!(viewer.messages(&[("level", "ERROR")]), [trace]);
}

/// The clock of the machine jumps; what is stored is in the order of arrival, and nothing is left out.
#[test]
fn clock_jumps_lose_nothing() {
    let viewer = start();
    let mut web = viewer.docker().container("web");
    for (number, nanos) in [1_800_000_000u64, 1_700_000_000, 1_900_000_000, 1_700_000_000, 0].into_iter().enumerate() {
        web.raw(&records(format!("line {number}").as_bytes(), true, Stream::Stdout, nanos * 1_000_000_000).concat());
    }
    viewer.wait_for_entries(5);
    let exported = viewer.export(&[]);
    let mut entries: Vec<serde_json::Value> =
        exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    entries.sort_by_key(|entry| entry["id"].as_i64());
    let messages: Vec<_> = entries.iter().map(message).collect();
    assert_eq!(messages, ["line 0", "line 1", "line 2", "line 3", "line 4"]);
    let home = viewer.stop();
    web.raw(&records(b"while away, and long ago", true, Stream::Stdout, 1_600_000_000_000_000_000).concat());
    let viewer = crate::start_in(home, &[]);
    viewer.wait_for_message("while away, and long ago");
    viewer.wait_for_entries(6);
}

#[test]
fn a_database_that_is_in_use_or_in_a_missing_folder_is_refused() {
    let viewer = start();
    let variables =
        |database: &str| [("API_KEY", KEY.to_owned()), ("DATABASE_PATH", database.to_owned()), ("PORT", "0".into())];
    for (database, words) in
        [(viewer.home.database().to_str().unwrap(), "another process is using it"), ("/nowhere/logs.db", "/nowhere")]
    {
        let output =
            std::process::Command::new(crate::binary()).env_clear().envs(variables(database)).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(words), "{said}");
    }
    fs::metadata(viewer.home.database()).unwrap();
}
