//! The options of a connection and of a server, and their defaults.

use std::{num::NonZero, path::PathBuf, time::Duration};

use crate::session::Times;
pub use crate::{
    admission::{HostPattern, OriginPattern, Origins},
    net::{ProxyChoice, tls::TlsOptions},
    protocol::deflate::Config as Compression,
    trace::Trace,
};

/// How a connection behaves once it exists, whichever side opened it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest message accepted, in bytes after inflation; a longer one is closed with 1009.
    pub max_message_size: usize,
    /// Bytes received and not yet delivered at which reading pauses.
    pub max_receive_queue: usize,
    /// Bytes accepted by `send` and not yet written beyond which `send` fails.
    pub max_send_queue: usize,
    /// How long to wait for the peer's Close.
    pub close_timeout: Duration,
    /// How often to ping, if at all.
    pub ping_interval: Option<Duration>,
    /// How long the answer to a ping may take.
    pub ping_timeout: Duration,
    /// Options of permessage-deflate, or `None` to do without.
    pub compression: Option<Compression>,
}

impl Limits {
    /// Those that a session keeps.
    pub fn times(&self) -> Times {
        Times {
            close_timeout: self.close_timeout,
            ping_interval: self.ping_interval,
            ping_timeout: self.ping_timeout,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message_size: 64 << 20,
            max_receive_queue: 16 << 20,
            max_send_queue: 64 << 20,
            close_timeout: Duration::from_millis(3000),
            ping_interval: None,
            ping_timeout: Duration::from_millis(20_000),
            compression: Some(Compression::default()),
        }
    }
}

/// How to connect.
#[derive(Clone, Debug)]
pub struct ConnectConfig {
    /// For the whole sequence: DNS, TCP, proxy, TLS, HTTP upgrade.
    pub timeout: Duration,
    /// How long to wait before the sequence begins.
    pub delay: Duration,
    /// The subprotocols to offer, most wanted first.
    pub protocols: Vec<String>,
    /// Header fields to add to the request, or to send in place of the default ones.
    pub headers: Vec<(String, String)>,
    /// What is trusted, and what we show of ourselves.
    pub tls: TlsOptions,
    /// Through which proxy.
    pub proxy: ProxyChoice,
    /// The connection's own limits.
    pub limits: Limits,
    /// Where it is told what the connection does, step by step, if anywhere.
    pub trace: Option<Trace>,
}

impl Default for ConnectConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_millis(3000),
            delay: Duration::ZERO,
            protocols: Vec::new(),
            headers: Vec::new(),
            tls: TlsOptions::default(),
            proxy: ProxyChoice::default(),
            limits: Limits::default(),
            trace: None,
        }
    }
}

/// How to listen.
#[derive(Clone, Debug)]
pub struct ListenConfig {
    /// The address or name to bind.
    pub host: String,
    /// The port to bind; 0 lets the system choose.
    pub port: u16,
    /// The file of a Unix socket, instead of host and port. One that nobody listens on is replaced;
    /// it is gone when the server is closed.
    pub unix: Option<PathBuf>,
    /// Who may connect to that, as `chmod` says it; by default its owner.
    pub unix_mode: u32,
    /// The subprotocols that the server speaks.
    pub protocols: Vec<String>,
    /// Header fields to add to the answer of every upgrade.
    pub headers: Vec<(String, String)>,
    /// How long a client may take for TLS and the HTTP upgrade, and how long `listen` may block
    /// to read the certificate and the key and to resolve the host.
    pub timeout: Duration,
    /// Clients beyond this many open connections are answered with 503.
    pub max_connections: usize,
    /// How many clients may be on their way through TLS and the HTTP upgrade. One more waits until
    /// one of these is through, or takes the place of the oldest when that has been on its way for
    /// half a second.
    pub max_handshakes: usize,
    /// The threads that share the connections; by default as many as the machine has cores, at
    /// most 4.
    pub workers: Option<NonZero<usize>>,
    /// How many clients the system keeps waiting to be accepted; by default as many as it can.
    pub backlog: Option<NonZero<u32>>,
    /// Certificate and key, each as PEM text or a file's path: the server speaks TLS.
    pub tls: Option<Identity>,
    /// Which web pages may connect; others get 403. By default those of this server itself.
    pub origins: Origins,
    /// The names by which clients may address the server; others get 403. Without any: on a
    /// loopback address the names and addresses of this machine itself (`localhost`,
    /// `*.localhost`, 127.0.0.0/8, `[::1]`), else all.
    pub hosts: Option<Vec<HostPattern>>,
    /// Clients wait for [`Engine::answer`](crate::engine::Engine::answer), by which the host lets
    /// them in or not.
    pub authorize: bool,
    /// GET and HEAD requests that ask for no WebSocket wait for
    /// [`Engine::answer`](crate::engine::Engine::answer), too. Otherwise they get 426.
    pub answers_requests: bool,
    /// The limits of each connection.
    pub limits: Limits,
}

/// A server's certificate and its private key, each as PEM text or a file's path.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, followed by the intermediate ones.
    pub certificate: String,
    /// The private key, PKCS#8.
    pub key: String,
    /// The issuers of the certificates that clients must show, if they must: PEM text or a file's
    /// path.
    pub client_ca: Option<String>,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 0,
            unix: None,
            unix_mode: 0o600,
            protocols: Vec::new(),
            headers: Vec::new(),
            timeout: Duration::from_millis(3000),
            max_connections: usize::MAX,
            max_handshakes: 1024,
            workers: None,
            backlog: None,
            tls: None,
            origins: Origins::default(),
            hosts: None,
            authorize: false,
            answers_requests: false,
            limits: Limits::default(),
        }
    }
}
