//! What is in the store now, and the room that it has: gauges that are set when somebody looks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{IntGauge, IntGaugeVec, Registry};

use crate::telemetry::disk::Disk;
use crate::telemetry::metrics::{gauge, gauged, gauges, sized};

/// Between two looks at what has to be counted in the store: whoever asks more often sees the last one.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What waits in one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// Tickets that could be taken now.
    pub due: usize,
    /// Tickets that wait for their time, or that somebody has.
    pub later: usize,
    /// How long the first of those that are due has been so, in seconds.
    pub oldest_seconds: u64,
}

/// The gauges. Cheap to clone; clones are one.
#[derive(Clone)]
pub struct Kept {
    open: IntGaugeVec,
    incidents: IntGaugeVec,
    tickets: IntGaugeVec,
    oldest_seconds: IntGaugeVec,
    store_bytes: IntGauge,
    disk_free_bytes: IntGauge,
    disk_size_bytes: IntGauge,
    /// The store's file.
    stands: Arc<OnceLock<PathBuf>>,
    /// When the store was counted last.
    looked: Arc<Mutex<Option<Instant>>>,
}

impl Kept {
    pub(super) fn new(r: &Registry) -> Self {
        Self {
            open: gauges(
                r,
                "executions_open",
                "Executions that are not over, by status; counted up to 10000.",
                &["status"],
            ),
            incidents: gauges(
                r,
                "incidents_open",
                "Incidents that are not over, by state; counted up to 10000.",
                &["state"],
            ),
            tickets: gauges(
                r,
                "queue_tickets",
                "Work in a queue: due now, or later; counted up to 10000.",
                &["queue", "state"],
            ),
            oldest_seconds: gauges(
                r,
                "queue_oldest_seconds",
                "How long the oldest work of a queue that is due has waited.",
                &["queue"],
            ),
            store_bytes: gauge(r, "store_bytes", "Size of the store's file."),
            disk_free_bytes: gauge(r, "disk_free_bytes", "Room left on the store's disk."),
            disk_size_bytes: gauge(r, "disk_size_bytes", "Size of the store's disk."),
            stands: Arc::default(),
            looked: Arc::default(),
        }
    }

    /// Where the store stands: its size and the room on its disk are shown from now on.
    pub fn stands(&self, store: PathBuf) {
        if self.stands.set(store).is_err() {
            tracing::debug!("the store stands where it stood");
        }
    }

    /// The disk of the store, where it stands on one.
    #[must_use]
    pub fn disk(&self) -> Option<Disk> {
        self.stands.get().and_then(|store| Disk::of(store.parent()?).ok())
    }

    /// Whether it is time to count what is in the store; whoever is told so does it.
    #[must_use]
    pub fn look(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        let due = looked.is_none_or(|last| last.elapsed() >= LOOK_EVERY);
        if due {
            *looked = Some(Instant::now());
        }
        due
    }

    /// So many executions stand at a status that is not the last.
    pub fn open(&self, status: &'static str, count: usize) {
        self.open.with_label_values(&[status]).set(gauged(count));
    }

    /// So many incidents are in a state that is not the last.
    pub fn incidents(&self, state: &'static str, count: usize) {
        self.incidents.with_label_values(&[state]).set(gauged(count));
    }

    /// So much waits in a queue.
    pub fn queue(&self, queue: &'static str, waiting: Waiting) {
        self.tickets.with_label_values(&[queue, "due"]).set(gauged(waiting.due));
        self.tickets.with_label_values(&[queue, "later"]).set(gauged(waiting.later));
        self.oldest_seconds.with_label_values(&[queue]).set(sized(waiting.oldest_seconds));
    }

    /// Looks at the store's file and its disk.
    pub(super) fn measure(&self) {
        if let Some(disk) = self.disk() {
            self.disk_free_bytes.set(sized(disk.free_bytes));
            self.disk_size_bytes.set(sized(disk.size_bytes));
        }
        if let Some(about) = self.stands.get().and_then(|store| store.metadata().ok()) {
            self.store_bytes.set(sized(about.len()));
        }
    }
}
