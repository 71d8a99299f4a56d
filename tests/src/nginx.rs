//! An nginx in front of a server, with the configuration that docs/operations.md gives.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener},
    process::{Child, Command},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::listener::PATIENCE;

/// Time between two looks at something that has no event to wait for.
const LOOK_EVERY: Duration = Duration::from_millis(20);

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
    /// One in front of `server`, once it listens.
    pub async fn before(server: SocketAddr) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // It cannot be told to take any port. Where somebody takes this one first, it ends and says so.
        let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        fs::write(folder.path().join("nginx.conf"), config(addr, server)?)?;
        let log = File::create(folder.path().join("log"))?;
        let process =
            command(&folder).stderr(log).spawn().context("no nginx: scripts/install installs it")?;
        let mut nginx = Self { addr, folder, process };
        nginx.wait_until_it_listens().await?;
        Ok(nginx)
    }

    /// It writes its number down behind that.
    async fn wait_until_it_listens(&mut self) -> Result<()> {
        let (folder, deadline) = (self.folder.path(), Instant::now() + PATIENCE);
        while !folder.join("nginx.pid").exists() {
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            if let Some(status) = self.process.try_wait()? {
                bail!("nginx ended with {status}: {}", log());
            }
            ensure!(Instant::now() < deadline, "nginx does not start: {}", log());
            sleep(LOOK_EVERY).await;
        }
        Ok(())
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
