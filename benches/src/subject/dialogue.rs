//! What is said on a connection, whoever reads and writes it: bytes make up requests, and each has an answer.
//!
//! It is the same for all subjects, so what differs between them is how they wait, read and write.

use std::time::{SystemTime, UNIX_EPOCH};

use super::serving::{Role, Service};
use crate::error::{Error, Result};
use crate::load::PLAIN_TEXT;
use crate::work::{self, MESSAGE_LEN};

/// As many headers as a request may have.
const HEADERS: usize = 16;

/// One connection.
///
/// The buffer is much longer than a request: a read that fills only part of it tells a runtime that the socket
/// is drained, which saves some of them a system call.
#[derive(Debug)]
pub(crate) struct Dialogue {
    service: Service,
    received: Box<[u8; 1024]>,
    filled: usize,
    answer: Vec<u8>,
    /// The second since 1970 that the answer of an HTTP server names.
    second: u64,
}

impl Dialogue {
    pub(crate) fn new(service: Service) -> Self {
        let answer = Vec::with_capacity(128);
        Self { service, received: Box::new([0; 1024]), filled: 0, answer, second: 0 }
    }

    /// Where the next read goes. Empty only if there is more than any request takes.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.received[self.filled..]
    }

    /// Notes that `count` bytes were read; returns what answers the request that they complete. An error if they are none.
    pub(crate) fn received(&mut self, count: usize) -> Result<Option<&[u8]>> {
        self.filled += count;
        let length = match self.service.role {
            Role::SmallHttp => self.answer_http()?,
            _ => self.answer_message(),
        };
        let Some(length) = length else { return Ok(None) };
        self.received.copy_within(length..self.filled, 0);
        self.filled -= length;
        Ok(Some(&self.answer))
    }

    /// Answers the message at the front, if all of it is there; returns its length.
    fn answer_message(&mut self) -> Option<usize> {
        let message = self.received[..self.filled].first_chunk::<MESSAGE_LEN>()?;
        self.answer.clear();
        match self.service.role {
            Role::Requests => self.answer.extend(work::answer(message, self.service.iterations)),
            _ => self.answer.extend(message),
        }
        Some(MESSAGE_LEN)
    }

    /// The same for a request of HTTP/1.1 without a body.
    fn answer_http(&mut self) -> Result<Option<usize>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&self.received[..self.filled]) {
            Ok(httparse::Status::Complete(length)) => {
                self.render(SystemTime::now());
                Ok(Some(length))
            }
            Ok(httparse::Status::Partial) => Ok(None),
            Err(error) => Err(Error::new(error.to_string())),
        }
    }

    /// Makes the answer that of this time. A server has to say the date; it is made anew when the second is another.
    fn render(&mut self, now: SystemTime) {
        let second = now.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        if self.second == second && !self.answer.is_empty() {
            return;
        }
        self.second = second;
        let (date, length) = (httpdate::fmt_http_date(now), PLAIN_TEXT.len());
        let head =
            format!("HTTP/1.1 200 OK\r\nServer: S\r\nDate: {date}\r\nContent-Length: {length}\r\n\r\n");
        self.answer.clear();
        self.answer.extend(head.as_bytes());
        self.answer.extend(PLAIN_TEXT);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::work::Batch;

    fn dialogue(role: Role) -> Dialogue {
        let batch: &'static Batch = Box::leak(Box::new(Batch::new(1)));
        Dialogue::new(Service { role, iterations: 1, batch, batch_tasks: 0 })
    }

    /// What is answered to these bytes.
    fn answer(dialogue: &mut Dialogue, bytes: &[u8]) -> Option<Vec<u8>> {
        dialogue.space()[..bytes.len()].copy_from_slice(bytes);
        dialogue.received(bytes.len()).expect("a request").map(<[u8]>::to_vec)
    }

    #[test]
    fn a_message_in_pieces_is_put_together() {
        let message: [u8; MESSAGE_LEN] = std::array::from_fn(|at| at as u8);
        let mut echo = dialogue(Role::Echo);
        assert_eq!(answer(&mut echo, &message[..40]), None);
        assert_eq!(answer(&mut echo, &message[40..]), Some(message.to_vec()));
        assert_eq!(answer(&mut echo, &[]), None);
        let hashed = work::answer(&message, 1).to_vec();
        assert_eq!(answer(&mut dialogue(Role::Requests), &message), Some(hashed));
    }

    #[test]
    fn requests_of_http_are_answered_with_the_text_and_the_date() {
        let mut http = dialogue(Role::SmallHttp);
        assert_eq!(answer(&mut http, b"GET / HTTP/1.1\r\nHost: h"), None);
        let first = answer(&mut http, b"ere\r\n\r\n").expect("it is complete");
        assert!(first.starts_with(b"HTTP/1.1 200 OK\r\n") && first.ends_with(b"\r\n\r\nHello, World!"));
        assert_eq!(http.filled, 0);
        http.render(UNIX_EPOCH + Duration::from_secs(784_111_777));
        assert!(
            str::from_utf8(&http.answer)
                .is_ok_and(|text| text.contains("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"))
        );
    }

    #[test]
    fn what_is_no_http_is_an_error() {
        let mut http = dialogue(Role::SmallHttp);
        http.space()[..6].copy_from_slice(b"\0\0\r\n\r\n");
        assert!(http.received(6).is_err());
    }
}
