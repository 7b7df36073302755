//! URLs.

#[cfg(unix)]
use std::path::Path;

#[cfg(unix)]
use websocket::net::endpoint::unix_url;
use websocket::{error::SocketError, net::Endpoint};

#[test]
fn a_url_names_host_port_target_and_encryption() {
    for (url, secure, host, port, target, header) in [
        ("ws://h.example", false, "h.example", 80, "/", "h.example"),
        ("wss://h.example", true, "h.example", 443, "/", "h.example"),
        ("http://h.example", false, "h.example", 80, "/", "h.example"),
        (
            "https://h.example/x",
            true,
            "h.example",
            443,
            "/x",
            "h.example",
        ),
        (
            "WSS://H.Example/X",
            true,
            "h.example",
            443,
            "/X",
            "h.example",
        ),
        (
            "ws://h.example:80/",
            false,
            "h.example",
            80,
            "/",
            "h.example",
        ),
        (
            "ws://h.example:443/",
            false,
            "h.example",
            443,
            "/",
            "h.example:443",
        ),
        (
            "wss://h.example:443",
            true,
            "h.example",
            443,
            "/",
            "h.example",
        ),
        (
            "wss://h.example:80",
            true,
            "h.example",
            80,
            "/",
            "h.example:80",
        ),
        (
            "https://h.example:80",
            true,
            "h.example",
            80,
            "/",
            "h.example:80",
        ),
        (
            "ws://h.example?a=b",
            false,
            "h.example",
            80,
            "/?a=b",
            "h.example",
        ),
        (
            "ws://h.example/p?",
            false,
            "h.example",
            80,
            "/p?",
            "h.example",
        ),
        (
            "ws://h.example/a b?c d",
            false,
            "h.example",
            80,
            "/a%20b?c%20d",
            "h.example",
        ),
        (
            "ws://h.example/%2F%7Ex",
            false,
            "h.example",
            80,
            "/%2F%7Ex",
            "h.example",
        ),
        (
            "ws://h.example/ü",
            false,
            "h.example",
            80,
            "/%C3%BC",
            "h.example",
        ),
        (
            "ws://h.example/a/../b",
            false,
            "h.example",
            80,
            "/b",
            "h.example",
        ),
        (
            "ws://h.example/p?q#f",
            false,
            "h.example",
            80,
            "/p?q",
            "h.example",
        ),
        ("ws://[::1]:9001/x", false, "::1", 9001, "/x", "[::1]:9001"),
        (
            "wss://[2001:DB8::0:1]",
            true,
            "2001:db8::1",
            443,
            "/",
            "[2001:db8::1]",
        ),
        (
            "ws://127.1:9001",
            false,
            "127.0.0.1",
            9001,
            "/",
            "127.0.0.1:9001",
        ),
        (
            "ws://bücher.example",
            false,
            "xn--bcher-kva.example",
            80,
            "/",
            "xn--bcher-kva.example",
        ),
        (
            "ws://h.example./",
            false,
            "h.example.",
            80,
            "/",
            "h.example.",
        ),
        (
            "  ws://h.example/x\r\n ",
            false,
            "h.example",
            80,
            "/x",
            "h.example",
        ),
    ] {
        let endpoint = Endpoint::parse(url).expect(url);
        assert_eq!(endpoint.secure, secure, "{url}");
        assert_eq!(endpoint.host, host, "{url}");
        assert_eq!(endpoint.port, port, "{url}");
        assert_eq!(endpoint.target, target, "{url}");
        assert_eq!(endpoint.host_header(), header, "{url}");
    }
}

#[test]
fn the_normal_form_is_a_ws_url_without_a_fragment() {
    for (url, normal) in [
        ("HTTP://H.example:80#x", "ws://h.example/"),
        ("https://u:p@h.example/a?b", "wss://u:p@h.example/a?b"),
        ("ws://h.example:8080", "ws://h.example:8080/"),
    ] {
        assert_eq!(Endpoint::parse(url).expect(url).url(), normal);
    }
}

#[test]
fn userinfo_becomes_basic_credentials() {
    for (url, authorization) in [
        ("ws://h.example", None),
        ("ws://@h.example", None),
        // base64 of "user:pass", "user:", ":pass", "us er:p:ss" and "ü:" in UTF-8.
        ("ws://user:pass@h.example", Some("Basic dXNlcjpwYXNz")),
        ("ws://user@h.example", Some("Basic dXNlcjo=")),
        ("ws://:pass@h.example", Some("Basic OnBhc3M=")),
        (
            "ws://us%20er:p%3Ass@h.example",
            Some("Basic dXMgZXI6cDpzcw=="),
        ),
        ("ws://%C3%BC@h.example", Some("Basic w7w6")),
    ] {
        assert_eq!(
            Endpoint::parse(url).expect(url).authorization(),
            authorization,
            "{url}"
        );
    }
}

#[test]
fn what_is_no_url_of_ours_is_refused() {
    for url in [
        "",
        "/chat",
        "h.example",
        "ws:",
        "ws://",
        "ftp://h.example",
        "wsx://h.example",
        "ws://h.example:99999",
        "ws://h.example:port",
        "ws://[::1",
        "ws://a b.example",
        "ws://%00.example",
        "ws://300.1.1.1",
        "mailto:a@h.example",
        "file:///etc/hosts",
        "ws+unix:",
        "ws+unix:/",
        "ws+unix:a.sock:/",
        "ws+unix://run/a.sock:/",
        "ws+unix:/run/a.sock:chat",
        "ws+unix:/run/:/chat",
    ] {
        let error = Endpoint::parse(url).expect_err(url);
        assert_eq!(
            error.code(),
            SocketError::UnsupportedSocketOperation,
            "{url}"
        );
        assert!(error.to_string().starts_with("invalid URL: "), "{error}");
    }
}

#[test]
#[cfg(unix)]
fn a_unix_socket_is_named_by_its_path_and_the_resource_behind_it_by_what_follows() {
    for (url, socket, target) in [
        (
            "ws+unix:/run/a.sock:/chat?b=c:d",
            "/run/a.sock",
            "/chat?b=c:d",
        ),
        ("ws+unix:///run/a.sock:/chat#d", "/run/a.sock", "/chat"),
        ("ws+unix:/run/a.sock:/a:b", "/run/a.sock", "/a:b"),
        ("ws+unix:/run/a.sock:", "/run/a.sock", "/"),
        ("ws+unix:/run/a.sock", "/run/a.sock", "/"),
        ("ws+unix:/run/a.sock?b", "/run/a.sock", "/?b"),
        ("WS+UNIX:/run/%3A%25 :/%3A", "/run/:% ", "/%3A"),
    ] {
        let endpoint = Endpoint::parse(url).expect(url);
        assert_eq!(endpoint.unix.as_deref(), Some(Path::new(socket)), "{url}");
        assert_eq!(endpoint.target, target, "{url}");
        assert_eq!(endpoint.host_header(), "localhost");
        assert_eq!(endpoint.origin(), "null");
        assert!(!endpoint.secure);
    }
    for path in ["/run/a.sock", "/a b:c%20#?\u{fc}\\", "/\"<>^`{|}"] {
        let url = unix_url(Path::new(path), true);
        let endpoint = Endpoint::parse(&url).expect(&url);
        assert_eq!(endpoint.unix.as_deref(), Some(Path::new(path)), "{url}");
        assert_eq!(endpoint.target, "/");
        assert!(endpoint.secure);
        assert_eq!(endpoint.url(), url);
    }
}
