//! Lists what `make ui` left in `dist/` as constants. `MONLIGHT_UI=none` leaves it out: `make bench` measures what it adds.
#![expect(clippy::unnecessary_debug_formatting, reason = "paths become literals of the code")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

const SERVICES: [&str; 3] = ["error-tracker", "log-viewer", "metrics-collector"];

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or(io::ErrorKind::NotFound)?);
    println!("cargo::rerun-if-changed=dist");
    println!("cargo::rerun-if-changed=not-built.html");
    println!("cargo::rerun-if-env-changed=MONLIGHT_UI");
    let mut code = String::new();
    for service in SERVICES {
        code.push_str(&interface(service, &root)?);
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    fs::write(out.join("interfaces.rs"), code)
}

/// The constant of one service.
fn interface(service: &str, root: &Path) -> io::Result<String> {
    let name = service.replace('-', "_").to_uppercase();
    let is_left_out = env::var_os("MONLIGHT_UI").is_some_and(|value| value == "none");
    let built = root.join(if is_left_out { "none" } else { "dist" }).join(service);
    let [page, below] = if built.exists() {
        ["page.html", "page-below.html"].map(|file| built.join(file))
    } else {
        if !is_left_out {
            println!("cargo::warning=the web interface of {service} is not built; `make ui` does it");
        }
        ["not-built.html", "not-built.html"].map(|file| root.join(file))
    };
    let mut code = format!(
        "/// The interface of {service}.\npub static {name}: Interface = Interface {{\n    page: include_str!({page:?}),\n    \
         page_below: include_str!({below:?}),\n    assets: &[\n"
    );
    for file in files(&built.join("assets"))? {
        let compressed = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let asset = compressed.strip_suffix(".gz").unwrap_or(&compressed);
        // Writing to a String cannot fail.
        let _ = writeln!(
            code,
            "        common::ui::Asset {{ name: {asset:?}, content_type: {:?}, gzip: include_bytes!({file:?}) }},",
            content_type(asset)
        );
    }
    code.push_str("    ],\n};\n");
    Ok(code)
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    Ok(files)
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        Some((_, "svg")) => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
