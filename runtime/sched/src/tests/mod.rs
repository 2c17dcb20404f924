//! The promises of the scheduler, shown on simulated processors.
//!
//! | file | subject |
//! |---|---|
//! | `sim` | a processor in virtual time, and what must hold on it at any time |
//! | `shares` | how much each VCP gets, of reserved time and of slack |
//! | `latency` | how soon requests are answered |
//! | `admission` | which budgets are refused, and how that is said |
//! | `rules` | single calls: debts, deadlines, turns, clocks that jump |
//! | `accounts` | where the time went |
//! | `properties` | random sets of tasks |
//! | `cost` | the cost of a decision |

mod accounts;
mod admission;
mod cost;
mod latency;
mod properties;
mod rules;
mod shares;
mod sim;

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;
