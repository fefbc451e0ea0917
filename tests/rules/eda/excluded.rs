//! Cases that go another way here, and why; `rules/README.md` tells users.

pub(super) const EXCLUDED: &[(&str, &[&str])] = &[
    (
        "a fact is kept and taken back; here events pass, and what is kept is a key of the store",
        &[
            "ex-06-retract-fact",
            "ex-20-is-not-defined",
            "ex-78-complete-retract-fact",
            "jt-ProcessEventTest-isNotDefinedExpression",
            "jt-RetractTest-testExecuteRules",
            "jt-RetractTest-testRetract",
            "jt-RetractTest-testRetractMatchingFacts",
            "au-fact-retract",
            "au-retract-partial",
            "au-retract-full-mismatch",
        ],
    ),
    (
        "a condition asks about another event of its rule; here `per` joins by equal values, and \
         `then` sees the others",
        &[
            "ex-75-all-conditions",
            "ex-76-all-conditions",
            "jt-AdditionTest-testAdditionOnDifferentEvents",
            "jt-AssignmentTest-testAssignmentReferenceItemInListExpressionLHS",
            "jt-AssignmentTest-testAssignmentReferenceListContainsItemExpressionRHS",
            "jt-AssignmentTest-testAssignmentReferenceListContainsItemExpressionLHS",
            "jt-AssignmentTest-testAssignmentReferenceListNotContainsItemExpressionLHS",
            "jt-ListContainsTest-testListContainsWithJoinCondition",
            "jt-MultipleConditionTest-testReadJson",
            "jt-SelectTest-testSelectWithJoinCondition",
            "au-all-join-arith",
        ],
    ),
    (
        "one event fires once with each that waits for it; here once, with the latest of each",
        &[
            "jt-ProcessEventTest-testEventShouldProduceMultipleMatchesForSameRule",
            "au-all-three",
            "au-fact-duplicate",
        ],
    ),
    (
        "what is left over when `not_all` fires opens the next window; here it belonged to the first",
        &["jt-TimedOutTest-timedOutTest", "au-not-all-repeat-first", "au-not-all-residual"],
    ),
    (
        "`!=` of a map and a text is false; here they are not equal",
        &["jt-TypeMismatchTest-mapAndString", "jt-TypeMismatchTest-negation"],
    ),
    (
        "an event without the attribute of its group is never held back; here those are one group",
        &["au-once-within-missing-key"],
    ),
    (
        "an event that a throttle holds back is gone for later rules; here for none",
        &["au-once-within-throttled-and-plain"],
    ),
    (
        "a window begins with its first event and overlooks three close ones; here it slides",
        &["au-accumulate-window-fixed-from-first"],
    ),
    (
        "an action renders a Jinja filter; `then` is Rhai and nothing is rendered",
        &["ex-97-jinja-filters"],
    ),
];
