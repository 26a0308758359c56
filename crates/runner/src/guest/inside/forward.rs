//! `guest forward`: ports of one network interface that are ports of other containers.

use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::process::ExitCode;

use tasuki_rt::Tasks;
use tokio::net::{TcpListener, TcpStream};

use super::hold;

/// A port here, and where it leads.
type Way = (u16, String, u16);

/// Listens at `127.0.0.1` until it is killed. Each argument is `PORT=HOST:PORT`.
pub(crate) fn forward(arguments: impl Iterator<Item = String>) -> ExitCode {
    let ways: Option<Vec<Way>> = arguments.map(|text| way(&text)).collect();
    let Some(ways) = ways else {
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(serve(ways))) {
        Ok(never) => match never {},
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(3)
        }
    }
}

fn way(text: &str) -> Option<Way> {
    let (port, target) = text.split_once('=')?;
    let (host, target) = target.rsplit_once(':')?;
    Some((port.parse().ok()?, host.to_owned(), target.parse().ok()?))
}

async fn serve(ways: Vec<Way>) -> io::Result<std::convert::Infallible> {
    let tasks = Tasks::new();
    for (port, host, target) in ways {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.map_err(|error| io::Error::other(format!("port {port}: {error}")))?;
        tasks.spawn("port", accept(listener, host, target, tasks.clone()));
    }
    hold::say_ready()?;
    std::future::pending().await
}

async fn accept(listener: TcpListener, host: String, port: u16, tasks: Tasks) {
    loop {
        // Too many open files: those that are there end.
        let Ok((mut near, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let host = host.clone();
        tasks.spawn("connection", async move {
            // Who is not there is seen by the end of the connection.
            if let Ok(mut far) = TcpStream::connect((host.as_str(), port)).await {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_are_read() {
        assert_eq!(way("80=web:8080"), Some((80, "web".to_owned(), 8080)));
        assert_eq!(way("80=fe80::1:8080"), Some((80, "fe80::1".to_owned(), 8080)));
        for text in ["", "80", "80=web", "x=web:1", "80=web:70000"] {
            assert_eq!(way(text), None, "{text}");
        }
    }
}
