//! Measures durable updates per second: `cargo run --release -p microraiden-store --example throughput`.
//!
//! Each update is a batch of one account's transition; so many wait at any time as the column says.
//! The state file lies in the current folder while it runs. With the URL of an empty PostgreSQL database as
//! the argument, that one is measured too, and its tables stay.

use microraiden_protocol::ledger::{Account, Limits, Payment, Transition, Writer};
use microraiden_protocol::{
    Address, BalanceProof, ChainFacts, ChannelId, Deposit, Escrow, Phase, ProofScheme, SecretKey,
};
use microraiden_store::{Batch, Binding, ChannelStore, MemoryStore, PostgresStore, SqliteStore, Ticket};
use std::collections::VecDeque;
use std::error::Error;
use std::time::{Duration, Instant};

const CHANNELS: u32 = 1000;
const DURATION: Duration = Duration::from_secs(3);

/// Accounts as after one payment: each row has a proof.
fn accounts(binding: &Binding) -> Result<Vec<[Transition; 2]>, Box<dyn Error>> {
    let key = SecretKey::from_bytes(&[1; 32])?;
    let scheme = ProofScheme::DraftTypedData {
        contract: binding.escrow.contract,
    };
    let facts = ChainFacts {
        phase: Phase::Open,
        deposit: Deposit::MAX,
        unconfirmed_deposit: Deposit::MAX,
        ..ChainFacts::default()
    };
    let account = |open_block| {
        let channel = ChannelId {
            sender: key.address(),
            receiver: binding.receiver,
            open_block,
        };
        let open = Account::open(channel, facts.clone(), by(1));
        let proof: BalanceProof = scheme.sign_balance_proof(&key, channel, 9.into());
        let (payment, price) = (Payment::Stated(5.into()), 5.into());
        let proof = proof.verify(&scheme)?;
        let (paid, _) = open
            .after()
            .accept(&proof, payment, price, Limits::default(), by(2))?;
        Ok([open, paid])
    };
    (0..CHANNELS).map(account).collect()
}

const fn by(sequence: u64) -> Writer {
    Writer {
        instance: 1,
        sequence,
    }
}

async fn updates_per_second(
    store: &dyn ChannelStore,
    accounts: &mut [Account],
    waiting: usize,
) -> Result<f64, Box<dyn Error>> {
    let mut tickets = VecDeque::<Ticket>::new();
    let mut count = 0_u32;
    let started = Instant::now();
    while started.elapsed() < DURATION {
        for account in accounts.iter_mut() {
            let next = account.observe(account.facts().clone(), by(count.into()));
            *account = next.after().clone();
            let transitions = vec![next];
            tickets.push_back(store.commit(Batch {
                transitions,
                ..Batch::default()
            })?);
            count += 1;
            if tickets.len() >= waiting
                && let Some(oldest) = tickets.pop_front()
            {
                oldest.await?;
            }
            if started.elapsed() >= DURATION {
                break;
            }
        }
    }
    for ticket in tickets {
        ticket.await?;
    }
    Ok(f64::from(count) / started.elapsed().as_secs_f64())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let binding = Binding {
        escrow: Escrow {
            chain_id: 1,
            contract: Address::repeat_byte(1),
        },
        receiver: Address::repeat_byte(2),
    };
    let folder = tempfile::tempdir_in(".")?;
    let sqlite = SqliteStore::open(&folder.path().join("state"), binding)?;
    let memory = MemoryStore::new(binding);
    let postgres = match std::env::args().nth(1) {
        Some(url) => Some(PostgresStore::connect(&url, binding).await?),
        None => None,
    };
    let mut stores: Vec<(&str, &dyn ChannelStore)> = vec![("memory", &memory), ("sqlite", &sqlite)];
    if let Some(postgres) = &postgres {
        stores.push(("postgres", postgres));
    }
    println!("durable updates/s over {CHANNELS} channels");
    for (name, store) in stores {
        let mut current = Vec::new();
        for transitions in accounts(&binding)? {
            current.push(transitions[1].after().clone());
            let transitions = transitions.into();
            let batch = Batch {
                transitions,
                ..Batch::default()
            };
            store.commit(batch)?.await?;
        }
        for waiting in [1, 64, 256, 1024] {
            let rate = updates_per_second(store, &mut current, waiting).await?;
            println!("{name}, {waiting:>4} waiting: {rate:>7.0}");
        }
    }
    Ok(())
}
