//! Servers on Unix sockets, and clients of them by their URLs.

use std::{
    fs,
    io::{Read, Write},
    net::Shutdown,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use websocket::{
    config::{ConnectConfig, ListenConfig},
    engine::Engine,
    error::{Error, SocketError},
    petition::Answer,
    protocol::Kind,
};

use super::host::{Host, PATIENCE, Told, request, workers};

/// A folder that is gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("websocket-unix-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a folder can be made");
        Self(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it was there");
    }
}

fn at(path: &Path) -> ListenConfig {
    ListenConfig {
        unix: Some(path.to_owned()),
        ..workers(2)
    }
}

fn mode(path: &Path) -> u32 {
    let metadata = fs::symlink_metadata(path).expect("the file is there");
    assert!(metadata.file_type().is_socket());
    metadata.permissions().mode() & 0o777
}

fn refused(config: ListenConfig) -> Error {
    let engine = Engine::new().expect("the system has descriptors");
    engine.listen(config).map(drop).expect_err("no server")
}

/// The first error of a connection to `url`.
fn failure(host: &mut Host, url: &str, config: ConnectConfig) -> Error {
    host.engine.connect(url.to_owned(), config);
    host.until("the error", |host| !host.errors.is_empty());
    host.errors.remove(0)
}

#[test]
fn a_client_of_ours_talks_to_a_server_on_a_unix_socket() {
    let folder = Folder::new("echo");
    let mut host = Host::echo(ListenConfig {
        authorize: true,
        ..at(&folder.at("a socket: 100%"))
    });
    let url = host.server.url.clone();
    assert!(url.ends_with("a%20socket%3A%20100%25:"), "{url}");
    assert_eq!(host.server.port, 0);
    let client = host
        .engine
        .connect(format!("{url}/chat?a=b:c"), ConnectConfig::default());
    host.until("the question", |host| !host.asked.is_empty());
    let (id, asked) = host.asked.remove(0);
    assert_eq!(asked.request.path, "/chat?a=b:c");
    assert_eq!(asked.remote_address, None);
    let hosts = asked.request.headers.iter();
    let hosts: Vec<_> = hosts.filter(|(name, _)| name == "Host").collect();
    assert_eq!(hosts, [&("Host".to_owned(), b"localhost".to_vec())]);
    let answer = Answer::Accept {
        protocol: None,
        headers: Vec::new(),
    };
    assert_eq!(host.engine.answer(id, answer), Ok(true));
    host.until_connected(2);
    // More than the buffers of both sockets hold.
    let large = vec![7; 2 << 20];
    host.echoes = false;
    host.engine
        .send(client, Kind::Binary, &large)
        .expect("there is room");
    let served = Told::Message(large);
    host.until("the message", |host| host.count(&served) == 1);
    host.engine.close(client, 1000, "");
    host.until("the ends", |host| {
        host.count(&Told::Disconnected(1000)) == 2
    });
}

#[test]
fn any_stream_socket_is_served_and_an_end_is_seen() {
    let folder = Folder::new("plain");
    let path = folder.at("socket");
    let mut host = Host::echo(at(&path));
    let mut client = UnixStream::connect(&path).expect("it listens");
    client
        .set_read_timeout(Some(PATIENCE))
        .expect("a timeout may be set");
    client.write_all(request("").as_bytes()).expect("sent");
    host.until_connected(1);
    client.shutdown(Shutdown::Write).expect("it is open");
    host.until("the end", |host| host.count(&Told::Disconnected(1006)) == 1);
    let mut answer = String::new();
    client
        .read_to_string(&mut answer)
        .expect("HTTP is ASCII here");
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
}

#[test]
fn the_file_is_the_owners_and_gone_when_the_server_is_closed() {
    let folder = Folder::new("file");
    let path = folder.at("socket");
    let host = Host::new(at(&path));
    assert_eq!(mode(&path), 0o600);
    host.engine.close_server(host.server.id, 1001, "");
    assert!(!path.exists());
    let shared = Host::new(ListenConfig {
        unix_mode: 0o666,
        ..at(&path)
    });
    assert_eq!(mode(&path), 0o666);
    drop(shared);
    assert!(!path.exists(), "it outlived its state");
}

#[test]
fn a_file_that_another_has_put_there_stays() {
    let folder = Folder::new("another");
    let path = folder.at("socket");
    let host = Host::new(at(&path));
    fs::rename(&path, folder.at("moved")).expect("it is there");
    fs::write(&path, "mine").expect("there is room");
    host.engine.close_server(host.server.id, 1001, "");
    assert_eq!(fs::read_to_string(&path).expect("it stays"), "mine");
}

#[test]
fn a_file_that_was_left_behind_is_replaced_and_no_other() {
    let folder = Folder::new("stale");
    let path = folder.at("socket");
    // As a process leaves it that was killed.
    drop(UnixListener::bind(&path).expect("nothing is there"));
    let mut host = Host::new(at(&path));
    let url = host.server.url.clone();
    host.engine.connect(url, ConnectConfig::default());
    host.until_connected(2);
    let error = refused(at(&path));
    assert_eq!(error.code(), SocketError::AddressInUse);
    assert!(error.to_string().contains("stale"), "{error}");
    assert!(path.exists());

    let text = folder.at("text");
    fs::write(&text, "mine").expect("there is room");
    assert_eq!(refused(at(&text)).code(), SocketError::AddressInUse);
    assert_eq!(fs::read_to_string(&text).expect("it stays"), "mine");
}

#[test]
fn what_cannot_be_a_socket_is_refused() {
    let folder = Folder::new("none");
    refused(at(Path::new("")));
    refused(at(&folder.at(&"x".repeat(200))));
    refused(at(&folder.at("a\0b")));
    refused(at(&folder.at("no/such/folder")));
    let left = fs::read_dir(&folder.0).expect("it is there").count();
    assert_eq!(left, 0);
}

#[test]
fn a_client_is_told_why_there_is_no_connection() {
    let folder = Folder::new("failures");
    let mut host = Host::new(at(&folder.at("socket")));
    let missing = folder.at("missing");
    let url = format!("ws+unix:{}:/", missing.display());
    let error = failure(&mut host, &url, ConnectConfig::default());
    assert_eq!(error.code(), SocketError::HostNotFound);
    assert!(error.to_string().contains("missing"), "{error}");
    // As a process leaves it that was killed.
    drop(UnixListener::bind(&missing).expect("nothing is there"));
    let error = failure(&mut host, &url, ConnectConfig::default());
    assert_eq!(error.code(), SocketError::ConnectionRefused);
    let url = "ws+unix://host/path:/".to_owned();
    let error = failure(&mut host, &url, ConnectConfig::default());
    assert!(error.to_string().contains("is expected"), "{error}");
}

#[test]
fn a_server_that_accepts_nobody_is_waited_for_until_the_timeout() {
    let folder = Folder::new("crowded");
    let path = folder.at("socket");
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
    let socket = socket.expect("the system has descriptors");
    let address = socket2::SockAddr::unix(&path).expect("it is short");
    socket.bind(&address).expect("nothing is there");
    socket.listen(0).expect("it is bound");
    let _first = UnixStream::connect(&path).expect("one may wait");
    let mut host = Host::new(workers(1));
    let config = ConnectConfig {
        timeout: Duration::from_millis(300),
        ..ConnectConfig::default()
    };
    let url = format!("ws+unix:{}:/", path.display());
    let error = failure(&mut host, &url, config);
    assert_eq!(error.code(), SocketError::SocketTimeout);
}
