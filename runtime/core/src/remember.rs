//! Compiled functions, kept in memory: a component that differs from one compiled
//! before by a function is compiled again by that function only.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use wasmtime::CacheStore;

/// Bytes that are kept; functions beyond them are compiled each time.
const MOST: usize = 64 << 20;

#[derive(Debug, Default)]
pub(crate) struct Remembered {
    functions: Mutex<Functions>,
}

#[derive(Debug, Default)]
struct Functions {
    compiled: HashMap<Vec<u8>, Vec<u8>>,
    bytes: usize,
}

impl Remembered {
    fn lock(&self) -> MutexGuard<'_, Functions> {
        self.functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl CacheStore for Remembered {
    fn get(&self, key: &[u8]) -> Option<Cow<'_, [u8]>> {
        let found = self.lock().compiled.get(key).cloned();
        found.map(Cow::Owned)
    }

    fn insert(&self, key: &[u8], value: Vec<u8>) -> bool {
        let mut functions = self.lock();
        let bytes = functions.bytes + key.len() + value.len();
        if bytes > MOST {
            return false;
        }
        functions.bytes = bytes;
        functions.compiled.insert(key.to_vec(), value);
        true
    }
}
