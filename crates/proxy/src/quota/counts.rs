//! What each client has used of its free quotas, in memory.

use super::period::{FreeQuota, Period};
use crate::client::ClientKey;
use std::collections::{HashMap, HashSet};
use std::time::SystemTime;

/// What is counted as one: the quota of a name, for as long as its period stays the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Name {
    pub(super) name: String,
    pub(super) per: Period,
}

/// What the clients have used.
#[derive(Debug)]
pub(super) struct Counts {
    /// How many clients are remembered of each quota.
    most_clients: usize,
    /// By name; a quota whose period was changed is another one.
    quotas: HashMap<String, HashMap<Period, Counted>>,
}

/// What the clients have used of one quota in the running period.
#[derive(Debug, Default)]
struct Counted {
    window: u64,
    used: HashMap<ClientKey, u32>,
    /// Those of whom other things are written in the file.
    unwritten: HashSet<ClientKey>,
    /// Whether it was told that there is no room.
    told: bool,
}

/// What is to be written of one quota.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) quota: Name,
    pub(super) window: u64,
    /// 0 for those that have used nothing.
    pub(super) used: Vec<(ClientKey, u32)>,
}

impl Counts {
    pub(super) fn new(most_clients: usize) -> Self {
        let quotas = HashMap::new();
        Self { most_clients, quotas }
    }

    /// Takes over what was written.
    pub(super) fn load(&mut self, quota: Name, window: u64, client: ClientKey, used: u32) {
        let counted = self.quotas.entry(quota.name).or_default();
        let counted = counted.entry(quota.per).or_default();
        counted.window = window;
        counted.used.insert(client, used);
    }

    /// Uses one request up; false when nothing is left.
    pub(super) fn take(&mut self, name: &str, client: ClientKey, quota: FreeQuota, now: SystemTime) -> bool {
        let most_clients = self.most_clients;
        let counted = self.counted(name, quota.per, now);
        let known = counted.used.len();
        match counted.used.get_mut(&client) {
            Some(used) if *used < quota.requests.get() => *used += 1,
            Some(_) => return false,
            None if known < most_clients => {
                counted.used.insert(client, 1);
            }
            None => {
                if !std::mem::replace(&mut counted.told, true) {
                    let per = quota.per.name();
                    tracing::warn!(
                        name,
                        per,
                        clients = known,
                        "too many clients have free requests; others get none until the period ends"
                    );
                }
                return false;
            }
        }
        counted.unwritten.insert(client);
        true
    }

    /// Takes one use back, of the period that is running still.
    pub(super) fn give_back(&mut self, name: &str, client: ClientKey, quota: FreeQuota, taken: SystemTime) {
        let window = quota.per.window(taken);
        let counted = self
            .quotas
            .get_mut(name)
            .and_then(|periods| periods.get_mut(&quota.per));
        let Some(counted) = counted.filter(|counted| counted.window == window) else {
            return;
        };
        let Some(used) = counted.used.get_mut(&client) else {
            return;
        };
        *used -= 1;
        if *used == 0 {
            counted.used.remove(&client);
        }
        counted.unwritten.insert(client);
    }

    /// The counts of the running period. A clock that was set back does not begin an earlier one, or
    /// everything would be free once more.
    fn counted(&mut self, name: &str, per: Period, now: SystemTime) -> &mut Counted {
        let counted = self.quotas.entry(name.to_owned()).or_default();
        let counted = counted.entry(per).or_default();
        let window = per.window(now);
        if window > counted.window {
            *counted = Counted {
                window,
                ..Counted::default()
            };
        }
        counted
    }

    /// What has changed since the last time.
    pub(super) fn changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for (name, periods) in &mut self.quotas {
            for (per, counted) in periods {
                if counted.unwritten.is_empty() {
                    continue;
                }
                let used = |client| (client, counted.used.get(&client).copied().unwrap_or(0));
                let name = name.clone();
                changes.push(Change {
                    quota: Name { name, per: *per },
                    window: counted.window,
                    used: std::mem::take(&mut counted.unwritten)
                        .into_iter()
                        .map(used)
                        .collect(),
                });
            }
        }
        changes
    }

    /// Remembers what could not be written.
    pub(super) fn unwritten(&mut self, changes: Vec<Change>) {
        for Change { quota, window, used } in changes {
            let periods = self.quotas.get_mut(&quota.name);
            let counted = periods.and_then(|periods| periods.get_mut(&quota.per));
            if let Some(counted) = counted.filter(|counted| counted.window == window) {
                counted
                    .unwritten
                    .extend(used.into_iter().map(|(client, _)| client));
            }
        }
    }
}
