//! `vcp run`: starts a configuration and serves it until told to stop.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use vcp_config::HostConfig;

use crate::args::{RunArguments, Usage};
use crate::attach::{self, Kept};
use crate::control;
use crate::host::Host;
use crate::link::Pipes;
use crate::logging;
use crate::service::Ending;
use crate::watch::{self, Watched};

/// How long answers may take to requests that were made before the end.
pub(crate) const LAST_ANSWERS: Duration = Duration::from_secs(1);

pub(crate) fn run(arguments: RunArguments) -> Result<ExitCode> {
    let config = configuration(&arguments)?;
    if arguments.dump_config {
        crate::ask::print(&config.to_toml())?;
        return Ok(ExitCode::SUCCESS);
    }
    let watched = match arguments.watch {
        true => watch::files(&config),
        false => Vec::new(),
    };
    if arguments.watch && watched.iter().all(|(_, file)| file.is_none()) {
        let why = "--watch: no VCP here runs a module from a file";
        return Err(Usage(why.to_owned()).into());
    }
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(&config, &arguments, watched));
    // A module that is just being compiled is no longer needed.
    runtime.shutdown_background();
    outcome
}

/// The control plane's runtime: one thread, this one. The data plane has its own.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the control plane")
}

fn configuration(arguments: &RunArguments) -> Result<HostConfig> {
    let Some(file) = arguments.file() else {
        let usage = |error: vcp_config::ConfigError| Usage(error.to_string());
        return Ok(HostConfig::shorthand(&arguments.shorthand()).map_err(usage)?);
    };
    if let Some(option) = arguments.shorthand_option() {
        let why = format!(
            "{option} goes with a module; {} says it all itself",
            file.display()
        );
        return Err(Usage(why).into());
    }
    Ok(HostConfig::read(&file)?)
}

async fn serve(
    config: &HostConfig,
    arguments: &RunArguments,
    watched: Vec<(String, Option<Watched>)>,
) -> Result<ExitCode> {
    // From here on a signal is a request to stop, whatever is under way. A write beyond
    // the file size limit of this process is to fail, and not to end the process: the
    // signal's handler stays for good.
    let longest = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    drop(signal(longest).context("taking SIGXFSZ")?);
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut hangup = Hangup::new()?;
    let name = attach::host_name(arguments.file().as_deref(), config);
    let host = Host::start(config, &mut Pipes::default(), &name).await?;
    let socket = control::open(arguments.control.as_deref(), host.control())?;
    if let Some(address) = &arguments.metrics {
        metrics(address, host.control()).await?;
    }
    let serving = async {
        // Devices with requests held by the kernel do not wait for the slowest VCP.
        let restored = async {
            host.restore(Kept::new()).await;
            Ok(())
        };
        tokio::try_join!(host.ready(), restored)?;
        host.attach().await?;
        for (name, file) in watched {
            tokio::spawn(watch::watch(Arc::clone(host.control()), name, file));
        }
        let uris: Vec<_> = host.uris().collect();
        match &arguments.run {
            None => {
                let lines: String = uris.iter().map(|uri| format!("{uri}\n")).collect();
                logging::announce(&lines);
                host.all_stopped().await;
                Ok(ExitCode::SUCCESS)
            }
            Some(command) => captive(command, &uris).await,
        }
    };
    let outcome = tokio::select! {
        outcome = serving => outcome,
        _ = terminate.recv() => Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => Ok(ExitCode::SUCCESS),
        () = hangup.comes() => Ok(ExitCode::SUCCESS),
    };
    let stopped = host.stop(Ending::Unknown).await;
    if let Some(socket) = socket {
        // The client that asked for the end gets its answer.
        socket.finish(LAST_ANSWERS).await;
    }
    match (outcome, stopped) {
        (Ok(code), stopped) => stopped.map(|()| code),
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(also)) => {
            tracing::error!("{also:#}");
            Err(error)
        }
    }
}

/// The signal of a closed terminal, unless this process was told to ignore it (nohup(1)).
struct Hangup(Option<Signal>);

impl Hangup {
    fn new() -> Result<Self> {
        if hangups_are_ignored() {
            return Ok(Self(None));
        }
        let hangup = signal(SignalKind::hangup()).context("listening for SIGHUP")?;
        Ok(Self(Some(hangup)))
    }

    async fn comes(&mut self) {
        match &mut self.0 {
            Some(hangup) => _ = hangup.recv().await,
            None => std::future::pending().await,
        }
    }
}

/// Whether SIGHUP is ignored, by proc(5): the first bit of a mask in hexadecimal digits.
fn hangups_are_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 != 0)
}

/// Serves metrics until the host ends.
pub(crate) async fn metrics(address: &str, control: &Arc<control::Control>) -> Result<()> {
    let parsed = vcp_meter::http::address(address);
    let parsed = parsed.map_err(|error| Usage(format!("--metrics: {error}")))?;
    let listener = tokio::net::TcpListener::bind(parsed).await;
    let listener = listener.with_context(|| format!("--metrics: {address}"))?;
    let control = Arc::clone(control);
    tokio::spawn(async move {
        let serving = vcp_meter::http::serve(listener, move || control.snapshot());
        let Err(error) = serving.await;
        tracing::error!("metrics: {error}");
    });
    Ok(())
}

/// Runs a shell command with `$uri` set to the first export, and `$uris` to all.
async fn captive(command: &str, uris: &[String]) -> Result<ExitCode> {
    let mut shell = tokio::process::Command::new("/bin/sh");
    shell
        .args(["-c", command])
        .env("uri", uris.first().map_or("", String::as_str))
        .env("uris", uris.join(" "))
        .kill_on_drop(true);
    let status = crate::reclaim::aside(|| shell.status())
        .await
        .context("running the shell for --run")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(1)))
}
