//! The packs that the program itself holds, so that an empty home has them.

/// One file by its path under `packs/`.
macro_rules! held {
    ($path:literal) => {
        ($path, include_str!(concat!("../../packs/", $path)))
    };
}

/// Every file of them, by path; each home may replace a pack by one of the same name.
pub const FILES: &[(&str, &str)] = &[
    held!("core/actions/announcement.yaml"),
    held!("core/actions/ask.yaml"),
    held!("core/actions/echo.yaml"),
    held!("core/actions/emit.yaml"),
    held!("core/actions/error.yaml"),
    held!("core/actions/http.yaml"),
    held!("core/actions/inject_trigger.yaml"),
    held!("core/actions/kafka_produce.yaml"),
    held!("core/actions/local.yaml"),
    held!("core/actions/local_sudo.yaml"),
    held!("core/actions/noop.yaml"),
    held!("core/actions/pause.yaml"),
    held!("core/actions/remote.yaml"),
    held!("core/actions/remote_sudo.yaml"),
    held!("core/actions/sendmail.yaml"),
    held!("core/actions/uuid.yaml"),
    held!("core/config.schema.yaml"),
    held!("core/pack.yaml"),
    held!("core/triggers/actiontrigger.yaml"),
    held!("core/triggers/cron_timer.yaml"),
    held!("core/triggers/date_timer.yaml"),
    held!("core/triggers/inquiry.yaml"),
    held!("core/triggers/inquiry_answered.yaml"),
    held!("core/triggers/inquiry_asked.yaml"),
    held!("core/triggers/inquiry_escalated.yaml"),
    held!("core/triggers/inquiry_expired.yaml"),
    held!("core/triggers/interval_timer.yaml"),
    held!("core/triggers/notifytrigger.yaml"),
    held!("core/triggers/rule_due.yaml"),
    held!("core/triggers/rule_quarantined.yaml"),
    held!("core/triggers/tick.yaml"),
    held!("core/triggers/webhook.yaml"),
    held!("file/pack.yaml"),
    held!("file/triggers/changed.yaml"),
    held!("file/triggers/created.yaml"),
    held!("file/triggers/removed.yaml"),
    held!("poll/pack.yaml"),
    held!("poll/triggers/added.yaml"),
    held!("poll/triggers/changed.yaml"),
    held!("poll/triggers/removed.yaml"),
    held!("poll/triggers/same.yaml"),
    held!("prometheus/pack.yaml"),
    held!("prometheus/triggers/alert.yaml"),
    held!("prometheus/triggers/sample.yaml"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn below(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            if entry.path().is_dir() {
                below(&entry.path(), found);
            } else {
                found.insert(entry.path().display().to_string());
            }
        }
    }

    #[test]
    fn every_file_of_a_built_in_pack_is_held() {
        let packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("packs");
        let mut found = BTreeSet::new();
        for (path, _) in FILES {
            below(&packs.join(path.split('/').next().unwrap()), &mut found);
        }
        let held: BTreeSet<_> =
            FILES.iter().map(|(path, _)| packs.join(path).display().to_string()).collect();
        assert_eq!(held, found);
    }
}
