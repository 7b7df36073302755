//! The network layer against real sockets, proxies and TLS servers.

mod alone;
mod certificates;
mod cuts;
mod dialing;
mod endpoints;
mod failures;
mod peers;
mod programs;
mod proxies;
mod reloads;
mod tls;
