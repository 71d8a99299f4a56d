//! `tiercast-sim`: see the library.

fn main() -> anyhow::Result<std::process::ExitCode> {
    tiercast_sim::cli::main()
}
