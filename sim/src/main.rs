//! `tiercast-sim`: see the library.

fn main() -> std::process::ExitCode {
    tiercast_sim::cli::main()
}
