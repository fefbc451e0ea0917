//! Which calendar a rule means.

use std::sync::Arc;

use crate::model::calendar::Calendar;
use crate::model::problem::nearest;
use crate::model::reference::Reference;
use crate::rules::Known;

/// The home's own pack.
const SITE: &str = "site";

impl Known {
    /// The calendar that a rule of `pack` calls `name`, and whether its closed times are meant
    /// (`"!name"`): that of its own pack, else the home's; `"pack.name"` is any pack's.
    ///
    /// # Errors
    /// Says that there is none, and which was meant.
    pub fn calendar(&self, pack: &str, name: &str) -> Result<(Arc<Calendar>, bool), String> {
        let (plain, inverted) = name.strip_prefix('!').map_or((name, false), |rest| (rest, true));
        let plain = plain.trim();
        let found = if plain.contains('.') {
            plain.parse().ok().and_then(|reference: Reference| self.calendars.get(&reference))
        } else {
            [pack, SITE].iter().find_map(|pack| {
                let reference = Reference::new(pack, plain).ok()?;
                self.calendars.get(&reference)
            })
        };
        if let Some(found) = found {
            return Ok((Arc::clone(found), inverted));
        }
        let of_pack = |known: &&Reference| [pack, SITE].contains(&known.pack());
        let short = self.calendars.keys().filter(of_pack).map(Reference::name);
        let names = short.chain(self.calendars.keys().map(Reference::as_str));
        let help = nearest(plain, names).map_or_else(
            || "; write `calendars/NAME.yaml` of the home or of its pack".to_owned(),
            |near| format!("; did you mean `{}{near}`?", if inverted { "!" } else { "" }),
        );
        Err(format!("there is no calendar `{plain}`{help}"))
    }
}
