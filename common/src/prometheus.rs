//! The Prometheus text format, in which a service tells about itself.

use std::fmt::{Display, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::http::response::Response;

/// A page in the Prometheus text format.
#[derive(Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// The header of a metric family. Writing to a `String` cannot fail, here and below.
    pub fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    /// One sample; `labels` without braces, possibly empty.
    pub fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = match labels {
            "" => writeln!(self.text, "{name} {value}"),
            _ => writeln!(self.text, "{name}{{{labels}}} {value}"),
        };
    }

    /// A family of one gauge.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, "", value);
    }

    /// A family of one counter.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(name, "", value);
    }

    /// The samples of a histogram from counts per bucket; counts beyond the edges belong to `+Inf`.
    pub fn histogram(&mut self, name: &str, edges: &[f64], counts: &[AtomicU64], sum: f64) {
        let mut total = 0;
        for (place, count) in counts.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            if let Some(edge) = edges.get(place) {
                self.sample(&format!("{name}_bucket"), &format!("le=\"{edge}\""), total);
            }
        }
        self.sample(&format!("{name}_bucket"), "le=\"+Inf\"", total);
        self.sample(&format!("{name}_sum"), "", sum);
        self.sample(&format!("{name}_count"), "", total);
    }

    /// The answer with this page.
    pub fn response(self) -> Response {
        Response::new(200, "text/plain; version=0.0.4", self.text.into_bytes())
    }
}
