//! What one client publishes goes to all others.

use std::{
    fmt::Write,
    time::{Duration, Instant},
};

use crate::{
    Fallible, Options, Report,
    crowd::{A_FEW, Crowd},
    echo::WARM_UP,
    frame::Outgoing,
    process::Meter,
    quantile,
};

/// How many messages lie between two questions for what waits at the server.
const ASK_EVERY: usize = 100;
const MOST_FILLINGS: usize = 100_000;
/// What the server has not written in this time waits for the client.
const FOR_GOOD: Duration = Duration::from_millis(250);

struct Broadcast {
    crowd: Crowd,
    publisher: usize,
    /// How many read.
    listeners: usize,
    deflate: bool,
    message: Outgoing,
    number: u64,
}

/// Deliveries per second, the time from a message's publication to its delivery, the server's
/// CPU time for a delivery, and how many bytes waited at most for one client.
pub fn run(options: &Options) -> Fallible<Report> {
    let mut broadcast = Broadcast::begin(options)?;
    broadcast.rounds(Until::Elapsed(WARM_UP))?;
    let server = Meter::start(options.pid)?;
    let (mut laps, mut buffered) = (Vec::new(), 0.0_f64);
    if options.messages == 0 {
        let time = Duration::from_secs_f64(options.seconds);
        laps = broadcast.rounds(Until::Elapsed(time))?;
    } else {
        for begin in (0..options.messages).step_by(ASK_EVERY) {
            let count = ASK_EVERY.min(options.messages - begin);
            laps.extend(broadcast.rounds(Until::Count(count))?);
            buffered = buffered.max(broadcast.buffered()?);
        }
    }
    let (cpu, elapsed) = server.read()?;
    let count = laps.len() as f64;
    laps.sort_by(f64::total_cmp);
    Ok(vec![
        ("per_second", count / elapsed.as_secs_f64()),
        ("p50", quantile(&laps, 0.5)),
        ("p99", quantile(&laps, 0.99)),
        ("cpu_us", cpu.as_secs_f64() * 1e6 / count),
        ("buffered_kib", buffered / 1024.0),
    ])
}

enum Until {
    Elapsed(Duration),
    Count(usize),
}

impl Broadcast {
    fn begin(options: &Options) -> Fallible<Self> {
        let mut crowd = Crowd::new(options)?;
        let path = format!("/publish{}", options.publish);
        let publisher = crowd.open(&path, 1, 1, false)?.start;
        let mut broadcast = Self {
            crowd,
            publisher,
            listeners: options.connections,
            deflate: options.deflate,
            message: Outgoing::binary(match options.deflate {
                true => positions(options.size),
                false => vec![0; options.size],
            }),
            number: 0,
        };
        for index in broadcast
            .crowd
            .open("/topic", options.stalled, A_FEW, true)?
        {
            broadcast.crowd.stall(index)?;
        }
        if options.stalled > 0 {
            broadcast.fill()?;
        }
        broadcast
            .crowd
            .open("/topic", options.connections, A_FEW, true)?;
        Ok(broadcast)
    }

    /// The system takes megabytes for a client that does not read; only then does it stall. One
    /// after the other, so that none waits for any other reason.
    fn fill(&mut self) -> Fallible<()> {
        for _ in 0..MOST_FILLINGS {
            self.publish()?;
            let begin = Instant::now();
            while self.buffered()? > 0.0 {
                if begin.elapsed() > FOR_GOOD {
                    return Ok(());
                }
            }
        }
        Err("nothing waits for a client that does not read".into())
    }

    fn publish(&mut self) -> Fallible<()> {
        self.number += 1;
        self.message.set_number(self.number);
        let bytes = self.message.bytes();
        Ok(self.crowd.stream(self.publisher).write(bytes)?)
    }

    /// The times of all deliveries in microseconds.
    fn rounds(&mut self, until: Until) -> Fallible<Vec<f64>> {
        let begin = Instant::now();
        let mut laps = Vec::new();
        let mut rounds = 0;
        while match until {
            Until::Elapsed(time) => begin.elapsed() < time,
            Until::Count(count) => rounds < count,
        } {
            self.round(&mut laps)?;
            rounds += 1;
        }
        Ok(laps)
    }

    fn round(&mut self, laps: &mut Vec<f64>) -> Fallible<()> {
        let sent = Instant::now();
        self.publish()?;
        let mut missing = self.listeners;
        while missing > 0 {
            self.crowd.turn(|_, frame, _| {
                let is_right = match self.deflate {
                    true => frame.is_message() && frame.is_compressed(),
                    false => frame.answers(&self.message),
                };
                if !is_right {
                    return Err("the server sent something else".into());
                }
                laps.push(sent.elapsed().as_secs_f64() * 1e6);
                missing -= 1;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn buffered(&mut self) -> Fallible<f64> {
        let question = Outgoing::text("buffered");
        self.crowd.stream(self.publisher).write(question.bytes())?;
        let mut answer = None;
        while answer.is_none() {
            self.crowd.turn(|_, frame, _| {
                answer = Some(str::from_utf8(frame.payload)?.parse()?);
                Ok(())
            })?;
        }
        answer.ok_or_else(|| "no answer".into())
    }
}

/// What a game might say, as text that can be compressed.
fn positions(size: usize) -> Vec<u8> {
    let mut words = String::new();
    let mut number: u32 = 1;
    while words.len() < size {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (x, y) = (number >> 20, (number >> 8) & 0xfff);
        // Writing to a String does not fail.
        let _ = write!(
            words,
            r#"{{"player":{x},"x":{x}.5,"y":{y}.25,"walks":true}},"#
        );
    }
    words.truncate(size);
    words.into_bytes()
}
