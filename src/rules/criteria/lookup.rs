//! What of criteria the index knows: the texts that fields have to equal. Only criteria that nothing
//! before them can fail count, so that the index hides no error.

use rhai::Position;

use crate::rules::analyse::Analysis;
use crate::rules::condition::{self, Condition, Kind, Literal};
use crate::rules::cover::truth;
use crate::rules::criteria::operator::Operator;
use crate::rules::criteria::{Criteria, Criterion, Pattern};
use crate::rules::field::{Field, Root};
use serde_json::Value;

/// What an event must have for these criteria to hold or to fail.
pub(super) fn analysis(criteria: &Criteria) -> Analysis {
    let mut fields = Vec::new();
    let mut parts = Vec::new();
    let mut equal = |root, steps: Vec<&str>, text: &str| {
        let steps = steps.into_iter().map(Into::into).collect();
        let Ok(field) = u16::try_from(fields.len()) else { return };
        fields.push(Field { root, steps });
        let literal = Literal::Text(text.into());
        let kind = Kind::Compare { field, operator: condition::Operator::Equal, literal };
        parts.push(Condition { kind, place: Position::NONE });
    };
    if let Some(source) = &criteria.only {
        equal(Root::Envelope, vec!["source"], source);
    }
    for criterion in criteria.all.iter().take_while(|criterion| is_sure(criterion)) {
        if let (Some(steps), Some(text)) = (criterion.path.names(), looked_up(criterion)) {
            equal(Root::Data, steps, text);
        }
    }
    let all = Condition { kind: Kind::All(parts), place: Position::NONE };
    Analysis { fields: fields.into(), cover: truth(&all, true), ..Analysis::default() }
}

/// The text that a criterion's field has to equal, where it is looked up.
pub(super) fn looked_up(criterion: &Criterion) -> Option<&str> {
    match (&criterion.pattern, criterion.operator) {
        (Pattern::Constant(Value::String(text)), Operator::Equals) => Some(text),
        _ => None,
    }
}

/// Whether it says yes or no of every event.
pub(super) fn is_sure(criterion: &Criterion) -> bool {
    use Operator as O;
    let sure = matches!(criterion.operator, O::Equals | O::NotEquals | O::Exists | O::Missing);
    let constant = matches!(criterion.pattern, Pattern::Constant(_));
    sure && constant && criterion.path.root == super::TRIGGER && criterion.path.names().is_some()
}
