//! The scripted chain: blocks on blocks, branches, and transactions that wait.

use crate::contract::{Contract, Logs};
use crate::transaction::Transaction;
use alloy_primitives::{Address, B256, Bytes, LogData, U256, keccak256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What every transaction uses.
pub(crate) const GAS_USED: u64 = 90_000;
/// What the node suggests to tip.
pub(crate) const TIP: u128 = 1_000_000_000;
/// Seconds from block to block.
const BLOCK_TIME: u64 = 12;

/// The chain's state after a block.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) nonces: BTreeMap<Address, u64>,
    pub(crate) ether: BTreeMap<Address, U256>,
    pub(crate) contract: Contract,
}

#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) number: u64,
    pub(crate) hash: B256,
    pub(crate) parent: B256,
    pub(crate) timestamp: u64,
    pub(crate) base_fee: u128,
    pub(crate) contents: Vec<Content>,
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) state: State,
}

/// What can be in a block.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Transaction(Arc<Transaction>),
    /// From now on the address owns so much, in wei.
    Ether(Address, U256),
}

/// What became of a transaction.
#[derive(Debug)]
pub(crate) struct Receipt {
    pub(crate) transaction: B256,
    pub(crate) success: bool,
    pub(crate) gas_price: u128,
    /// With their indices in the block.
    pub(crate) logs: Vec<(u64, Address, LogData)>,
}

/// A transaction that waits.
#[derive(Debug)]
struct Waiting {
    transaction: Arc<Transaction>,
    not_before: u64,
}

/// What happens to the content of a block that a reorganisation drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The block with the same number on the new branch has it too.
    Stays,
    /// A later block of the new branch has it, so many further on.
    Moves(usize),
    /// It waits again.
    Waits,
    /// Nobody knows it any more.
    Vanishes,
}

#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) id: u64,
    first: u64,
    canonical: Vec<Arc<Block>>,
    known: BTreeMap<B256, Arc<Block>>,
    waiting: Vec<Waiting>,
    /// Branches that were left, the newest last.
    left: Vec<Vec<Arc<Block>>>,
    /// Of the next block, in wei.
    pub(crate) base_fee: u128,
}

impl Chain {
    /// A chain that begins with this block and state.
    pub(crate) fn new(id: u64, first: u64, state: State) -> Self {
        let genesis = Arc::new(Block {
            number: first,
            hash: keccak256(b"genesis"),
            parent: B256::ZERO,
            timestamp: first * BLOCK_TIME,
            base_fee: TIP,
            contents: Vec::new(),
            receipts: Vec::new(),
            state,
        });
        Self {
            id,
            first,
            known: BTreeMap::from([(genesis.hash, genesis.clone())]),
            canonical: vec![genesis],
            waiting: Vec::new(),
            left: Vec::new(),
            base_fee: TIP,
        }
    }

    pub(crate) fn head(&self) -> &Arc<Block> {
        self.canonical.last().expect("the first block stays")
    }

    pub(crate) fn state(&self) -> &State {
        &self.head().state
    }

    pub(crate) fn contract(&self) -> &Contract {
        &self.state().contract
    }

    /// A block of the canonical chain.
    pub(crate) fn block(&self, number: u64) -> Option<&Arc<Block>> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.canonical.get(index)
    }

    /// Any block that ever was.
    pub(crate) fn known(&self, hash: &B256) -> Option<&Arc<Block>> {
        self.known.get(hash)
    }

    /// The canonical blocks, the oldest first.
    pub(crate) fn blocks(&self) -> &[Arc<Block>] {
        &self.canonical
    }

    pub(crate) fn receipt(&self, transaction: &B256) -> Option<(&Arc<Block>, &Receipt)> {
        self.canonical.iter().rev().find_map(|block| {
            let mut receipts = block.receipts.iter();
            let found = receipts.find(|receipt| receipt.transaction == *transaction)?;
            Some((block, found))
        })
    }

    /// The next nonce of an account, with all that waits.
    pub(crate) fn next_nonce(&self, account: Address) -> u64 {
        let mut nonce = self.state().nonce(account);
        while self.waits(account, nonce).is_some() {
            nonce += 1;
        }
        nonce
    }

    fn waits(&self, account: Address, nonce: u64) -> Option<usize> {
        let is_it =
            |waiting: &Waiting| waiting.transaction.from == account && waiting.transaction.nonce == nonce;
        self.waiting.iter().position(is_it)
    }

    /// Takes a transaction, to be mined from block `not_before` on. Refuses in geth's words.
    pub(crate) fn submit(&mut self, transaction: Transaction, not_before: u64) -> Result<(), String> {
        let state = self.state();
        if transaction.nonce < state.nonce(transaction.from) {
            return Err("nonce too low".to_owned());
        }
        if transaction.cost() > state.ether(transaction.from) {
            return Err("insufficient funds for gas * price + value".to_owned());
        }
        let found = self.waits(transaction.from, transaction.nonce);
        let transaction = Arc::new(transaction);
        if let Some(at) = found {
            let old = &self.waiting[at].transaction;
            if old.hash == transaction.hash {
                return Err("already known".to_owned());
            }
            let enough = |old: u128, new: u128| new >= old + old / 10;
            if !enough(old.max_fee, transaction.max_fee) || !enough(old.tip, transaction.tip) {
                return Err("replacement transaction underpriced".to_owned());
            }
            self.waiting.remove(at);
        }
        self.waiting.push(Waiting {
            transaction,
            not_before,
        });
        Ok(())
    }

    /// The state of the next block as far as it is known, and its number.
    pub(crate) fn pending(&self) -> (State, u64) {
        let number = self.head().number + 1;
        let mut state = self.state().clone();
        for transaction in self.executable(number, true) {
            state.execute(&transaction, number, self.base_fee);
        }
        (state, number)
    }

    /// What can be mined in a block, in order of arrival and nonce.
    fn executable(&self, number: u64, early: bool) -> Vec<Arc<Transaction>> {
        let mut nonces = self.state().nonces.clone();
        let mut chosen = Vec::new();
        let mut left: Vec<_> = self.waiting.iter().collect();
        loop {
            let next = left.iter().position(|waiting| {
                let Transaction {
                    from, nonce, max_fee, ..
                } = *waiting.transaction;
                (early || waiting.not_before <= number)
                    && max_fee >= self.base_fee
                    && nonces.get(&from).copied().unwrap_or_default() == nonce
            });
            let Some(next) = next else { return chosen };
            let transaction = left.remove(next).transaction.clone();
            *nonces.entry(transaction.from).or_default() += 1;
            chosen.push(transaction);
        }
    }

    /// Mines a block of what waits, and sets what accounts own.
    pub(crate) fn mine(&mut self, ether: &[(Address, U256)]) {
        let number = self.head().number + 1;
        let edits = ether.iter().map(|(owner, wei)| Content::Ether(*owner, *wei));
        let transactions = self.executable(number, false);
        let contents = edits.chain(transactions.into_iter().map(Content::Transaction));
        self.extend(contents.collect());
        self.tidy();
    }

    /// Puts a block with these contents on the head; those that cannot be executed wait.
    fn extend(&mut self, contents: Vec<Content>) {
        let parent = self.head().clone();
        let number = parent.number + 1;
        let mut block = Block {
            number,
            hash: B256::ZERO,
            parent: parent.hash,
            timestamp: number * BLOCK_TIME,
            base_fee: self.base_fee,
            contents: Vec::new(),
            receipts: Vec::new(),
            state: parent.state.clone(),
        };
        let mut log_index = 0;
        for content in contents {
            if let Content::Transaction(transaction) = &content {
                let Some((success, logs)) = block.state.execute(transaction, number, self.base_fee) else {
                    self.wait_again(transaction.clone());
                    continue;
                };
                let logs = logs.into_iter().map(|(address, data)| {
                    log_index += 1;
                    (log_index - 1, address, data)
                });
                block.receipts.push(Receipt {
                    transaction: transaction.hash,
                    success,
                    gas_price: transaction.gas_price(self.base_fee),
                    logs: logs.collect(),
                });
            } else if let Content::Ether(owner, wei) = content {
                block.state.ether.insert(owner, wei);
            }
            block.contents.push(content);
        }
        let mut name = [parent.hash.as_slice(), &self.known.len().to_be_bytes()].concat();
        for receipt in &block.receipts {
            name.extend(receipt.transaction);
        }
        block.hash = keccak256(name);
        let block = Arc::new(block);
        self.known.insert(block.hash, block.clone());
        self.canonical.push(block);
    }

    fn wait_again(&mut self, transaction: Arc<Transaction>) {
        if self.waits(transaction.from, transaction.nonce).is_none() {
            self.waiting.push(Waiting {
                transaction,
                not_before: 0,
            });
        }
    }

    /// Replaces the newest `depth` blocks by one more of others, whose contents follow from theirs.
    pub(crate) fn reorganise(&mut self, depth: usize, mut fate: impl FnMut(&Content) -> Fate) {
        let dropped = self.canonical.split_off(self.canonical.len() - depth);
        let mut lists = vec![Vec::new(); depth + 1];
        for (at, block) in dropped.iter().enumerate() {
            for content in &block.contents {
                match (fate(content), content) {
                    (Fate::Moves(by), _) => lists[(at + by).min(depth)].push(content.clone()),
                    (Fate::Stays, _) | (_, Content::Ether(..)) => lists[at].push(content.clone()),
                    (Fate::Waits, Content::Transaction(transaction)) => self.wait_again(transaction.clone()),
                    (Fate::Vanishes, Content::Transaction(_)) => {}
                }
            }
        }
        for contents in lists {
            self.extend(contents);
        }
        self.left.push(dropped);
        self.tidy();
    }

    /// Goes back to the branch that was left last, if it is not too far away, and extends it.
    /// Returns how many blocks were replaced.
    pub(crate) fn return_to_branch(&mut self, most: usize) -> Option<usize> {
        let branch = self.left.pop()?;
        let fork = branch.first()?.number - 1;
        let is_near = self.head().number - fork <= most as u64;
        if !is_near || self.block(fork)?.hash != branch.first()?.parent {
            return None;
        }
        let kept = usize::try_from(fork - self.first + 1).expect("blocks are few");
        let dropped = self.canonical.split_off(kept);
        let depth = dropped.len();
        let end = dropped.last()?.number;
        self.canonical.extend(branch);
        let mut ether = Vec::new();
        for content in dropped.iter().flat_map(|block| &block.contents) {
            match content {
                Content::Transaction(transaction) => self.wait_again(transaction.clone()),
                Content::Ether(owner, wei) => ether.push((*owner, *wei)),
            }
        }
        self.left.push(dropped);
        self.tidy();
        self.mine(&ether);
        while self.head().number <= end {
            self.mine(&[]);
        }
        Some(depth)
    }

    /// Forgets what waits in vain, since its nonce is used.
    fn tidy(&mut self) {
        let state = &self.canonical.last().expect("the first block stays").state;
        self.waiting
            .retain(|waiting| waiting.transaction.nonce >= state.nonce(waiting.transaction.from));
    }
}

impl State {
    pub(crate) fn nonce(&self, account: Address) -> u64 {
        self.nonces.get(&account).copied().unwrap_or_default()
    }

    pub(crate) fn ether(&self, owner: Address) -> U256 {
        self.ether.get(&owner).copied().unwrap_or_default()
    }

    /// Executes a transaction, paid for whether it reverts or not; `None` when it cannot be in a block
    /// here.
    fn execute(&mut self, transaction: &Transaction, block: u64, base_fee: u128) -> Option<(bool, Logs)> {
        let Transaction {
            from, to, ref input, ..
        } = *transaction;
        let payable = transaction.cost() <= self.ether(from) && transaction.max_fee >= base_fee;
        if self.nonce(from) != transaction.nonce || !payable {
            return None;
        }
        *self.nonces.entry(from).or_default() += 1;
        let paid = U256::from(GAS_USED) * U256::from(transaction.gas_price(base_fee));
        *self.ether.entry(from).or_default() -= paid;
        let (mut contract, mut logs) = (self.contract.clone(), Logs::new());
        let done = contract.execute(from, to, input, block, &mut logs);
        if done.is_err() {
            return Some((false, Logs::new()));
        }
        self.contract = contract;
        Some((true, logs))
    }

    /// Executes a call and forgets it.
    pub(crate) fn call(&self, from: Address, to: Address, input: &[u8], block: u64) -> Result<Bytes, Bytes> {
        let mut contract = self.contract.clone();
        contract.execute(from, to, input, block, &mut Logs::new())
    }
}

impl Transaction {
    /// What it may cost at most, in wei.
    fn cost(&self) -> U256 {
        U256::from(self.gas_limit) * U256::from(self.max_fee)
    }

    fn gas_price(&self, base_fee: u128) -> u128 {
        self.max_fee.min(base_fee + self.tip)
    }
}
