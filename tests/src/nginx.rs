//! An nginx in front of a server, with the configuration that docs/operations.md gives.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// Around what the page shows: everything in one folder, and connections that end soon after a reload.
const AROUND: &str = "\
daemon off;
pid nginx.pid;
error_log stderr warn;
worker_shutdown_timeout 100ms;
events { worker_connections 1024; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    THE_PAGE
}
";

/// A running nginx; ends with this.
#[derive(Debug)]
pub struct Nginx {
    /// Where it listens.
    pub addr: SocketAddr,
    folder: TempDir,
    process: Child,
}

impl Nginx {
    /// One in front of `server`.
    pub fn before(server: SocketAddr) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        std::fs::write(folder.path().join("nginx.conf"), config(addr, server)?)?;
        let process = command(&folder).spawn().context("no nginx: scripts/install installs it")?;
        Ok(Self { addr, folder, process })
    }

    /// Where peers connect.
    pub fn url(&self) -> String {
        format!("ws://{}/v1/ws", self.addr)
    }

    /// Lets it read its configuration again: new processes serve, and the old ones end with all of their connections.
    pub fn reload(&self) -> Result<()> {
        self.signal("reload")
    }

    fn signal(&self, what: &str) -> Result<()> {
        let status = command(&self.folder).args(["-s", what]).status()?;
        ensure!(status.success(), "nginx -s {what}: {status}");
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Killed, it would leave its workers behind.
        if self.signal("stop").is_ok() {
            let _ = self.process.wait();
        }
    }
}

fn command(folder: &TempDir) -> Command {
    let mut command = Command::new("/usr/sbin/nginx");
    command.arg("-p").arg(folder.path()).args(["-c", "nginx.conf", "-e", "stderr"]);
    command
}

/// The page's, with these addresses.
fn config(addr: SocketAddr, server: SocketAddr) -> Result<String> {
    let page = include_str!("../../docs/operations.md");
    let shown = page.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next());
    let shown = shown.context("docs/operations.md shows no configuration of nginx")?;
    for words in ["listen 80;", "127.0.0.1:8780"] {
        ensure!(shown.matches(words).count() == 1, "{words} stands there once:\n{shown}");
    }
    let shown = shown.replace("listen 80;", &format!("listen {addr};"));
    Ok(AROUND.replace("THE_PAGE", &shown.replace("127.0.0.1:8780", &server.to_string())))
}
