"""Python's `ssl` at the door of a server that wants certificates: client_ca.py FOLDER PORT prints
for each version of TLS and each certificate what becomes of a client.

Whoever is refused has sent a large request behind its handshake, which in TLS 1.3 is over for a
client by then, and reads the answer only then.
"""

import re
import socket
import ssl
import sys
import warnings

folder, port = sys.argv[1:]
warnings.simplefilter("ignore", DeprecationWarning)

HEAD = "GET /%s HTTP/1.1\r\nHost: localhost\r\n"
UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
KEYS = {"client-whole": "client-chain"}


def client(version, name):
    context = ssl.create_default_context(cafile=f"{folder}/root.pem")
    # OpenSSL offers the old versions only to those who insist.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    if name:
        context.load_cert_chain(f"{folder}/{name}.pem", f"{folder}/{KEYS.get(name, name)}.key")
    return context


def knock(context, request, session=None, half_closes=False):
    with socket.create_connection(("127.0.0.1", int(port)), timeout=60) as tcp:
        try:
            with context.wrap_socket(tcp, server_hostname="rsa.localhost", session=session) as tls:
                tls.sendall(request.encode())
                if half_closes:
                    socket.socket.shutdown(tls, socket.SHUT_WR)
                status = tls.recv(12).decode()
                resumed = " again" if tls.session_reused else ""
                return f"{status} by {tls.version()}{resumed}", tls.session
        except ssl.SSLError as error:
            return re.sub(r"^(TLSV1_|TLSV13_|SSLV3_)?ALERT_", "", error.reason or repr(error)), None
        except OSError as error:
            return repr(error), None


for name in ["client", "client-rsa", "client-whole", "", "impostor", "client-expired", "rsa"]:
    for version in ["TLSv1_1", "TLSv1_2", "TLSv1_3"]:
        good = name.startswith("client") and name != "client-expired"
        rest = "\r\n" if good else "X: %s\r\n\r\n" % ("x" * 200_000)
        context = client(version, name)
        request = HEAD % (name or "nobody") + UPGRADE + rest
        outcome, session = knock(context, request)
        print(name or "nobody", outcome)
        if name == "client" and session:
            print("resumed", knock(context, HEAD % "resumed" + UPGRADE + rest, session)[0])
            print("half-closed", knock(context, HEAD % "page" + rest, half_closes=True)[0])
