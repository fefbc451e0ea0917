//! A place in memory: for tests and backtests. Clones are the same place, so that a store can be
//! dropped and opened again.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use ::redb::StorageBackend;
use ::redb::backends::InMemoryBackend;

use crate::store::redb::place::Place;

/// A place that lives as long as one of its clones.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    store: Arc<Mutex<Option<Pages>>>,
    aside: Arc<Mutex<Option<Pages>>>,
}

impl Place for Memory {
    type Backend = Pages;

    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn find(&self) -> io::Result<Option<Pages>> {
        Ok(self.store.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn aside(&self) -> io::Result<Pages> {
        let pages = Pages::default();
        *self.aside.lock().unwrap_or_else(PoisonError::into_inner) = Some(pages.clone());
        Ok(pages)
    }

    fn settle(&self) -> io::Result<()> {
        let made = self.aside.lock().unwrap_or_else(PoisonError::into_inner).take();
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = made;
        Ok(())
    }
}

/// The bytes of a place in memory.
#[derive(Debug, Clone)]
pub struct Pages(Arc<InMemoryBackend>);

impl Default for Pages {
    fn default() -> Self {
        Self(Arc::new(InMemoryBackend::new()))
    }
}

impl StorageBackend for Pages {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}
