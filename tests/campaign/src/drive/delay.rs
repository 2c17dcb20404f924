//! A wire with a delay in it: two wires, and a thread between that passes frames
//! on when their time has come.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vcp_link::PipeEnd;
use vcp_queue::{Link, LinkProperties, Offload, link::MAX_FRAME};

use crate::random::Random;

/// How often the thread looks.
const TICK: Duration = Duration::from_micros(200);
/// Frames under way in one direction; what comes then is lost.
const MOST: usize = 512;

/// The thread between. Ends when it is dropped.
pub(super) struct Relay {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A wire whose frames take up to `delay`, each its own time but in order.
pub(super) fn delayed(
    properties: LinkProperties,
    other: [u8; 6],
    delay: Duration,
    seed: u64,
) -> io::Result<(PipeEnd, PipeEnd, Relay)> {
    let (near, mut left) = vcp_link::pipe(properties.clone(), other)?;
    let (mut right, far) = vcp_link::pipe(properties, other)?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::Builder::new()
        .name("relay".into())
        .spawn(move || {
            let mut random = Random::of(seed, 6);
            let (mut there, mut back) = (VecDeque::new(), VecDeque::new());
            let mut buffer = vec![0; MAX_FRAME];
            // An end that is gone is one that nothing has to be brought to.
            while !stopped.load(Ordering::Relaxed) {
                let both = pass(
                    &mut left,
                    &mut right,
                    &mut there,
                    delay,
                    &mut random,
                    &mut buffer,
                )
                .and_then(|()| {
                    pass(
                        &mut right,
                        &mut left,
                        &mut back,
                        delay,
                        &mut random,
                        &mut buffer,
                    )
                });
                if both.is_err() {
                    return;
                }
                std::thread::sleep(TICK);
            }
        })?;
    let relay = Relay {
        stop,
        thread: Some(thread),
    };
    Ok((near, far, relay))
}

type UnderWay = VecDeque<(Instant, Vec<u8>)>;

fn pass(
    from: &mut PipeEnd,
    to: &mut PipeEnd,
    under_way: &mut UnderWay,
    delay: Duration,
    random: &mut Random,
    buffer: &mut [u8],
) -> io::Result<()> {
    while let Some(received) = from.receive(buffer)? {
        if under_way.len() < MOST {
            let micros = random.below(delay.as_micros() as u64 + 1);
            let due = Instant::now() + Duration::from_micros(micros);
            under_way.push_back((due, buffer[..received.length].to_vec()));
        }
    }
    while under_way
        .front()
        .is_some_and(|(due, _)| *due <= Instant::now())
    {
        if let Some((_, frame)) = under_way.pop_front() {
            // A full wire loses it, as wires do.
            to.send(&frame, Offload::default())?;
        }
    }
    Ok(())
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A panic in there has been counted.
            let _ = thread.join();
        }
    }
}
