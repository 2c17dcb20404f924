//! What the measurement programs share. A program says what it measures and what the
//! figures should be; how they are taken, judged, printed and kept is here.
//!
//! | module | what it has |
//! |---|---|
//! | [`options`] | the words after a program's name |
//! | [`stats`] | samples: median, quantiles, range |
//! | [`row`] | a figure with what it should be, and the columns to print it in |
//! | [`table`] | lines of Markdown whose bars are below each other |
//! | [`report`] | what a run leaves behind: JSON and a page |
//! | [`plot`] | lines and bars, as SVG |
//! | [`os`] | the machine, this process and its threads, as the kernel counts them |
//! | [`process`] | another process: its CPU time, memory and system calls |
//! | [`workload`] | a pattern of requests, by fio |
//! | [`arm`] | one of those compared: a process that serves an NBD URI |
//! | [`bed`] | VCPs in this process; an initiator on a TAP that ends beside `tgtd` |
//! | [`object`] | the iSCSI VCP as native code |

pub mod arm;
pub mod bed;
pub mod object;
pub mod options;
pub mod os;
pub mod plot;
pub mod process;
pub mod report;
pub mod row;
pub mod stats;
pub mod table;
pub mod workload;
