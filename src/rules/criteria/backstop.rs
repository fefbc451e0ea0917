//! Rules of `type: backstop` act on what no other rule matched.

use crate::rules::evaluate::{Answer, Said};
use crate::rules::set::Set;

/// Takes back what backstop rules said where another rule matched; gives the positions of those.
pub(crate) fn settle(set: &Set, answers: &mut Vec<Answer>) -> Vec<usize> {
    let is_backstop =
        |answer: &Answer| set.rule(answer.index).written().is_some_and(|w| w.backstop);
    let matched =
        answers.iter().any(|answer| matches!(answer.said, Said::Yes(_)) && !is_backstop(answer));
    if !matched {
        return Vec::new();
    }
    let (back, others): (Vec<_>, Vec<_>) =
        std::mem::take(answers).into_iter().partition(is_backstop);
    *answers = others;
    back.into_iter().map(|answer| answer.index).collect()
}
