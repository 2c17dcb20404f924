//! Runs one input and shows what happens in it:
//! `cargo run --example replay TARGET FILE`.

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (Some(target), Some(file)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: replay TARGET FILE");
        std::process::exit(2);
    };
    let data = match std::fs::read(&file) {
        Ok(data) => data,
        Err(error) => {
            eprintln!("{file}: {error}");
            std::process::exit(1);
        }
    };
    vcp_fuzz::trace::enable();
    let Some(run) = vcp_fuzz::TARGETS.iter().find(|(name, _)| *name == target) else {
        eprintln!("{target}: no such target");
        std::process::exit(2);
    };
    run.1(&data);
}
