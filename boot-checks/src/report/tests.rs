//! Every renderer over the three canonical endings, and its output read back by a parser.

use jiff::tz::TimeZone;

use super::*;
use crate::model::{BootReport, Ending, Event, Verdict};

const PLAIN: Style = Style {
    color: false,
    width: 80,
};

fn console(events: &[Event], style: Style) -> String {
    let mut console = Console::new(Vec::new(), style);
    for event in events {
        console.event(event).unwrap();
    }
    String::from_utf8(console.into_inner()).unwrap()
}

fn endings() -> [(&'static str, Vec<Event>); 3] {
    [
        ("completed", sample::completed()),
        ("completed_with_fixes", sample::completed_with_fixes()),
        ("aborted", sample::aborted()),
    ]
}

fn report(events: &[Event]) -> BootReport {
    BootReport::fold(events).unwrap()
}

#[test]
fn every_renderer_over_the_three_canonical_endings() {
    for (name, events) in endings() {
        let report = report(&events);
        for (form, output) in [
            ("console", console(&events, PLAIN)),
            ("text", text(&report)),
            ("json", json(&report)),
            ("junit", junit(&report)),
            ("prometheus", prometheus(&report, &TimeZone::UTC)),
        ] {
            snapshot(&format!("{form}_{name}"), &output);
        }
    }
}

/// Compares with `snapshots/report_<name>.snap` at the workspace's root.
fn snapshot(name: &str, output: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(format!("report_{name}"), output));
}

#[test]
fn the_console_of_a_run_that_only_looks() {
    let all = console(&sample::observed(), PLAIN);
    snapshot("console_observed", &all);
}

#[test]
fn where_no_report_could_be_written_none_is_said_to_be() {
    let events = sample::observed();
    let (last, before) = events.split_last().unwrap();
    let mut console = Console::new(Vec::new(), PLAIN);
    for event in before {
        console.event(event).unwrap();
    }
    console.unproven(Some("read-only file system".to_owned()));
    console.event(last).unwrap();
    let all = String::from_utf8(console.into_inner()).unwrap();
    let end = all.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(end.contains("this run's own report could not be"), "{end}");
    assert!(!end.contains("own report was written"), "{end}");
}

#[test]
fn the_console_of_a_partial_run() {
    let all = console(&sample::partial(), PLAIN);
    assert!(
        !all.contains("may start"),
        "no verdict on the application: {all}"
    );
    snapshot("console_partial", &all);
}

#[test]
fn the_last_block_names_every_ending() {
    let ending = |ending: Ending| {
        let all = console(&sample::boot(sample::start(), |_| None, ending), PLAIN);
        let (_, block) = all.rsplit_once("complete\n").unwrap();
        block.to_owned()
    };
    let blocks = [
        ending(Ending::Interrupted { signal: "SIGTERM" }),
        ending(Ending::Panicked {
            message: "index out of bounds".to_owned(),
        }),
        ending(Ending::Refused {
            verdict: Verdict::LockHeld,
            reason: "pid 42 on this host has held the lock since 18:30:01".to_owned(),
        }),
    ];
    snapshot("console_other_endings", &blocks.concat());
}

#[test]
fn no_line_of_ours_is_wider_than_asked_for_and_all_is_ascii() {
    for width in [0, 60, 80, 120, 500] {
        let style = Style {
            color: false,
            width,
        };
        for (name, events) in endings() {
            let all = console(&events, style);
            assert!(all.is_ascii(), "{name}");
            for line in all.lines().filter(|line| !line.contains('`')) {
                assert!(
                    line.len() <= width.clamp(60, 120),
                    "{name} at {width}: {line}"
                );
            }
        }
    }
}

#[test]
fn colour_adds_codes_and_changes_no_letter() {
    let colour = Style {
        color: true,
        ..PLAIN
    };
    let codes = regex::Regex::new("\u{1b}\\[[0-9;]*m").unwrap();
    for (name, events) in endings() {
        let coloured = console(&events, colour);
        assert!(codes.is_match(&coloured), "{name}");
        assert_eq!(codes.replace_all(&coloured, ""), console(&events, PLAIN));
    }
}

#[test]
fn a_boot_rendered_afterwards_ends_as_it_did_live() {
    for (name, events) in endings() {
        let end = |text: &str| text[text.find("complete\n").unwrap_or(0)..].to_owned();
        let live = console(&events, PLAIN);
        let later = pretty(&report(&events), PLAIN);
        let last = |text: &str| text.rsplit_once("\n\n====").map(|(_, end)| end.to_owned());
        assert_eq!(last(&end(&live)), last(&end(&later)), "{name}");
    }
}

/// Events that hold what XML and terminals cannot bear.
fn hostile() -> Vec<Event> {
    let nasty = "<a href=\"x\">&]]>\0\u{1b}[31m\u{fffe}\u{ffff}\r\nSuccess: YES\n'end'";
    let mut events = sample::aborted();
    for event in &mut events {
        event.for_each_text(&mut |text| text.push_str(nasty));
    }
    events
}

#[test]
fn junit_is_xml_and_its_counts_are_true() {
    let mut all = endings().to_vec();
    all.push(("hostile", hostile()));
    all.push(("partial", sample::partial()));
    for (name, events) in all {
        let xml = junit(&report(&events));
        let document = roxmltree::Document::parse(&xml).unwrap();
        let root = document.root_element();
        let elements = |tag: &'static str| {
            document
                .descendants()
                .filter(move |it| it.has_tag_name(tag))
        };
        for (attribute, tag) in [
            ("tests", "testcase"),
            ("failures", "failure"),
            ("errors", "error"),
            ("skipped", "skipped"),
        ] {
            let said: usize = root.attribute(attribute).unwrap().parse().unwrap();
            assert_eq!(said, elements(tag).count(), "{name}: {attribute}");
        }
        assert_eq!(elements("testsuite").count(), 8, "{name}");
    }
}

#[test]
fn junit_is_never_greener_than_the_exit_code() {
    let interrupted = Ending::Interrupted { signal: "SIGTERM" };
    let events = sample::boot(sample::start(), |_| None, interrupted);
    let xml = junit(&report(&events));
    let document = roxmltree::Document::parse(&xml).unwrap();
    assert_eq!(document.root_element().attribute("errors"), Some("1"));

    let mut strict = sample::completed_with_fixes();
    if let Event::BootStarted(start) = &mut strict[0] {
        start.strict = true;
    }
    assert!(junit(&report(&strict)).contains("failures=\"1\""));
}

#[test]
fn prometheus_keeps_to_the_exposition_format() {
    let sample_line =
        regex::Regex::new(r#"^[a-z_]+(\{[a-z_]+="([^"\\\n]|\\["\\n])*"\})? -?[0-9.e-]+$"#).unwrap();
    for (name, events) in endings() {
        let text = prometheus(&report(&events), &TimeZone::UTC);
        assert!(text.ends_with('\n'));
        let lines: Vec<&str> = text.lines().collect();
        let mut seen = std::collections::BTreeSet::new();
        for metric in lines.chunks(3) {
            let [help, kind, value] = metric else {
                panic!("{name}: {metric:?}")
            };
            assert!(sample_line.is_match(value), "{name}: {value}");
            let metric = value.split([' ', '{']).next().unwrap();
            assert!(help.starts_with(&format!("# HELP {metric} ")), "{help}");
            assert_eq!(*kind, format!("# TYPE {metric} gauge"));
            assert!(seen.insert(metric), "{name}: {metric} stands twice");
        }
        assert!(text.contains("startup_timestamp_seconds 1762713015\n"));
    }
}

#[test]
fn a_hostile_text_forges_no_line_and_moves_no_cursor() {
    let events = hostile();
    let file = text(&report(&events));
    let success: Vec<&str> = file
        .lines()
        .filter(|it| it.starts_with("Success: YES"))
        .collect();
    assert_eq!(success, Vec::<&str>::new());
    for all in [file, console(&events, PLAIN)] {
        assert!(
            !all.contains(|it: char| it.is_control() && it != '\n'),
            "{all}"
        );
    }
}

#[test]
fn what_is_waited_for_is_shown_before_the_step_ends() {
    let events = sample::completed();
    let step = events
        .iter()
        .position(|it| matches!(it, Event::StepStarted(_)))
        .unwrap();
    let Event::StepStarted(id) = events[step] else {
        unreachable!("it was found as one")
    };
    let mut seen = events[..=step].to_vec();
    seen.push(Event::Waiting {
        step: id,
        reason: "another process holds the database".to_owned(),
    });
    let all = console(&seen, PLAIN);
    assert!(all.ends_with(
        "  [WAIT] preflight::database_exists: another process holds the database ...\n"
    ));
}
