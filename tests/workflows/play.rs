//! A stage for whole workflows: children run in any order, time is moved by hand, and after every step
//! the flow is written to rows and read back.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use ifso::model::execution::Status;
use ifso::model::time::Time;
use ifso::workflows::conduct::{self, Command, Flow, Happening, Place, Refused, Start, World};
use ifso::workflows::definition::Definition;
use serde_json::{Map, Value, json};

/// What a child was asked to run.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Child {
    pub(super) task: String,
    pub(super) action: String,
    pub(super) parameters: Map<String, Value>,
    pub(super) timeout: Option<Duration>,
    pub(super) priority: Option<i64>,
}

pub(super) struct Clock {
    now: Cell<Time>,
    pub(super) keys: HashMap<String, Value>,
}

impl World for Clock {
    fn key(&self, name: &str, _: bool) -> Result<Option<Value>, String> {
        Ok(self.keys.get(name).cloned())
    }

    fn now(&self) -> Time {
        self.now.get()
    }
}

/// A workflow on stage.
pub(super) struct Play {
    pub(super) definition: Definition,
    pub(super) flow: Flow,
    pub(super) clock: Clock,
    /// Children that were started and have not ended.
    pub(super) children: BTreeMap<Place, Child>,
    /// Children that were asked to stop.
    pub(super) stopped: Vec<Place>,
    disk: BTreeMap<Vec<u8>, Vec<u8>>,
    steps: usize,
    /// The flow is read back after every so many steps.
    pub(super) restart_every: usize,
    /// Rows and bytes that the last step wrote.
    pub(super) written: (usize, usize),
}

impl Play {
    pub(super) fn new(definition: &Value) -> Self {
        Self::with(definition, &json!({}))
    }

    pub(super) fn with(definition: &Value, inputs: &Value) -> Self {
        let definition = Definition::new(definition).unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let clock =
            Clock { now: Cell::new(Time::from_millis(1_700_000_000_000)), keys: HashMap::new() };
        let inputs = inputs.as_object().cloned().unwrap();
        let start = Start { inputs, ..Start::default() };
        let (flow, commands) = conduct::begin(&definition, start, &clock);
        let mut play = Self {
            definition,
            flow,
            clock,
            children: BTreeMap::new(),
            stopped: Vec::new(),
            disk: BTreeMap::new(),
            steps: 0,
            restart_every: 1,
            written: (0, 0),
        };
        play.obey(commands);
        play
    }

    fn obey(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Run { place, task, action, parameters, timeout, priority, .. } => {
                    let child = Child { task, action, parameters, timeout, priority };
                    let before = self.children.insert(place, child);
                    assert!(before.is_none(), "{place:?} was started twice: {before:?}");
                }
                Command::Stop { place } => self.stopped.push(place),
            }
        }
        self.restart();
    }

    /// Writes the flow to rows and goes on with what is read from them.
    fn restart(&mut self) {
        let changes = self.flow.take_changes();
        let bytes = changes.iter().map(|(key, row)| key.len() + row.as_ref().map_or(0, Vec::len));
        self.written = (changes.len(), bytes.sum());
        for (key, row) in changes {
            match row {
                Some(row) => drop(self.disk.insert(key, row)),
                None => drop(self.disk.remove(&key)),
            }
        }
        self.steps += 1;
        if !self.steps.is_multiple_of(self.restart_every) {
            return;
        }
        let rows = self.disk.iter().map(|(key, row)| (key.clone(), row.clone()));
        let read = Flow::restore(rows).unwrap();
        assert_eq!(read.orquesta(&self.definition), self.flow.orquesta(&self.definition));
        assert_eq!(read.wake(), self.flow.wake());
        assert_eq!(read.reason(), self.flow.reason());
        assert!(read.tasks().eq(self.flow.tasks()), "tasks are read back as they were");
        self.flow = read;
    }

    /// The rows that the flow lies in.
    pub(super) const fn rows(&self) -> &BTreeMap<Vec<u8>, Vec<u8>> {
        &self.disk
    }

    /// Bytes that the whole flow takes on disk, keys included.
    pub(super) fn size(&self) -> usize {
        self.disk.iter().map(|(key, row)| key.len() + row.len()).sum()
    }

    pub(super) fn tell(&mut self, happening: Happening) -> Result<(), Refused> {
        let told = conduct::conduct(&self.definition, &mut self.flow, happening, &self.clock);
        told.map(|commands| self.obey(commands))
    }

    /// A child moved.
    pub(super) fn child(&mut self, place: Place, status: Status, result: Value) {
        if status.is_done() {
            self.children.remove(&place).unwrap_or_else(|| panic!("no child at {place:?}"));
        }
        self.tell(Happening::Task { place, status, result }).unwrap();
    }

    /// Where the only child of `task` is.
    pub(super) fn place(&self, task: &str) -> Place {
        let mut found = self.children.iter().filter(|(_, child)| child.task == task);
        let (place, _) =
            found.next().unwrap_or_else(|| panic!("{task} is not in {:?}", self.children));
        assert!(found.next().is_none(), "{task} has several children");
        *place
    }

    /// Where the item `item` of `task` is.
    pub(super) fn place_of(&self, task: &str, item: u32) -> Place {
        let mut found = self.children.iter().filter(|(_, child)| child.task == task);
        *found.find(|(place, _)| place.item == Some(item)).unwrap().0
    }

    pub(super) fn succeed(&mut self, task: &str, result: Value) {
        self.child(self.place(task), Status::Succeeded, result);
    }

    pub(super) fn fail(&mut self, task: &str) {
        self.child(self.place(task), Status::Failed, json!({ "stderr": "no" }));
    }

    /// Moves time to the moment at which the flow wants to be woken, and wakes it.
    pub(super) fn wake(&mut self) -> Duration {
        let before = self.clock.now();
        let then = self.flow.wake().expect("it wants to be woken");
        self.clock.now.set(then);
        self.tell(Happening::Due).unwrap();
        Duration::from_millis((then.millis() - before.millis()).try_into().unwrap_or(0))
    }

    pub(super) fn wait(&mut self, span: Duration) {
        self.clock.now.set(self.clock.now().plus(span));
        if self.flow.wake().is_some_and(|wake| wake <= self.clock.now()) {
            self.tell(Happening::Due).unwrap();
        }
    }

    /// The tasks whose children are under way, sorted.
    pub(super) fn running(&self) -> Vec<&str> {
        let mut tasks: Vec<_> = self.children.values().map(|child| child.task.as_str()).collect();
        tasks.sort_unstable();
        tasks
    }

    /// Every task that began, with its status, in that order.
    pub(super) fn tasks(&self) -> Vec<String> {
        self.flow.tasks().map(|task| format!("{} {}", task.name, task.status)).collect()
    }

    pub(super) fn status(&self) -> Status {
        self.flow.status()
    }

    pub(super) fn output(&self) -> Value {
        self.flow.output().map_or(Value::Null, |output| json!(output))
    }

    pub(super) fn errors(&self) -> Vec<String> {
        self.flow.errors().iter().map(|fault| fault.message.clone()).collect()
    }
}

/// A task that leads to `next` in any case.
pub(super) fn then(next: &str) -> Value {
    json!({ "action": "core.noop", "next": [{ "do": next }] })
}
