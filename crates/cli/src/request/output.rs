//! Where the answer goes: head and body, part by part.

use super::args::AnswerArgs;
use crate::Failure;
use reqwest::Response;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

/// Where the body is written.
pub(super) enum Output {
    /// To standard output.
    Standard,
    /// To a file.
    File {
        /// Its path.
        path: PathBuf,
        /// It can be written to; what it held is still in it.
        file: File,
        /// There was none before.
        is_new: bool,
    },
}

impl Output {
    /// Makes sure that it can be written to, before anything is paid.
    ///
    /// # Errors
    /// When it cannot.
    pub(super) fn prepare(args: &AnswerArgs) -> Result<Self, Failure> {
        let path = match &args.output {
            Some(path) if path.as_os_str() != "-" => path.clone(),
            _ => return Ok(Self::Standard),
        };
        let failed = |error| format!("cannot write {}: {error}; nothing was paid", path.display());
        let mut options = OpenOptions::new();
        options.write(true);
        let (file, is_new) = match options.clone().create_new(true).open(&path) {
            Ok(file) => (file, true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.open(&path).map_err(failed)?, false)
            }
            Err(error) => return Err(failed(error).into()),
        };
        Ok(Self::File { path, file, is_new })
    }

    /// Nothing will be written: an empty file of ours is removed.
    pub(super) fn discard(self) {
        if let Self::File {
            path, is_new: true, ..
        } = self
        {
            // It is empty, and who misses the answer is told why.
            let _ = fs::remove_file(path);
        }
    }

    /// Writes the answer as it comes.
    ///
    /// # Errors
    /// When the answer breaks off, or cannot be written.
    pub(super) async fn deliver(self, mut response: Response, with_head: bool) -> Result<(), Failure> {
        let mut target: Box<dyn Write + Send> = match self {
            Self::Standard => Box::new(io::stdout()),
            Self::File { file, .. } => {
                // Pipes and devices have no length.
                if file.metadata()?.is_file() {
                    file.set_len(0)?;
                }
                Box::new(file)
            }
        };
        if with_head {
            target.write_all(&head(&response))?;
        }
        while let Some(part) = response.chunk().await.map_err(|error| {
            format!(
                "the answer breaks off: {}; what came is written",
                error.without_url()
            )
        })? {
            target.write_all(&part)?;
            target.flush()?;
        }
        Ok(target.flush()?)
    }
}

/// The head of an answer as HTTP/1.1 writes it.
fn head(response: &Response) -> Vec<u8> {
    let mut head = format!("{:?} {}\r\n", response.version(), response.status()).into_bytes();
    for (name, value) in response.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
