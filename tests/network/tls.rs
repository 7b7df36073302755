//! TLS against nginx, against our own server, and against servers that are none.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::OnceLock,
    thread,
    time::Duration,
};

use websocket::{
    error::{Error, SocketError, Stage, TlsError},
    net::{
        Stream, dial,
        tls::{self, Acceptor, TlsOptions},
    },
};

use crate::{
    certificates::{self, content, directory, path, text},
    peers::{Cut, GENEROUS, drain, ends_when_cancelled, exchange, reactor, serve},
    programs::{Program, free_port, installed, write_configuration},
};

pub struct Nginx {
    pub tls: u16,
    old: u16,
    _program: Program,
}

/// nginx with a host for each certificate.
pub fn nginx() -> Option<Nginx> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    if !INSTALLED.get_or_init(|| installed("nginx")) {
        return None;
    }
    let (tls, old, backend) = (free_port(), free_port(), free_port());
    let configuration = directory().join(format!("nginx-{tls}.conf"));
    let root = directory().to_str().expect("the path is UTF-8");
    write_configuration(
        include_str!("nginx.conf"),
        &[
            ("DIRECTORY", root),
            ("TLS", &tls.to_string()),
            ("OLD", &old.to_string()),
            ("BACKEND", &backend.to_string()),
        ],
        &configuration,
    );
    let mut command = Command::new("nginx");
    command.args(["-p", root, "-e", &format!("{root}/nginx.log"), "-c"]);
    let program = Program::start("nginx", command.arg(&configuration), tls);
    Some(Nginx {
        tls,
        old,
        _program: program,
    })
}

fn trusting() -> TlsOptions {
    TlsOptions {
        ca: Some(path("root.pem")),
        ..TlsOptions::default()
    }
}

fn identified(certificate: &str, key: &str) -> TlsOptions {
    TlsOptions {
        certificate: Some(path(certificate)),
        key: Some(path(key)),
        ..trusting()
    }
}

fn connect(port: u16, host: &str, options: &TlsOptions) -> Result<Stream, Error> {
    let mut reactor = reactor(GENEROUS);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let socket = dial(&[address], &mut reactor)?;
    tls::connect(socket, host, options, &mut reactor)
}

/// What the server at `port` says of the connection, over it.
fn whoami(port: u16, host: &str, options: &TlsOptions) -> Result<String, Error> {
    let mut stream = connect(port, host, options)?;
    let request = format!("GET /whoami HTTP/1.0\r\nHost: {host}\r\n\r\n");
    let answer = exchange(
        &mut stream,
        &mut reactor(GENEROUS),
        request.as_bytes(),
        |_| false,
    )?;
    let answer = String::from_utf8(answer).expect("nginx answers in ASCII");
    let (_, body) = answer.split_once("\r\n\r\n").expect("the head ends");
    Ok(body.to_owned())
}

fn refusal(port: u16, host: &str, options: &TlsOptions) -> String {
    match connect(port, host, options) {
        Err(error @ Error::Tls(TlsError::Handshake(_))) => {
            assert_eq!(error.code(), SocketError::SslHandshakeFailed);
            assert_eq!(error.stage(), Stage::Tls);
            error.to_string()
        }
        Err(error) => panic!("{host}: {error:?}"),
        Ok(_) => panic!("{host} was accepted"),
    }
}

#[test]
fn good_certificates_are_accepted() {
    let Some(nginx) = nginx() else { return };
    for (host, expected) in [
        ("rsa.localhost", "rsa TLSv1.3"),
        ("ecdsa.localhost", "ecdsa TLSv1.3"),
        ("chain.localhost", "chain TLSv1.3"),
        ("any.wildcard.localhost", "wildcard TLSv1.3"),
        ("127.0.0.1", "address TLSv1.3"),
        ("one.localhost", "one TLSv1.3"),
        ("two.localhost", "two TLSv1.3"),
        ("two.localhost.", "two TLSv1.3"),
    ] {
        assert_eq!(whoami(nginx.tls, host, &trusting()).expect(host), expected);
    }
}

#[test]
fn bad_certificates_are_refused_in_plain_words() {
    let Some(nginx) = nginx() else { return };
    for (host, words) in [
        ("expired.localhost", "has expired"),
        ("future.localhost", "is not yet valid"),
        ("other.localhost", "is not for 'other.localhost'"),
        (
            "deep.any.wildcard.localhost",
            "is not for 'deep.any.wildcard.localhost'",
        ),
        ("selfsigned.localhost", "is self-signed: `tls.ca`"),
        ("stranged.localhost", "has an unknown issuer: `tls.ca`"),
        ("incomplete.localhost", "has an unknown issuer"),
    ] {
        let message = refusal(nginx.tls, host, &trusting());
        assert!(message.contains(words), "{message}");
        assert!(message.contains(host), "{message}");
    }
    let message = refusal(nginx.tls, "127.0.0.2", &trusting());
    assert!(message.contains("is not for '127.0.0.2'"), "{message}");
}

#[test]
fn without_a_ca_of_our_own_the_systems_trust_decides() {
    let Some(nginx) = nginx() else { return };
    let message = refusal(nginx.tls, "rsa.localhost", &TlsOptions::default());
    assert!(message.contains("unknown issuer"), "{message}");
}

#[test]
fn verification_can_be_skipped_at_ones_own_peril() {
    let Some(nginx) = nginx() else { return };
    let options = TlsOptions {
        dangerously_skip_verification: true,
        ..TlsOptions::default()
    };
    for host in ["expired", "other", "selfsigned", "stranged"] {
        let answer = whoami(nginx.tls, &format!("{host}.localhost"), &options);
        assert_eq!(answer.expect(host), format!("{host} TLSv1.3"));
    }
}

#[test]
fn the_server_name_is_asked_for_and_verified_instead_of_the_host() {
    let Some(nginx) = nginx() else { return };
    let named = |name: &str| TlsOptions {
        server_name: Some(name.into()),
        ..trusting()
    };
    let answer = whoami(nginx.tls, "unrelated.localhost", &named("One.localhost"));
    assert_eq!(answer.expect("the name is right"), "one TLSv1.3");
    let message = refusal(nginx.tls, "one.localhost", &named("other.localhost"));
    assert!(
        message.contains("is not for 'other.localhost'"),
        "{message}"
    );
}

#[test]
fn options_are_text_or_bytes_as_well_as_files() {
    let Some(nginx) = nginx() else { return };
    let host = "private.wildcard.localhost";
    let options = TlsOptions {
        ca: Some(content("root.pem")),
        certificate: Some(content("client.pem")),
        key: Some(content("client.key")),
        ..TlsOptions::default()
    };
    assert_eq!(
        whoami(nginx.tls, host, &options).expect(host),
        "CN=Test client TLSv1.3"
    );
    let both = [content("client.pem"), content("client.key")].concat();
    let options = TlsOptions {
        certificate: Some(both),
        key: None,
        ..options
    };
    assert_eq!(
        whoami(nginx.tls, host, &options).expect(host),
        "CN=Test client TLSv1.3"
    );
}

#[test]
fn a_client_certificate_comes_in_every_usual_form() {
    let Some(nginx) = nginx() else { return };
    let host = "private.wildcard.localhost";
    let pkcs12 = |file: &str, password: Option<&str>| TlsOptions {
        certificate: Some(content(file)),
        key: password.map(|password| password.as_bytes().to_vec()),
        ..trusting()
    };
    for (options, name) in [
        (identified("client.pem", "client.key"), "client"),
        (identified("client.pem", "client-sec1.key"), "client"),
        (identified("client-rsa.pem", "client-rsa.key"), "client-rsa"),
        (
            identified("client-rsa.pem", "client-rsa-pkcs1.key"),
            "client-rsa",
        ),
        (pkcs12("client.p12", Some("secret")), "client"),
        (pkcs12("client-open.p12", None), "client"),
    ] {
        let expected = format!("CN=Test {name} TLSv1.3");
        assert_eq!(whoami(nginx.tls, host, &options).expect(name), expected);
    }
}

#[test]
fn nginx_tells_over_http_what_it_has_against_a_client() {
    let Some(nginx) = nginx() else { return };
    let host = "private.wildcard.localhost";
    let answer = whoami(nginx.tls, host, &trusting()).expect("TLS itself is good");
    assert!(
        answer.contains("No required SSL certificate was sent"),
        "{answer}"
    );
    let impostor = identified("impostor.pem", "impostor.key");
    let answer = whoami(nginx.tls, host, &impostor).expect("TLS itself is good");
    assert!(answer.contains("The SSL certificate error"), "{answer}");
}

#[test]
fn a_server_may_refuse_a_client_in_tls() {
    if !installed("openssl") {
        return;
    }
    for version in ["-tls1_2", "-tls1_3"] {
        let port = free_port();
        let mut command = Command::new("openssl");
        command
            .current_dir(directory())
            .args([
                "s_server",
                "-quiet",
                "-Verify",
                "1",
                "-verify_return_error",
                version,
            ])
            .args(["-cert", "rsa.pem", "-key", "rsa.key", "-CAfile", "root.pem"])
            .args(["-accept", &port.to_string(), "-www"]);
        let _server = Program::start("openssl", &mut command, port);
        let good = identified("client.pem", "client.key");
        let page = whoami(port, "rsa.localhost", &good).expect("the certificate is known");
        assert!(page.contains("rsa.key"), "{page}");
        for bad in [trusting(), identified("impostor.pem", "impostor.key")] {
            let error = whoami(port, "rsa.localhost", &bad).expect_err(version);
            assert_eq!(error.code(), SocketError::SslHandshakeFailed, "{error:?}");
            assert_eq!(error.stage(), Stage::Tls);
            assert!(
                error.to_string().contains("refused the connection"),
                "{error}"
            );
        }
    }
}

#[test]
fn old_versions_are_refused() {
    let Some(nginx) = nginx() else { return };
    let message = refusal(nginx.old, "rsa.localhost", &trusting());
    assert!(message.contains("protocol version"), "{message}");
    assert!(message.contains("'rsa.localhost'"), "{message}");
}

#[test]
fn the_lowest_version_can_be_raised() {
    let address = own_server("rsa.pem", "rsa.key");
    let at_least = |version: &str| TlsOptions {
        min_version: Some(version.into()),
        ..trusting()
    };
    for version in ["1.2", "1.3"] {
        connect(address.port(), "rsa.localhost", &at_least(version)).expect(version);
    }
    let old = server_of_tls_1_2().port();
    connect(old, "rsa.localhost", &at_least("1.2")).expect("it speaks that");
    let message = refusal(old, "rsa.localhost", &at_least("1.3"));
    assert!(message.contains("protocol version"), "{message}");
    let Some(nginx) = nginx() else { return };
    let answer = whoami(nginx.tls, "rsa.localhost", &at_least("1.3"));
    assert_eq!(answer.expect("nginx speaks 1.3"), "rsa TLSv1.3");
}

#[test]
fn pins_decide_beyond_the_issuer() {
    let Some(nginx) = nginx() else { return };
    let base64 = text("rsa.pin");
    let bytes = data_encoding::BASE64
        .decode(base64.as_bytes())
        .expect("openssl wrote it");
    let hex = data_encoding::HEXLOWER.encode(&bytes);
    let pinned = |pins: &[&str]| TlsOptions {
        pins: pins.iter().map(|pin| (*pin).to_owned()).collect(),
        ..trusting()
    };
    let other = text("ecdsa.pin");
    let pins = [
        pinned(&[&base64]),
        pinned(&[&other, &base64]),
        pinned(&[&hex]),
        pinned(&[&hex.to_uppercase()]),
        pinned(&[&format!("sha256/{base64}")]),
        pinned(&[&format!("sha256//{base64}")]),
    ];
    for options in pins {
        let answer = whoami(nginx.tls, "rsa.localhost", &options);
        assert_eq!(answer.expect("the pin is right"), "rsa TLSv1.3");
    }
    let message = refusal(nginx.tls, "rsa.localhost", &pinned(&[&other]));
    assert!(message.contains("pin mismatch"), "{message}");
    assert!(message.contains("'rsa.localhost'"), "{message}");
    assert!(message.contains(&base64), "{message}");
    // A pin does not replace the other checks, and holds without them.
    refusal(nginx.tls, "expired.localhost", &pinned(&[&base64]));
    let unverified = TlsOptions {
        dangerously_skip_verification: true,
        ..pinned(&[&other])
    };
    let message = refusal(nginx.tls, "rsa.localhost", &unverified);
    assert!(message.contains("pin mismatch"), "{message}");
}

#[test]
fn what_cannot_be_used_is_named() {
    let address = serve(|mut socket| drain(&mut socket));
    let text = |text: &str| Some(text.as_bytes().to_vec());
    let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (options, option, words) in [
        (
            TlsOptions {
                ca: text("/nowhere/ca.pem"),
                ..trusting()
            },
            "'ca'",
            "/nowhere/ca.pem",
        ),
        (
            TlsOptions {
                ca: text(no_certificate),
                ..trusting()
            },
            "'ca'",
            "no certificate",
        ),
        (
            TlsOptions {
                ca: Some(path("rsa.key")),
                ..trusting()
            },
            "'ca'",
            "no certificate",
        ),
        (
            TlsOptions {
                certificate: Some(path("client.pem")),
                ..trusting()
            },
            "'key'",
            "no private key",
        ),
        (
            TlsOptions {
                key: Some(path("client.key")),
                ..trusting()
            },
            "'key'",
            "needs",
        ),
        (
            identified("client.pem", "client.pem"),
            "'key'",
            "no private key",
        ),
        (
            identified("client.pem", "client-encrypted.key"),
            "'key'",
            "encrypted",
        ),
        (
            identified("client.pem", "impostor.key"),
            "'key'",
            "mismatch",
        ),
        (
            identified("client.pem", "client-rsa.key"),
            "'key'",
            "mismatch",
        ),
        (
            identified("client.p12", "client.key"),
            "'certificate'",
            "PKCS#12",
        ),
        (
            TlsOptions {
                min_version: Some("SSLv3".into()),
                ..trusting()
            },
            "'min_version'",
            "SSLv3",
        ),
        (
            TlsOptions {
                server_name: Some("a b".into()),
                ..trusting()
            },
            "'server_name'",
            "a b",
        ),
        (
            TlsOptions {
                pins: vec!["AAAA".into()],
                ..trusting()
            },
            "'pins'",
            "AAAA",
        ),
    ] {
        let error = connect(address.port(), "rsa.localhost", &options).expect_err(option);
        assert_eq!(error.code(), SocketError::SslInvalidUserData, "{error:?}");
        let message = error.to_string();
        assert!(
            message.contains(option) && message.contains(words),
            "{message}"
        );
    }
}

#[test]
fn our_own_server_takes_the_same_forms() {
    for (certificate, key, host) in [
        ("rsa.pem", "rsa.key", "rsa.localhost"),
        ("ecdsa.pem", "ecdsa.key", "ecdsa.localhost"),
        ("chain.pem", "chain.key", "chain.localhost"),
        ("chain.p12", "", "chain.localhost"),
    ] {
        let address = own_server(certificate, key);
        let mut stream = connect(address.port(), host, &trusting()).expect(host);
        let mut reactor = reactor(GENEROUS);
        let answer = exchange(&mut stream, &mut reactor, b"hello", |bytes| {
            bytes.len() == 5
        });
        assert_eq!(answer.expect("it echoes"), b"hello");
    }
    acceptor(text("rsa.pem"), text("rsa.key")).expect("text is as good");
    for password in ["guess", "sec\0ret"] {
        let error = acceptor(path("chain.p12"), password).expect_err(password);
        assert_eq!(error.code(), SocketError::SslInvalidUserData, "{error:?}");
        assert!(error.to_string().contains("PKCS#12"), "{error}");
    }
    for (certificate, key) in [
        ("rsa.pem", "ecdsa.key"),
        ("rsa.pem", "client-rsa.key"),
        ("rsa.key", "rsa.key"),
        ("nowhere", "rsa.key"),
    ] {
        let error = acceptor(path(certificate), path(key)).expect_err(certificate);
        assert_eq!(error.code(), SocketError::SslInvalidUserData, "{error:?}");
    }
}

fn acceptor(certificate: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Acceptor, Error> {
    Acceptor::new(certificate, key, None::<&str>, &mut reactor(GENEROUS))
}

/// One that wants certificates by the issuers of a file.
fn acceptor_asking(client_ca: &str) -> Result<Acceptor, Error> {
    let (certificate, key) = (path("rsa.pem"), path("rsa.key"));
    let reactor = &mut reactor(GENEROUS);
    Acceptor::new(certificate, key, Some(path(client_ca)), reactor)
}

/// An echo server over TLS with one of the certificates.
pub fn own_server_for(name: &str) -> SocketAddr {
    own_server(&format!("{name}.pem"), &format!("{name}.key"))
}

/// An echo server over TLS, each connection on a thread of its own.
fn own_server(certificate: &str, key: &str) -> SocketAddr {
    let key = match key {
        "" => b"secret".to_vec(),
        file => path(file),
    };
    let acceptor = acceptor(path(certificate), key).expect("the files are good");
    accept_each(move |socket| drop(echo_once(&acceptor, socket)))
}

/// A server that speaks TLS 1.2 at most, and says nothing in it.
pub fn server_of_tls_1_2() -> SocketAddr {
    let identity = native_tls::Identity::from_pkcs8(&content("rsa.pem"), &content("rsa.key"));
    let acceptor = native_tls::TlsAcceptor::builder(identity.expect("the files are good"))
        .max_protocol_version(Some(native_tls::Protocol::Tlsv12))
        .build()
        .expect("the key is the certificate's");
    accept_each(move |socket| {
        if let Ok(mut stream) = acceptor.accept(socket) {
            let _ = io::copy(&mut stream, &mut io::sink());
        }
    })
}

/// Listens, and serves each client on a thread of its own.
fn accept_each(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let serve = serve.clone();
            thread::spawn(move || serve(socket));
        }
    });
    address
}

fn echo_once(acceptor: &Acceptor, socket: TcpStream) -> Result<(), Error> {
    socket.set_nonblocking(true).expect("a socket");
    let socket = mio::net::TcpStream::from_std(socket);
    let mut reactor = reactor(GENEROUS);
    let mut stream = acceptor.accept(socket, &mut reactor)?;
    let message = exchange(&mut stream, &mut reactor, b"", |bytes| !bytes.is_empty())?;
    exchange(&mut stream, &mut reactor, &message, |_| false)?;
    Ok(())
}

#[test]
fn our_own_server_says_what_is_wrong_with_a_client() {
    let acceptor = acceptor_asking("root.pem").expect("the files are good");
    for (options, words) in [
        (trusting(), "the client has shown no certificate"),
        (
            identified("impostor.pem", "impostor.key"),
            "the certificate of the client has none of `tls.client_ca` as its issuer",
        ),
        (
            identified("client-expired.pem", "client-expired.key"),
            "the certificate of the client has expired",
        ),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let acceptor = acceptor.clone();
        let server = thread::spawn(move || {
            let (socket, _) = listener.accept().expect("one client comes");
            socket.set_nonblocking(true).expect("a socket");
            let socket = mio::net::TcpStream::from_std(socket);
            acceptor.accept(socket, &mut reactor(GENEROUS)).map(drop)
        });
        whoami(port, "rsa.localhost", &options).expect_err(words);
        let error = server.join().expect("no panic").expect_err(words);
        assert!(matches!(error, Error::Tls(TlsError::Handshake(_))));
        assert!(error.to_string().contains(words), "{error}");
    }
    let unlike = acceptor_asking("rsa.key").expect_err("a key is no issuer");
    assert_eq!(unlike.code(), SocketError::SslInvalidUserData, "{unlike:?}");
    assert!(unlike.to_string().contains("'client_ca'"), "{unlike}");
}

#[test]
fn the_ends_of_a_stream_are_told() {
    let address = own_server("rsa.pem", "rsa.key");
    let mut reactor = reactor(GENEROUS);
    let mut stream = connect(address.port(), "rsa.localhost", &trusting()).expect("it is ours");
    assert!(stream.is_secure());
    assert_eq!(stream.peer_address(), Some(address));
    stream.close_write();
    let rest = exchange(&mut stream, &mut reactor, b"", |_| false).expect("an end is no error");
    assert_eq!(rest, b"");
}

#[test]
fn large_messages_pass_whole() {
    let file: Vec<u8> = (0..5_000_000u32)
        .map(|index| ((index * 7) >> 3) as u8)
        .collect();
    let acceptor = acceptor(path("rsa.pem"), path("rsa.key")).expect("the files are good");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let length = file.len();
    let server = thread::spawn(move || {
        let (socket, _) = listener.accept().expect("one client comes");
        socket.set_nonblocking(true).expect("a socket");
        let mut reactor = reactor(GENEROUS);
        let socket = mio::net::TcpStream::from_std(socket);
        let mut stream = acceptor.accept(socket, &mut reactor).expect("it trusts us");
        let message = exchange(&mut stream, &mut reactor, b"", |bytes| {
            bytes.len() == length
        });
        let message = message.expect("all of it comes");
        exchange(&mut stream, &mut reactor, &message, |_| false).expect("all of it goes");
    });
    let mut stream = connect(address.port(), "rsa.localhost", &trusting()).expect("it is ours");
    let answer = exchange(&mut stream, &mut reactor(GENEROUS), &file, |bytes| {
        bytes.len() == length
    });
    assert!(answer.expect("all of it comes back") == file);
    drop(stream);
    server.join().expect("no panic");
}

#[test]
fn who_does_not_speak_tls_is_told_so() {
    let plain = serve(|mut socket| {
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        drain(&mut socket);
    });
    let message = refusal(plain.port(), "rsa.localhost", &trusting());
    assert!(
        message.contains("'rsa.localhost' does not speak TLS"),
        "{message}"
    );
}

#[test]
fn silence_times_out_in_its_stage() {
    let silent = serve(|mut socket| drain(&mut socket));
    let mut impatient = reactor(Duration::from_millis(200));
    let socket = dial(&[silent], &mut impatient).expect("it listens");
    let error = tls::connect(socket, "rsa.localhost", &trusting(), &mut impatient)
        .expect_err("nobody answers");
    assert!(matches!(error, Error::Timeout(Stage::Tls, _)), "{error:?}");
}

#[test]
fn a_cancellation_ends_the_handshake_and_what_it_is_prepared_by() {
    let cancelled = |options: &TlsOptions| {
        ends_when_cancelled(|reactor| {
            let silent = serve(|mut socket| drain(&mut socket));
            let socket = dial(&[silent], reactor).expect("it listens");
            tls::connect(socket, "rsa.localhost", options, reactor).expect_err("it hangs")
        });
    };
    cancelled(&trusting());
    // Options that nobody else uses, so that a connector is made meanwhile.
    cancelled(&TlsOptions {
        min_version: Some("1.3".into()),
        ..TlsOptions::default()
    });
}

#[test]
fn a_renewed_certificate_is_read_again() {
    let Some(nginx) = nginx() else { return };
    let file = certificates::directory().join("renewed.pem");
    std::fs::write(&file, content("stranger.pem")).expect("it is ours");
    let options = TlsOptions {
        ca: Some(file.to_str().expect("the path is UTF-8").into()),
        ..TlsOptions::default()
    };
    refusal(nginx.tls, "rsa.localhost", &options);
    std::fs::write(&file, content("root.pem")).expect("it is ours");
    connect(nginx.tls, "rsa.localhost", &options).expect("the root is trusted now");
}

/// Reads until a server's first flight in TLS 1.2 is there: it ends with an empty
/// ServerHelloDone (RFC 5246 section 7.4.5), which is not encrypted.
fn first_flight(server: &mut TcpStream) -> Vec<u8> {
    let mut flight = Vec::new();
    let mut buffer = [0; 4096];
    while !flight.ends_with(&[14, 0, 0, 0]) {
        let count = server.read(&mut buffer).expect("the server answers");
        assert!(count > 0, "the server ends");
        flight.extend_from_slice(&buffer[..count]);
    }
    flight
}

#[test]
fn an_alert_is_read_although_the_answer_to_what_stands_before_it_cannot_be_written() {
    let server = server_of_tls_1_2();
    let refusing = serve(move |mut client| {
        let mut hello = [0; 4096];
        let count = client.read(&mut hello).expect("a client comes");
        let mut server = TcpStream::connect(server).expect("it listens");
        server.write_all(&hello[..count]).expect("it reads");
        let mut answer = first_flight(&mut server);
        // A fatal alert, access_denied (RFC 5246 section 7.2).
        answer.extend_from_slice(&[21, 3, 3, 0, 2, 2, 49]);
        client.write_all(&answer).expect("there is room for it");
        Cut::Reset.end(client);
    });
    for _ in 0..5 {
        let message = refusal(refusing.port(), "rsa.localhost", &trusting());
        assert!(message.contains("refused the connection"), "{message}");
    }
}

/// A FIFO to which nobody writes.
#[cfg(unix)]
struct Fifo {
    path: std::path::PathBuf,
}

#[cfg(unix)]
impl Fifo {
    fn new(name: &str) -> Self {
        let path = directory().join(format!("{name}-{}.fifo", std::process::id()));
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.is_ok_and(|status| status.success()));
        Self { path }
    }

    fn option(&self) -> Vec<u8> {
        self.path.to_str().expect("the path is UTF-8").into()
    }

    fn write(&self, content: &[u8]) {
        // This waits for the reader.
        let writer = std::fs::File::options().write(true).open(&self.path);
        let mut writer = writer.expect("it is ours");
        writer.write_all(content).expect("it is read");
    }
}

#[cfg(unix)]
impl Drop for Fifo {
    /// Ends the threads that read. For both directions, a FIFO opens without waiting.
    fn drop(&mut self) {
        let mut both = std::fs::File::options();
        let _ = both.read(true).write(true).open(&self.path);
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(unix)]
#[test]
fn files_are_read_under_the_deadline_and_a_cancellation() {
    let fifo = Fifo::new("ca");
    let options = TlsOptions {
        ca: Some(fifo.option()),
        ..TlsOptions::default()
    };
    let silent = serve(|mut socket| drain(&mut socket));
    let mut impatient = reactor(Duration::from_millis(50));
    let socket = dial(&[silent], &mut impatient).expect("it listens");
    let error = tls::connect(socket, "rsa.localhost", &options, &mut impatient)
        .expect_err("nobody writes to it");
    assert!(matches!(error, Error::Timeout(Stage::Tls, _)), "{error:?}");
    ends_when_cancelled(|reactor| {
        let socket = dial(&[silent], reactor).expect("it listens");
        tls::connect(socket, "rsa.localhost", &options, reactor).expect_err("nobody writes to it")
    });
    let mut impatient = reactor(Duration::from_millis(50));
    let error = Acceptor::new(fifo.option(), fifo.option(), None::<&str>, &mut impatient)
        .expect_err("nobody writes to it");
    assert!(matches!(error, Error::Timeout(Stage::Tls, _)), "{error:?}");
}

#[cfg(unix)]
#[test]
fn what_comes_through_a_fifo_is_as_good_as_a_file() {
    let address = own_server("rsa.pem", "rsa.key");
    let fifo = Fifo::new("root");
    let options = TlsOptions {
        ca: Some(fifo.option()),
        ..TlsOptions::default()
    };
    let client = thread::spawn(move || connect(address.port(), "rsa.localhost", &options));
    fifo.write(&content("root.pem"));
    client
        .join()
        .expect("no panic")
        .expect("the root is trusted");
}

#[cfg(unix)]
#[test]
fn a_file_without_end_is_too_long() {
    let address = serve(|mut socket| drain(&mut socket));
    let options = TlsOptions {
        ca: Some(b"/dev/zero".to_vec()),
        ..TlsOptions::default()
    };
    let error = connect(address.port(), "rsa.localhost", &options).expect_err("it has no end");
    assert_eq!(error.code(), SocketError::SslInvalidUserData, "{error:?}");
    let message = error.to_string();
    assert!(
        message.contains("'ca'") && message.contains("longer than 4 MiB"),
        "{message}"
    );
}
