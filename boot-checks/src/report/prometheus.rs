use std::fmt::Write;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::model::BootReport;

/// The `startup.*` metrics and the result as Prometheus' text exposition format 0.0.4, for a
/// collector of text files. `zone` is the one in which the report's time is told.
///
/// Words become figures: `pass` and `fail` are 1 and 0, any other word is the label of a 1.
pub fn prometheus(report: &BootReport, zone: &TimeZone) -> String {
    let mut text = String::with_capacity(2048);
    for (name, value) in report.metrics() {
        let metric = name.replace('.', "_");
        let help = help(name);
        match &value {
            Value::Number(number) => gauge(&mut text, &metric, help, "", &number.to_string()),
            Value::Bool(flag) => gauge(&mut text, &metric, help, "", one(*flag)),
            Value::String(word) if word == "pass" || word == "fail" => {
                gauge(&mut text, &metric, help, "", one(word == "pass"));
            }
            Value::String(word) => {
                let label = metric.rsplit('_').next().unwrap_or("value");
                let labels = format!("{{{label}=\"{}\"}}", escape(word));
                gauge(&mut text, &metric, help, &labels, "1");
            }
            Value::Null | Value::Array(_) | Value::Object(_) => {}
        }
    }
    let own = [
        (
            "startup_success",
            "Whether the application may start.",
            one(report.success()).to_owned(),
        ),
        (
            "startup_exit_code",
            "Exit code of the boot.",
            report.verdict().exit_code().to_string(),
        ),
        (
            "startup_partial",
            "Whether steps were left out on request.",
            one(report.start.is_partial()).to_owned(),
        ),
        (
            "startup_stages_passed",
            "Stages that passed.",
            report.stages_passed().to_string(),
        ),
        (
            "startup_stages_failed",
            "Stages that failed.",
            report.stages_failed().to_string(),
        ),
        (
            "startup_duration_seconds",
            "How long the boot took.",
            report.duration.as_secs_f64().to_string(),
        ),
    ];
    for (metric, help, value) in own {
        gauge(&mut text, metric, help, "", &value);
    }
    if let Some(started) = unix_seconds(&report.start.timestamp, zone) {
        let help = "When the boot began, in seconds since 1970.";
        let value = started.to_string();
        gauge(&mut text, "startup_timestamp_seconds", help, "", &value);
    }
    text
}

fn help(name: &str) -> &'static str {
    match name {
        "startup.preflight_status" => "Whether the preflight stage passed.",
        "startup.validation_errors" => "Problems that the preflight stage found.",
        "startup.schema_mismatches" => "Differences between the database and the code.",
        "startup.boot_pipeline_stage" => "Last stage that had its turn, 1 to 8.",
        "startup.tests_passed" => "Smoke tests that passed.",
        "startup.console_encoding" => "Encoding of the console.",
        _ => "Figure of the boot.",
    }
}

fn gauge(text: &mut String, metric: &str, help: &str, labels: &str, value: &str) {
    let _ = writeln!(text, "# HELP {metric} {help}");
    let _ = writeln!(text, "# TYPE {metric} gauge");
    let _ = writeln!(text, "{metric}{labels} {value}");
}

fn one(flag: bool) -> &'static str {
    if flag { "1" } else { "0" }
}

fn escape(label: &str) -> String {
    label
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn unix_seconds(timestamp: &str, zone: &TimeZone) -> Option<i64> {
    let local: DateTime = timestamp.parse().ok()?;
    let zoned = zone.to_ambiguous_zoned_datetime(local).compatible().ok()?;
    Some(zoned.timestamp().as_second())
}
