//! The options that send a training's record elsewhere.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use hyper::Uri;

use super::headings::OUTPUT;

/// Where a training's record is sent.
#[derive(Clone, Debug, Default, Args)]
pub struct ExportArgs {
    /// Write who did what when to this file, whose name ends with .json, for Perfetto
    /// (ui.perfetto.dev); in a cluster parameter server 0 does. At 64 MB trace.json becomes
    /// trace.1.json, and that one trace.2.json; an earlier trace is kept in the same way
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub trace: Option<PathBuf>,
    /// Send who did what when to an OpenTelemetry collector, over gRPC: a trace for each step; in a
    /// cluster parameter server 0 does. Needs a program built with `--features otlp`
    #[arg(long, value_name = "http://HOST:PORT", help_heading = OUTPUT)]
    pub otlp: Option<CollectorUrl>,
}

/// The address of a collector, `http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollectorUrl(Uri);

impl CollectorUrl {
    /// The same, for a connection.
    #[must_use]
    pub fn uri(&self) -> &Uri {
        &self.0
    }
}

impl FromStr for CollectorUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri = text.parse().ok().filter(|uri: &Uri| {
            let has_place = uri.host().is_some_and(|host| !host.is_empty());
            let is_whole =
                uri.scheme_str() == Some("http") && has_place && uri.port_u16().is_some();
            // What it would be told besides is not of gRPC.
            let is_bare = ["", "/"].contains(&uri.path()) && uri.query().is_none();
            is_whole && is_bare && uri.authority().is_some_and(|it| !it.as_str().contains('@'))
        });
        uri.map(Self).ok_or(
            "expected http://HOST:PORT of a collector that takes OTLP over gRPC, usually on port \
             4317 (one with TLS is reached by way of a collector on this machine)",
        )
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.0.authority().map_or("", |it| it.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_at_a_host_and_a_port() {
        #[track_caller]
        fn check(text: &str, expected: Option<&str>) {
            let url = text.parse().ok().map(|url: CollectorUrl| url.to_string());
            assert_eq!(url.as_deref(), expected, "{text}");
        }
        check("http://collector:4317", Some("http://collector:4317"));
        check("http://127.0.0.1:4317/", Some("http://127.0.0.1:4317"));
        check("http://[::1]:4317", Some("http://[::1]:4317"));
        for text in ["", "collector", "collector:4317", ":4317", "http://", "http://:4317"] {
            check(text, None);
        }
        // HTTP's own port is no collector's, and so is no default.
        check("http://collector", None);
        check("https://collector:4317", None);
        check("http://collector:65536", None);
        check("http://collector:4318/v1/traces", None);
        check("http://collector:4317?key=1", None);
        check("http://name:word@collector:4317", None);
        check("http://coll ector:4317", None);
    }
}
