//! A tensor as a vector of f32, with nothing but the standard library and, for the checksum, `sha256sum`:
//!
//!     rustc tensor.rs && ./tensor
//!
//! The crates `ureq` and `sha2` make it shorter.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

const TARGET: &str = "/init?method=kaiming_normal&shape=64,3,7,7&seed=42&mode=fan_out&nonlinearity=relu&format=raw";

fn main() -> Result<(), Box<dyn Error>> {
    let service = std::env::var("WEIGHT_INIT_URL").unwrap_or("http://localhost:8080".into());
    let address = service.trim_start_matches("http://");

    let authorization =
        std::env::var("WEIGHT_INIT_TOKEN").map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();

    // The body of a raw tensor has a Content-Length; closing at the end means that there is nothing else to read.
    let mut connection = TcpStream::connect(address)?;
    write!(connection, "GET {TARGET} HTTP/1.1\r\nHost: {address}\r\n{authorization}Connection: close\r\n\r\n")?;
    let mut reply = Vec::new();
    connection.read_to_end(&mut reply)?;
    let end = reply.windows(4).position(|bytes| bytes == b"\r\n\r\n").ok_or("the reply has no head")?;
    let head = std::str::from_utf8(&reply[..end])?;
    let body = &reply[end + 4..];
    let field = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .ok_or(format!("the reply has no {name}"))
    };
    if !head.starts_with("HTTP/1.1 200 ") || field("Content-Length")?.parse() != Ok(body.len()) {
        return Err(format!("{head}\n\n{}", String::from_utf8_lossy(body)).into());
    }
    let weight: Vec<f32> = body.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();

    println!("{} {}", field("X-Tensor-Shape")?, field("X-Tensor-Dtype")?);
    println!("{:.6} {:.6} {:.6} {:.6}", weight[0], weight[1], weight[2], weight[3]);
    println!("{}", sha256(body)?);
    Ok(())
}

fn sha256(bytes: &[u8]) -> Result<String, Box<dyn Error>> {
    let mut tool = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    tool.stdin.take().ok_or("no pipe")?.write_all(bytes)?;
    let line = String::from_utf8(tool.wait_with_output()?.stdout)?;
    Ok(line.split_whitespace().next().unwrap_or_default().into())
}
