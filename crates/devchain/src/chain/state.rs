//! Balances, nonces, code and storage, with their history.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::Arc,
};

use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, Keccak256, U256};
use revm::{
    DatabaseRef,
    bytecode::{Bytecode, BytecodeDecodeError},
    state::{AccountInfo, EvmState},
};

use serde::{Deserialize, Serialize};

use super::block::Block;

/// The state of all accounts at each version.
///
/// Versions only grow while the chain grows: each block and each change by hand begins a new one. A value is stored once
/// for each version in which it changed, so that 100,000 blocks of transfers take some ten megabytes, the newest value is
/// found without a search, and an old one by a binary search.
#[derive(Default)]
pub(crate) struct State {
    accounts: HashMap<Address, History<Account>>,
    storage: HashMap<(Address, U256), History<U256>>,
    /// By its hash. Code of dropped blocks stays, it is harmless.
    code: HashMap<B256, Bytecode>,
    mark: Mark,
}

/// A point to which the state can be rewound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// The version that was the newest.
    pub(crate) version: u64,
    /// The running hash of all changes until then: the state root of the chain's headers.
    pub(crate) commitment: B256,
}

/// What an address owns, apart from its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Account {
    pub(crate) balance: U256,
    pub(crate) nonce: u64,
    pub(crate) code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            balance: U256::ZERO,
            nonce: 0,
            code_hash: KECCAK256_EMPTY,
        }
    }
}

impl From<&AccountInfo> for Account {
    fn from(info: &AccountInfo) -> Self {
        Self {
            balance: info.balance,
            nonce: info.nonce,
            code_hash: info.code_hash,
        }
    }
}

impl State {
    /// Where the state stands now.
    pub(crate) fn mark(&self) -> Mark {
        self.mark
    }

    /// Begins a new version: what is written from now on is not seen by readers of the earlier ones.
    pub(crate) fn begin(&mut self) {
        self.mark.version += 1;
    }

    /// Forgets everything written after `mark`, which must not be newer than now.
    pub(crate) fn rewind(&mut self, mark: Mark) {
        self.accounts.retain(|_, history| history.rewind(mark.version));
        self.storage.retain(|_, history| history.rewind(mark.version));
        self.mark = mark;
    }

    /// The account as it was in a version; an empty one if there was none.
    pub(crate) fn account(&self, address: Address, version: u64) -> Account {
        self.accounts
            .get(&address)
            .and_then(|history| history.at(version))
            .unwrap_or_default()
    }

    /// A storage slot as it was in a version.
    pub(crate) fn storage(&self, address: Address, slot: U256, version: u64) -> U256 {
        self.storage
            .get(&(address, slot))
            .and_then(|history| history.at(version))
            .unwrap_or_default()
    }

    /// The code of an account as it was in a version.
    pub(crate) fn code(&self, address: Address, version: u64) -> Bytes {
        let code_hash = self.account(address, version).code_hash;
        self.code
            .get(&code_hash)
            .map(Bytecode::original_bytes)
            .unwrap_or_default()
    }

    /// Changes an account by hand, in a version of its own.
    pub(crate) fn edit(&mut self, address: Address, change: impl FnOnce(&mut Account)) {
        self.begin();
        let mut account = self.account(address, self.mark.version);
        change(&mut account);
        self.write_account(address, account);
    }

    /// Sets the code of an account by hand, in a version of its own.
    pub(crate) fn set_code(&mut self, address: Address, code: Bytecode) {
        let code_hash = code.hash_slow();
        self.code.entry(code_hash).or_insert(code);
        self.edit(address, |account| account.code_hash = code_hash);
    }

    /// Sets a storage slot by hand, in a version of its own.
    pub(crate) fn set_storage(&mut self, address: Address, slot: U256, value: U256) {
        self.begin();
        self.write_storage(address, slot, value);
    }

    /// Writes what a transaction changed.
    pub(crate) fn apply(&mut self, changes: EvmState) {
        let mut changes: Vec<_> = changes
            .into_iter()
            .filter(|(_, account)| account.is_touched())
            .collect();
        changes.sort_unstable_by_key(|(address, _)| *address);
        for (address, mut account) in changes {
            if account.is_selfdestructed() {
                // Since Cancun only contracts created in the same transaction go: none of their storage was ever written.
                self.write_account(address, Account::default());
                continue;
            }
            if let Some(code) = account.info.code.take().filter(|code| !code.is_empty()) {
                self.code.entry(account.info.code_hash).or_insert(code);
            }
            self.write_account(address, Account::from(&account.info));
            let mut slots: Vec<_> = account.changed_storage_slots().collect();
            slots.sort_unstable_by_key(|(slot, _)| **slot);
            for (slot, value) in slots {
                self.write_storage(address, *slot, value.present_value);
            }
        }
    }

    fn write_account(&mut self, address: Address, account: Account) {
        let Mark { version, .. } = self.mark;
        if self.account(address, version) == account {
            return;
        }
        self.commit(&[
            address.as_slice(),
            &account.balance.to_be_bytes::<32>(),
            &account.nonce.to_be_bytes(),
            account.code_hash.as_slice(),
        ]);
        self.accounts.entry(address).or_default().write(version, account);
    }

    fn write_storage(&mut self, address: Address, slot: U256, value: U256) {
        let Mark { version, .. } = self.mark;
        self.commit(&[
            address.as_slice(),
            &slot.to_be_bytes::<32>(),
            &value.to_be_bytes::<32>(),
        ]);
        self.storage
            .entry((address, slot))
            .or_default()
            .write(version, value);
    }

    fn commit(&mut self, change: &[&[u8]]) {
        let mut hasher = Keccak256::new();
        hasher.update(self.mark.commitment);
        for part in change {
            hasher.update(part);
        }
        self.mark.commitment = hasher.finalize();
    }
}

/// The whole state with its history, as it is dumped: sorted, so that equal states give equal texts.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StateDump {
    accounts: BTreeMap<Address, History<Account>>,
    storage: BTreeMap<Address, BTreeMap<U256, History<U256>>>,
    code: BTreeMap<B256, Bytes>,
    mark: Mark,
}

impl From<&State> for StateDump {
    fn from(state: &State) -> Self {
        let mut storage: BTreeMap<Address, BTreeMap<U256, History<U256>>> = BTreeMap::new();
        for ((address, slot), history) in &state.storage {
            storage
                .entry(*address)
                .or_default()
                .insert(*slot, history.clone());
        }
        Self {
            accounts: state
                .accounts
                .iter()
                .map(|(address, history)| (*address, history.clone()))
                .collect(),
            storage,
            code: state
                .code
                .iter()
                .map(|(hash, code)| (*hash, code.original_bytes()))
                .collect(),
            mark: state.mark,
        }
    }
}

impl TryFrom<StateDump> for State {
    type Error = BytecodeDecodeError;

    fn try_from(dump: StateDump) -> Result<Self, BytecodeDecodeError> {
        let code = |(_, code)| Bytecode::new_raw_checked(code).map(|code| (code.hash_slow(), code));
        Ok(Self {
            accounts: dump.accounts.into_iter().collect(),
            storage: dump
                .storage
                .into_iter()
                .flat_map(|(address, slots)| {
                    slots
                        .into_iter()
                        .map(move |(slot, history)| ((address, slot), history))
                })
                .collect(),
            code: dump.code.into_iter().map(code).collect::<Result<_, _>>()?,
            mark: dump.mark,
        })
    }
}

/// The values of one thing, each with the version that wrote it, oldest first.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct History<T>(Vec<(u64, T)>);

impl<T> Default for History<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> History<T> {
    fn at(&self, version: u64) -> Option<T> {
        let newest = self.0.last()?;
        if newest.0 <= version {
            return Some(newest.1);
        }
        let after = self.0.partition_point(|(written, _)| *written <= version);
        Some(self.0[after.checked_sub(1)?].1)
    }

    fn write(&mut self, version: u64, value: T) {
        match self.0.last_mut() {
            Some(newest) if newest.0 == version => newest.1 = value,
            _ => self.0.push((version, value)),
        }
    }

    /// Forgets what is newer than a version; whether anything is left.
    fn rewind(&mut self, version: u64) -> bool {
        while self.0.pop_if(|(written, _)| *written > version).is_some() {}
        !self.0.is_empty()
    }
}

/// The state at one version and the blocks before, as the EVM reads them.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) state: &'a State,
    pub(crate) blocks: &'a [Arc<Block>],
    pub(crate) version: u64,
}

impl DatabaseRef for View<'_> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        let account = self.state.account(address, self.version);
        Ok((account != Account::default()).then(|| AccountInfo {
            balance: account.balance,
            nonce: account.nonce,
            code_hash: account.code_hash,
            code: None,
            ..AccountInfo::default()
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.state.code.get(&code_hash).cloned().unwrap_or_default())
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Infallible> {
        Ok(self.state.storage(address, slot, self.version))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        let block = usize::try_from(number)
            .ok()
            .and_then(|index| self.blocks.get(index));
        Ok(block.map(|block| block.hash()).unwrap_or_default())
    }
}
