//! The web interfaces as `make ui` built them into `dist/`. Where it did not, a page says so: everything else of a service
//! works without.

use common::ui::Interface;

include!(concat!(env!("OUT_DIR"), "/interfaces.rs"));
