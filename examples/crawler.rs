//! Crawls a site: follows every link once, a few pages at a time, in the order in which they arrive.
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{
    collections::HashSet,
    io::{self, BufRead, BufReader, Read, Write},
    net::SocketAddr,
};

use sward::{
    net::{TcpListener, TcpStream},
    task::Group,
    thread,
};

/// Pages `/0` to `/99`; each links to three others.
fn page(number: usize) -> String {
    (1..=3).map(|i| format!("<a href=\"/{}\">", (number * 3 + i) % 100)).collect()
}

fn answer(mut stream: TcpStream) -> io::Result<()> {
    let mut request = String::new();
    BufReader::new(&stream).read_line(&mut request)?;
    let path = request.split(' ').nth(1).and_then(|path| path.strip_prefix('/'));
    match path.and_then(|path| path.parse().ok()) {
        Some(number) => write!(stream, "HTTP/1.0 200 OK\r\n\r\n{}", page(number)),
        None => write!(stream, "HTTP/1.0 404 Not Found\r\n\r\n"),
    }
}

fn serve() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || answer(stream?));
        }
    });
    Ok(address)
}

/// Fetches a page and returns its links.
fn fetch(site: SocketAddr, path: &str) -> io::Result<Vec<String>> {
    let mut stream = TcpStream::connect(site)?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    let links = page.split("href=\"").skip(1).filter_map(|rest| rest.split_once('"'));
    Ok(links.map(|(link, _)| link.to_owned()).collect())
}

fn main() -> io::Result<()> {
    let site = serve()?;
    let mut seen = HashSet::from(["/0".to_owned()]);
    let mut fetching = Group::with_limit(8);
    fetching.spawn(move || fetch(site, "/0"));
    let mut pages = 0;
    while let Some(links) = fetching.join_next() {
        pages += 1;
        for link in links.expect("no fetch panics")? {
            if seen.insert(link.clone()) {
                fetching.spawn(move || fetch(site, &link));
            }
        }
    }
    println!("{pages} pages");
    assert_eq!((pages, seen.len()), (100, 100));
    Ok(())
}
