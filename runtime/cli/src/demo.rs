//! x
pub(crate) fn run(_: &crate::args::DemoArguments) -> anyhow::Result<std::process::ExitCode> { anyhow::bail!("x") }
