//! Signals to all processes of a server: the postmaster and its children, each of which has a group of its own.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take to end in order.
const ENDING: Duration = Duration::from_secs(20);

/// Stops them where they are; gives the children.
pub(crate) fn stop(postmaster: &Child) -> Vec<Pid> {
    let pid = Pid::from_child(postmaster);
    // First the one that makes new ones.
    let _ = kill_process(pid, Signal::STOP);
    wait_until(|| stat(pid).is_none_or(|(state, _)| matches!(state, 'T' | 'Z')));
    let children = children(pid);
    for child in &children {
        let _ = kill_process(*child, Signal::STOP);
    }
    children
}

/// Lets stopped ones go on.
pub(crate) fn go_on(postmaster: &Child) {
    let pid = Pid::from_child(postmaster);
    for process in children(pid).into_iter().chain([pid]) {
        let _ = kill_process(process, Signal::CONT);
    }
}

pub(crate) fn kill(processes: &[Pid]) {
    for process in processes {
        let _ = kill_process(*process, Signal::KILL);
    }
}

/// Waits until killed ones are gone, or nothing but their name is left.
pub(crate) fn wait_for_end(processes: &[Pid]) {
    let is_over = |process: &Pid| stat(*process).is_none_or(|(state, _)| matches!(state, 'Z' | 'X'));
    wait_until(|| processes.iter().all(is_over));
}

/// Ends a server in order, if it runs.
pub(crate) fn end(postmaster: &mut Child) {
    let is_over = |postmaster: &mut Child| !matches!(postmaster.try_wait(), Ok(None));
    if is_over(postmaster) {
        return;
    }
    go_on(postmaster);
    let _ = kill_process(Pid::from_child(postmaster), Signal::INT);
    let began = Instant::now();
    while !is_over(postmaster) {
        assert!(began.elapsed() < ENDING, "PostgreSQL does not end");
        thread::sleep(Duration::from_millis(10));
    }
}

fn children(parent: Pid) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .filter(|process| stat(*process).is_some_and(|(_, its)| its == parent.as_raw_nonzero().get()))
        .collect()
}

/// A process's state and its parent.
fn stat(process: Pid) -> Option<(char, i32)> {
    let text = fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).ok()?;
    // After the name, which may contain anything.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(
            began.elapsed() < ENDING,
            "the processes of PostgreSQL do not stop"
        );
        thread::sleep(Duration::from_millis(1));
    }
}
