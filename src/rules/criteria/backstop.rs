//! Rules of `type: backstop` act on what no other rule matched.

use crate::rules::evaluate::{Answer, Said};
use crate::rules::set::Set;

/// Takes back what backstop rules said where another rule matched.
pub(crate) fn settle(set: &Set, answers: &mut Vec<Answer>) {
    let is_backstop =
        |answer: &Answer| set.rule(answer.index).written().is_some_and(|written| written.backstop);
    let matched = |answer: &Answer| matches!(answer.said, Said::Yes(_)) && !is_backstop(answer);
    if answers.iter().any(matched) {
        answers.retain(|answer| !is_backstop(answer));
    }
}
