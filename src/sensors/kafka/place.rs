//! Where a partition is read from, decided from what the store holds and what the broker has.

use crate::intake::Door;
use crate::sensors::Error;
use crate::sensors::kafka::settings::{OnReset, Start};
use crate::store;

/// What the store holds of a partition. Positions live in streams of this name and one more part,
/// the incarnation: the topic's id (`-` where ids are not known), then `~1`, `~2`, … for each time
/// the broker lost records and the operator chose to go on. So a topic that was made anew begins at
/// 0 again without its records being taken for old ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Whether the partition was ever read, and if so by which kind of id.
    pub(super) mark: Option<i64>,
    /// How often the broker lost records, from 0.
    pub(super) losses: u32,
    /// The last offset taken in.
    pub(super) at: Option<i64>,
}

/// The mark of a partition that was read while its topic's id was not known.
pub(super) const WITHOUT_ID: i64 = 0;
/// The mark of a partition that was read under its topic's id.
pub(super) const WITH_ID: i64 = 1;

impl Held {
    /// What the store holds of the partition whose streams begin with `partition`.
    ///
    /// # Errors
    /// As `Door::position`.
    pub(super) async fn find(
        door: &Door,
        partition: &str,
        id: Option<&str>,
    ) -> Result<Self, store::Error> {
        let mark = door.position(partition).await?;
        let mut held = Self { mark, losses: 0, at: None };
        while let Some(at) = door.position(&stream(partition, id, held.losses)).await? {
            held.at = Some(at);
            held.losses += 1;
        }
        held.losses = held.losses.saturating_sub(1);
        if held.at.is_none() && id.is_some() && mark == Some(WITHOUT_ID) {
            // The brokers have learnt to give topics ids since.
            held.at = door.position(&stream(partition, None, 0)).await?;
        }
        Ok(held)
    }
}

/// The stream of one incarnation of a partition.
pub(super) fn stream(partition: &str, id: Option<&str>, losses: u32) -> String {
    let id = id.unwrap_or("-");
    if losses == 0 { format!("{partition}/{id}") } else { format!("{partition}/{id}~{losses}") }
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// At this offset.
    Offset(i64),
    /// At the first record that is there.
    First,
    /// After the last record that is there.
    End,
    /// Where the sensor file says.
    Start(Start),
}

/// The decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) from: From,
    /// Which incarnation.
    pub(super) losses: u32,
}

/// What is known when a partition is handed over.
pub(super) struct Question<'a> {
    /// `topic/partition`, for people.
    pub(super) name: &'a str,
    pub(super) held: &'a Held,
    pub(super) has_id: bool,
    /// The first offset that is there.
    pub(super) low: i64,
    /// The offset that the next record will have.
    pub(super) high: i64,
    pub(super) start: Start,
    pub(super) on_reset: OnReset,
}

impl Question<'_> {
    /// Where to read from.
    ///
    /// # Errors
    /// `Stop`, where the place is gone and the operator has not said what to do then; `Source`, where
    /// the topic's id is needed and was not told.
    pub(super) fn answer(&self) -> Result<Choice, Error> {
        let losses = self.held.losses;
        let next = match (self.held.at, self.held.mark) {
            (Some(at), _) => at + 1,
            (None, None) => return Ok(Choice { from: From::Start(self.start), losses }),
            (None, Some(WITH_ID)) if !self.has_id => {
                let what = format!("the topic of `{}` did not tell its id", self.name);
                return Err(Error::Source { what });
            }
            (None, Some(_)) => {
                let why = "its topic was deleted and made anew since it was last read";
                return Ok(Choice { from: self.reset(why, From::First)?, losses });
            }
        };
        let (low, high) = (self.low, self.high);
        if next < low {
            let why = format!("records {next} to {} were removed before they were read", low - 1);
            return Ok(Choice { from: self.reset(&why, From::First)?, losses });
        }
        if next > high {
            let why = format!(
                "the next record would be {next}, but the broker ends at {high}: it lost records, \
                 or the topic was made anew"
            );
            // A topic with the same id lost its end: what is left was read already.
            let first = if self.has_id { From::End } else { From::First };
            return Ok(Choice { from: self.reset(&why, first)?, losses: losses + 1 });
        }
        Ok(Choice { from: From::Offset(next), losses })
    }

    fn reset(&self, why: &str, earliest: From) -> Result<From, Error> {
        match self.on_reset {
            OnReset::Earliest => Ok(earliest),
            OnReset::Latest => Ok(From::End),
            OnReset::Stop => Err(Error::Stop {
                what: format!(
                    "`{}`: {why}; choose `on_reset: earliest` to read what is there, or \
                     `on_reset: latest` to go on with what comes",
                    self.name
                ),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Held position, mark, id known → from where, in which incarnation; the broker has 100 to 199.
    fn answer(at: Option<i64>, mark: Option<i64>, has_id: bool, on_reset: OnReset) -> String {
        let held = Held { mark, losses: 0, at };
        let (start, name) = (Start::Latest, "t/0");
        let question = Question { name, held: &held, has_id, low: 100, high: 200, start, on_reset };
        match question.answer() {
            Ok(choice) => format!("{:?} ~{}", choice.from, choice.losses),
            Err(error) => error.to_string().chars().take(40).collect(),
        }
    }

    #[test]
    fn a_partition_goes_on_where_the_store_is() {
        use OnReset::Stop;
        for (at, from) in [(99, "Offset(100) ~0"), (150, "Offset(151) ~0"), (199, "Offset(200) ~0")]
        {
            assert_eq!(answer(Some(at), Some(WITH_ID), true, Stop), from);
        }
        assert_eq!(answer(None, None, true, Stop), "Start(Latest) ~0");
    }

    #[test]
    fn a_place_that_is_gone_stops_unless_told_otherwise() {
        use OnReset::{Earliest, Latest, Stop};
        let (some, with) = (Some(50), Some(WITH_ID));
        assert_eq!(answer(some, with, true, Stop), "`t/0`: records 51 to 99 were removed bef");
        assert_eq!(answer(some, with, true, Earliest), "First ~0");
        assert_eq!(answer(some, with, true, Latest), "End ~0");
        let some = Some(200);
        assert_eq!(answer(some, with, true, Stop), "`t/0`: the next record would be 201, but");
        assert_eq!(answer(some, with, true, Earliest), "End ~1");
        assert_eq!(answer(some, Some(WITHOUT_ID), false, Earliest), "First ~1");
        assert_eq!(answer(some, with, true, Latest), "End ~1");
        assert_eq!(answer(None, with, true, Stop), "`t/0`: its topic was deleted and made an");
        assert_eq!(answer(None, with, true, Earliest), "First ~0");
    }

    #[test]
    fn an_id_that_was_not_told_is_no_reset() {
        let said = answer(None, Some(WITH_ID), false, OnReset::Earliest);
        assert_eq!(said, "the topic of `t/0` did not tell its id");
    }
}
