//! How big and how long: quick for every change, full for a figure.

use std::time::Duration;

/// Sizes and times of one run of the tests.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Bytes of the images copied in and out.
    pub image: u64,
    /// How long a load runs.
    pub load: Duration,
}

impl Scale {
    /// `VCP_E2E_FULL=1`, `VCP_E2E_QUICK=1`, or in between.
    #[must_use]
    pub fn from_env() -> Self {
        let (mebibytes, seconds) = if is_set("VCP_E2E_FULL") {
            (1024, 60)
        } else if is_quick() {
            (32, 2)
        } else {
            (128, 5)
        };
        Self {
            image: mebibytes << 20,
            load: Duration::from_secs(seconds),
        }
    }

    /// A limit for something that moves the image a few times, far above what
    /// it takes on a slow and busy machine: it is there to end a hang.
    #[must_use]
    pub fn limit(self) -> Duration {
        Duration::from_secs(60) + Duration::from_secs(self.image >> 21)
    }
}

/// Whether a figure is wanted rather than a quick answer.
#[must_use]
pub fn is_full() -> bool {
    is_set("VCP_E2E_FULL")
}

/// Whether a quick answer is wanted.
#[must_use]
pub fn is_quick() -> bool {
    is_set("VCP_E2E_QUICK")
}

fn is_set(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !value.is_empty() && value != "0")
}
