//! Calendars in a home: read, checked, changed while running, found by rules.

use ifso::model::calendar::State;
use ifso::model::time::Time;
use ifso::packs::catalog::Catalog;
use ifso::rules::Known;

use super::{Home, told};

const OFFICE: &str = "\
zone: Europe/Prague
about: When people are there
open:
  - { days: mon-fri, from: \"08:00\", to: \"18:00\" }
  - { days: [sat, sun], from: 22:00, to: 06:00 }
closed:
  - 2026-12-24
  - 12-25
  - { from: 2026-11-20T10:00, to: 2026-11-20T12:00, about: power is off }
  - { days: mon, from: 12:00, to: 13:00 }
";

fn at(catalog: &Catalog, name: &str, time: &str) -> State {
    let time = Time::from_jiff(time.parse().unwrap());
    catalog.calendars[&name.parse().unwrap()].at(time)
}

#[test]
fn a_calendar_is_read_from_its_file() {
    let home = Home::new();
    home.pack("p").write("packs/p/calendars/night.yml", "zone: UTC\n");
    home.write("calendars/office.yaml", OFFICE);
    let catalog = home.load();
    assert_eq!(told(&catalog), [""; 0]);
    let open = |time: &str| at(&catalog, "site.office", time).is_open();
    assert!(open("2026-11-19T10:00:00Z") && open("2026-11-21T22:00:00Z"));
    for closed in [
        "2026-11-20T09:00:00Z",
        "2026-12-24T10:00:00Z",
        "2030-12-25T10:00:00Z",
        "2026-11-23T11:30:00Z",
    ] {
        assert!(!open(closed), "{closed}");
    }
    assert_eq!(at(&catalog, "p.night", "2026-01-01T00:00:00Z"), State::Open { until: None });
}

#[test]
fn mistakes_are_told_with_their_place() {
    for (from, to, expected) in [
        (
            "zone: Europe/Prague\n",
            "",
            "calendars/c.yaml:1:1: `zone` is missing (help: add `zone: …` to the calendar)",
        ),
        (
            "Europe/Prague",
            "Europe/Pragu",
            "calendars/c.yaml:1:1: there is no time zone `Europe/Pragu`; did you mean `Europe/Prague`?",
        ),
        (
            "mon-fri",
            "mon-fry",
            "calendars/c.yaml:4:7: `fry` is no day; write `mon`, `tue`, … or `mon-fri`",
        ),
        (
            "\"18:00\"",
            "18",
            "calendars/c.yaml:4:37: `18` is no time of day; write `08:00`, up to `24:00`",
        ),
        (
            "from: \"08:00\"",
            "form: \"08:00\"",
            "calendars/c.yaml:4:22: unknown field `form` (help: did you mean `from`?)",
        ),
        (
            "12-25",
            "13-25",
            "calendars/c.yaml:8:5: `13-25` is no day of a year; write month and day: `12-25`",
        ),
        ("2026-11-20T12:00", "2026-11-19", "calendars/c.yaml:9:31: it ends before it begins"),
        (
            "closed:",
            "closde:",
            "calendars/c.yaml:6:1: unknown field `closde` (help: did you mean `closed`?)",
        ),
    ] {
        let home = Home::new();
        home.write("rules/x.rhai", "").write("calendars/c.yaml", &OFFICE.replacen(from, to, 1));
        assert_eq!(told(&home.load()), [expected]);
    }
}

#[test]
fn a_change_is_in_force_and_a_broken_file_keeps_what_was() {
    let home = Home::new();
    home.write("calendars/office.yaml", OFFICE);
    let first = home.load();
    home.write("calendars/office.yaml", &OFFICE.replace("zone: Europe/Prague", "zone: Europe/Pra"));
    let broken = home.reload(&first);
    assert_eq!(broken.errors(), 1);
    assert_eq!(broken.calendars, first.calendars);
    home.write("calendars/office.yaml", "zone: UTC\n");
    let second = home.reload(&broken);
    assert!(at(&second, "site.office", "2026-12-24T10:00:00Z").is_open());
    home.remove("calendars/office.yaml");
    assert!(home.reload(&second).calendars.is_empty());
}

#[test]
fn rules_find_the_calendar_that_they_name() {
    let home = Home::new();
    home.pack("p").write("packs/p/calendars/night.yaml", "zone: UTC\n");
    home.write("calendars/office.yaml", OFFICE).write("calendars/night.yaml", OFFICE);
    let calendars = home.load().calendars;
    let known = Known { calendars, ..Known::default() };
    let found = |pack: &str, name: &str| {
        known.calendar(pack, name).map(|(found, inverted)| (found.place.to_string(), inverted))
    };
    let file = |path: &str, inverted| Ok((path.to_owned(), inverted));
    assert_eq!(found("p", "night"), file("packs/p/calendars/night.yaml", false));
    assert_eq!(found("p", "!office"), file("calendars/office.yaml", true));
    assert_eq!(found("q", "night"), file("calendars/night.yaml", false));
    assert_eq!(found("q", "!p.night"), file("packs/p/calendars/night.yaml", true));
    assert_eq!(
        found("p", "!ofice"),
        Err("there is no calendar `ofice`; did you mean `!office`?".to_owned())
    );
    assert_eq!(
        found("p", "zzz"),
        Err("there is no calendar `zzz`; write `calendars/NAME.yaml` of the home or of its pack"
            .to_owned())
    );
}
