//! One HTTP call, written by hand: what is sent is what stands in the test.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a sensor may take until it listens.
const PATIENCE: Duration = Duration::from_secs(20);

/// The whole answer of `url` to a request of HTTP/1.0.
pub fn call(url: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The answer to a webhook, once its sensor listens: before, it is to be sent again.
pub fn until_it_listens(url: &str, request: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = call(url, request);
        if !answer.contains("\"code\":\"starting\"") {
            return answer;
        }
        assert!(Instant::now() < deadline, "{answer}");
        std::thread::yield_now();
    }
}
