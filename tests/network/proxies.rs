//! Real proxies, and what they answer.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::PathBuf,
    process::Command,
    time::Duration,
};

use websocket::{
    error::{Error, ProxyError, SocketError, Stage},
    net::{Endpoint, Proxy, ProxyChoice, Stream},
};

use crate::{
    alone::in_own_process,
    peers::{
        BlackHole, ClosedPort, GENEROUS, drain, echo, ends_when_cancelled, exchange, reactor, serve,
    },
    programs::{Program, free_port, installed, write_configuration},
};

fn proxy(url: &str) -> Proxy {
    Proxy::parse(url).expect(url)
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::parse(&format!("ws://{address}")).expect("an address makes a URL")
}

/// Sends a message through the proxy to an echo server that is known by a name.
fn echo_through(url: &str) -> Result<(), Error> {
    let port = serve(echo).port();
    for host in ["127.0.0.1", "localhost"] {
        let target = Endpoint::parse(&format!("ws://{host}:{port}")).expect("a good URL");
        let mut reactor = reactor(GENEROUS);
        let mut stream = Stream::plain(proxy(url).open(&target, &mut reactor)?);
        let answer = exchange(&mut stream, &mut reactor, b"hello", |bytes| {
            bytes.len() == 5
        })?;
        assert_eq!(answer, b"hello");
    }
    Ok(())
}

fn failure(url: &str, target: &Endpoint) -> Error {
    let error = proxy(url)
        .open(target, &mut reactor(GENEROUS))
        .expect_err(url);
    assert_eq!(error.stage(), Stage::Proxy, "{error:?}");
    error
}

struct Squid {
    at: String,
    _program: Program,
    _directory: Directory,
}

/// Squid changes to a user of its own, who must be able to read its files.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Squid, with the rules that are given. It knows "user" by the password "p@ss".
fn squid(rules: &str) -> Option<Squid> {
    if !installed("squid") {
        return None;
    }
    let port = free_port();
    let directory = Directory(std::env::temp_dir().join(format!("websocket-squid-{port}")));
    fs::create_dir_all(&directory.0).expect("the system's directory is for all");
    let passwords = "user:$apr1$salt$QltwFgPIQOCPHQoQS2Ocl.\n";
    fs::write(directory.0.join("passwords"), passwords).expect("it is ours");
    let configuration = directory.0.join("squid.conf");
    write_configuration(
        include_str!("squid.conf"),
        &[
            ("RULES", rules),
            ("PORT", &port.to_string()),
            ("DIRECTORY", directory.0.to_str().expect("UTF-8")),
        ],
        &configuration,
    );
    let mut command = Command::new("squid");
    command.arg("-N").arg("-f").arg(&configuration);
    Some(Squid {
        at: format!("127.0.0.1:{port}"),
        _program: Program::start("squid", &mut command, port),
        _directory: directory,
    })
}

#[test]
fn squid_opens_a_tunnel() {
    let Some(squid) = squid("http_access allow all") else {
        return;
    };
    let at = &squid.at;
    echo_through(&format!("http://{at}")).expect("squid allows it");
    let closed = ClosedPort::new();
    let error = failure(&format!("http://{at}"), &endpoint(closed.address));
    assert!(
        matches!(&error, Error::Proxy(ProxyError::Refused(answer)) if answer.starts_with("503"))
    );
    assert_eq!(error.code(), SocketError::ProxyConnectionRefused);
}

#[test]
fn squid_wants_a_password() {
    let rules = "auth_param basic program /usr/lib/squid/basic_ncsa_auth @DIRECTORY@/passwords\n\
                 acl known proxy_auth REQUIRED\nhttp_access allow known";
    let Some(squid) = squid(rules) else {
        return;
    };
    let at = &squid.at;
    echo_through(&format!("http://user:p%40ss@{at}")).expect("the password is right");
    for url in [format!("http://{at}"), format!("http://user:wrong@{at}")] {
        let error = failure(&url, &endpoint(serve(echo)));
        assert_eq!(
            error.code(),
            SocketError::ProxyAuthenticationRequired,
            "{error}"
        );
    }
}

#[test]
fn squid_denies() {
    let Some(squid) = squid("http_access deny all") else {
        return;
    };
    let at = &squid.at;
    let error = failure(&format!("http://{at}"), &endpoint(serve(echo)));
    assert_eq!(error.code(), SocketError::ProxyConnectionRefused);
    assert!(error.to_string().contains("403"), "{error}");
}

fn microsocks(arguments: &[&str]) -> Option<(Program, String)> {
    if !installed("microsocks") {
        return None;
    }
    let port = free_port();
    let mut command = Command::new("microsocks");
    command
        .args(["-i", "127.0.0.1", "-p", &port.to_string()])
        .args(arguments);
    Some((
        Program::start("microsocks", &mut command, port),
        format!("127.0.0.1:{port}"),
    ))
}

#[test]
fn microsocks_opens_a_tunnel() {
    let Some((_microsocks, at)) = microsocks(&[]) else {
        return;
    };
    for scheme in ["socks5", "socks5h", "socks"] {
        echo_through(&format!("{scheme}://{at}")).expect("microsocks allows all");
    }
    let closed = ClosedPort::new();
    let error = failure(&format!("socks5://{at}"), &endpoint(closed.address));
    assert_eq!(error.code(), SocketError::ProxyConnectionRefused, "{error}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn microsocks_wants_a_password() {
    let Some((_microsocks, at)) = microsocks(&["-u", "user", "-P", "p@ss"]) else {
        return;
    };
    echo_through(&format!("socks5://user:p%40ss@{at}")).expect("the password is right");
    for url in [
        format!("socks5://{at}"),
        format!("socks5://user:wrong@{at}"),
    ] {
        let error = failure(&url, &endpoint(serve(echo)));
        assert_eq!(
            error.code(),
            SocketError::ProxyAuthenticationRequired,
            "{error}"
        );
    }
}

/// A proxy that reads as much as `request` has bytes, gives one answer and ends.
fn answering(answer: &'static [u8]) -> String {
    let address = serve(move |mut socket: TcpStream| {
        let mut first = [0; 1];
        let _ = socket.read_exact(&mut first);
        let _ = socket.write_all(answer);
        let _ = socket.shutdown(std::net::Shutdown::Write);
        drain(&mut socket);
    });
    address.to_string()
}

#[test]
fn every_answer_of_an_http_proxy_has_its_own_failure() {
    let target = endpoint(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    for (answer, code) in [
        (
            &b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..],
            SocketError::ProxyAuthenticationRequired,
        ),
        (
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            SocketError::ProxyConnectionRefused,
        ),
        (
            b"HTTP/1.0 502 Bad Gateway\r\n\r\n",
            SocketError::ProxyConnectionRefused,
        ),
        (
            b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
            SocketError::ProxyConnectionRefused,
        ),
        (
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            SocketError::ProxyProtocol,
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", SocketError::ProxyProtocol),
        (b"\x05\x00", SocketError::ProxyProtocol),
        (b"", SocketError::ProxyConnectionClosed),
        (b"HTTP/1.1 200 OK\r\n", SocketError::ProxyConnectionClosed),
    ] {
        let error = failure(&format!("http://{}", answering(answer)), &target);
        let text = String::from_utf8_lossy(answer);
        assert_eq!(error.code(), code, "{text}: {error}");
    }
}

#[test]
fn every_answer_of_a_socks_proxy_has_its_own_failure() {
    let target = endpoint(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    for (answer, code, words) in [
        (
            &b"\x05\xFF"[..],
            SocketError::ProxyAuthenticationRequired,
            "authentication required",
        ),
        (b"\x05\x07", SocketError::ProxyProtocol, "method 7"),
        (b"\x04\x00", SocketError::ProxyProtocol, "no SOCKS5"),
        (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            SocketError::ProxyProtocol,
            "no SOCKS5",
        ),
        (
            b"\x05\x00\x05\x01",
            SocketError::ProxyConnectionRefused,
            "general failure",
        ),
        (
            b"\x05\x00\x05\x02",
            SocketError::ProxyConnectionRefused,
            "not allowed",
        ),
        (
            b"\x05\x00\x05\x03",
            SocketError::ProxyConnectionRefused,
            "network is unreachable",
        ),
        (
            b"\x05\x00\x05\x04",
            SocketError::ProxyConnectionRefused,
            "host is unreachable",
        ),
        (
            b"\x05\x00\x05\x05",
            SocketError::ProxyConnectionRefused,
            "refused the connection",
        ),
        (
            b"\x05\x00\x05\x63",
            SocketError::ProxyConnectionRefused,
            "reply 99",
        ),
        (
            b"\x05\x00\x05\x00\x00\x09",
            SocketError::ProxyProtocol,
            "type of address 9",
        ),
        (b"", SocketError::ProxyConnectionClosed, "closed"),
        (
            b"\x05\x00\x05\x00",
            SocketError::ProxyConnectionClosed,
            "closed",
        ),
    ] {
        let error = failure(&format!("socks5://{}", answering(answer)), &target);
        assert_eq!(error.code(), code, "{answer:?}: {error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn what_follows_the_answer_is_left_for_the_stream() {
    for (scheme, answer) in [
        (
            "http",
            &b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nfirst words"[..],
        ),
        (
            "socks5",
            b"\x05\x00\x05\x00\x00\x01\x7F\x00\x00\x01\x00\x09first words",
        ),
        (
            "socks5",
            b"\x05\x00\x05\x00\x00\x03\x09localhost\x00\x09first words",
        ),
        (
            "socks5",
            b"\x05\x00\x05\x00\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x09first words",
        ),
    ] {
        let mut reactor = reactor(GENEROUS);
        let target = endpoint(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
        let url = format!("{scheme}://{}", answering(answer));
        let mut stream = Stream::plain(proxy(&url).open(&target, &mut reactor).expect(&url));
        let words = exchange(&mut stream, &mut reactor, b"", |bytes| bytes.len() == 11);
        assert_eq!(words.expect("they were sent"), b"first words");
    }
}

#[test]
fn the_proxy_learns_the_name_and_not_an_address() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let at = serve(move |mut socket| {
        let mut request = [0; 1024];
        let count = socket.read(&mut request).unwrap_or(0);
        let _ = sender.send(request[..count].to_vec());
    });
    let target = Endpoint::parse("wss://unknown.example:8443/x").expect("a good URL");
    let error = failure(&format!("http://user:pass@{at}"), &target);
    assert!(
        matches!(error, Error::Proxy(ProxyError::Closed)),
        "{error:?}"
    );
    let request = String::from_utf8(receiver.recv().expect("a request")).expect("it is text");
    assert_eq!(
        request,
        "CONNECT unknown.example:8443 HTTP/1.1\r\nHost: unknown.example:8443\r\n\
         Proxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
    );
}

#[test]
fn a_proxy_that_cannot_be_reached_is_the_proxys_failure() {
    let target = endpoint(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    let error = failure("http://nobody.invalid:3128", &target);
    assert_eq!(error.code(), SocketError::ProxyNotFound);
    assert!(error.to_string().contains("nobody.invalid"), "{error}");

    let closed = ClosedPort::new();
    let error = failure(&format!("socks5://{}", closed.address), &target);
    assert_eq!(error.code(), SocketError::ProxyConnectionRefused);

    let silent = serve(|mut socket| drain(&mut socket)).to_string();
    let dead = BlackHole::new();
    for at in [silent, dead.address.to_string()] {
        let mut reactor = reactor(Duration::from_millis(100));
        let url = format!("http://{at}");
        let error = proxy(&url)
            .open(&target, &mut reactor)
            .expect_err("nobody answers");
        assert_eq!(error.code(), SocketError::ProxyConnectionTimeout);
        assert_eq!(error.stage(), Stage::Proxy);
    }
}

#[test]
fn a_cancellation_ends_the_talk_with_a_proxy() {
    let silent = serve(|mut socket| drain(&mut socket));
    let target = endpoint(SocketAddr::from((Ipv4Addr::LOCALHOST, 9)));
    let silent = proxy(&format!("socks5://{silent}"));
    ends_when_cancelled(|reactor| silent.open(&target, reactor).expect_err("it hangs"));
}

#[test]
fn the_choice_decides() {
    let target = Endpoint::parse("ws://h.example").expect("a good URL");
    let select = |choice| Proxy::select(&choice, &target);
    assert_eq!(select(ProxyChoice::Never).expect("no proxy"), None);
    let chosen = select(ProxyChoice::Url("socks5://[::1]".into()));
    let chosen = chosen.expect("a good URL").expect("a proxy");
    assert_eq!((chosen.host(), chosen.port()), ("::1", 1080));
    assert_eq!(
        chosen.host().parse::<IpAddr>().expect("an address"),
        IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])
    );
    for (url, host, port) in [
        ("proxy.example:3128", "proxy.example", 3128),
        ("http://proxy.example", "proxy.example", 80),
        ("socks5://Proxy.Example/", "proxy.example", 1080),
    ] {
        assert_eq!(
            (proxy(url).host(), proxy(url).port()),
            (host, port),
            "{url}"
        );
    }
}

#[test]
fn the_environment_counts_as_it_was_when_it_was_read() {
    let test = "proxies::the_environment_counts_as_it_was_when_it_was_read";
    let wrapper = [
        "env",
        "ALL_PROXY=user:secret@proxy.example",
        "no_proxy=other.example",
    ];
    in_own_process(test, &wrapper, || {
        let mut choice = ProxyChoice::default();
        choice.read_environment();
        // SAFETY: this process runs one test, and no other thread of it reads the environment.
        unsafe {
            std::env::remove_var("no_proxy");
            std::env::set_var("ALL_PROXY", "later.example");
        }
        let select = |url: &str| {
            let target = Endpoint::parse(url).expect("a good URL");
            Proxy::select(&choice, &target).expect("a good URL")
        };
        let chosen = select("ws://h.example").expect("a proxy");
        assert_eq!(chosen.host(), "proxy.example");
        assert_eq!(select("ws://other.example"), None);
        assert!(!format!("{choice:?}").contains("secret"));
    });
}

#[test]
fn a_bad_url_of_a_proxy_is_refused_without_repeating_its_password() {
    for url in [
        "",
        "http://",
        "ftp://user:secret@h.example",
        "http://user:secret@h:99999",
        "socks5://user:secret@",
    ] {
        let error = Proxy::parse(url).expect_err(url);
        assert_eq!(error.code(), SocketError::UnsupportedSocketOperation);
        assert_eq!(error.stage(), Stage::Proxy);
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    let long = format!("socks5://{}:p@h.example", "u".repeat(256));
    assert!(Proxy::parse(&long).is_err());
    assert!(!format!("{:?}", proxy("http://user:secret@h.example")).contains("secret"));
}
