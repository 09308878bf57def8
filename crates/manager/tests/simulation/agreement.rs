//! The model of the contract against the real one: random histories on both, in one transaction
//! after the other, must end every time in the same logs, errors, channels and balances.

use crate::bindings::CustomToken;
use crate::bindings::RaidenMicroTransferChannels as abi;
use crate::chain::{Chain, State};
use crate::contract;
use crate::rpc::{Rpc, plenty};
use crate::token::Token;
use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, Bytes, Log, U256};
use alloy_sol_types::SolCall;
use fastrand::Rng;
use microraiden_chain::deploy::{self, TokenParams};
use microraiden_chain::{Answered, ChainError, Contract, Node, Party, RpcError, Transport, Wallet, token};
use microraiden_devchain::{Config, DevChain};
use microraiden_protocol::{Amount, Balance, BlockNumber, ChannelId, SecretKey};
use serde_json::Value;
use serde_json::value::to_raw_value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

const CHALLENGE_PERIOD: u32 = 500;
const HISTORIES: u64 = 4;
const STEPS: usize = 110;
/// What a channel may hold, in base units.
const LIMIT: u128 = 100_000_000_000_000_000_000;

/// A node that mines whatever it is sent.
#[derive(Debug)]
struct Model(Mutex<Chain>);

impl Transport for Model {
    fn request(&self, method: &'static str, params: Value) -> Answered<'_> {
        let mut chain = self.0.lock().unwrap();
        let mut node = Rpc {
            chain: &mut chain,
            late: 0,
            not_before: 0,
        };
        let answer = node.answer(method, &params);
        if method == "eth_sendRawTransaction" {
            chain.mine(&[]);
        }
        let text = answer.map(|value| (!value.is_null()).then(|| to_raw_value(&value).unwrap()));
        Box::pin(async { text })
    }
}

/// One contract twice, and those who use it.
struct Pair {
    node: DevChain,
    model: Arc<Model>,
    real: Contract,
    modelled: Contract,
    keys: Vec<SecretKey>,
    channels: Vec<ChannelId>,
    /// What the contract has answered, by the names of its errors.
    met: BTreeSet<String>,
}

/// What became of a call or transaction: what it logged or returned, or why not.
type Became = Result<(BlockNumber, Vec<Log>), String>;

impl Pair {
    async fn new() -> Self {
        let node = DevChain::start(Config::default()).await.unwrap();
        let key = |index: usize| SecretKey::from_bytes(node.accounts()[index].secret_key.as_slice()).unwrap();
        let keys: Vec<_> = (1..6).map(key).collect();
        let rpc = Node::connect(&node.url().parse().unwrap()).await.unwrap();
        let deployer = Wallet::new(rpc.clone(), key(0));
        let params =
            TokenParams::with_whole_supply(1000, "TestToken".to_owned(), "TKN".to_owned(), 18).unwrap();
        let (token, _) = deploy::token(&deployer, params).await.unwrap();
        let (address, _) = deploy::channels(&deployer, token, CHALLENGE_PERIOD)
            .await
            .unwrap();
        for key in &keys {
            let amount = Amount::new(U192::from(150 * LIMIT / 100));
            token::transfer(&deployer, token, key.address(), amount)
                .await
                .unwrap();
        }
        let real = Contract::at(rpc.clone(), address).await.unwrap();
        let mut balances = BTreeMap::new();
        for owner in keys.iter().map(SecretKey::address).chain([deployer.address()]) {
            balances.insert(
                owner,
                U256::from(real.token_balance(owner).await.unwrap().base_units()),
            );
        }
        let state = State {
            nonces: BTreeMap::new(),
            ether: keys.iter().map(|key| (key.address(), plenty())).collect(),
            contract: contract::Contract {
                address,
                challenge_period: CHALLENGE_PERIOD,
                channels: BTreeMap::new(),
                withdrawn: BTreeMap::new(),
                token: Token::new(token, balances),
            },
        };
        let chain = Chain::new(node.chain_id(), node.block_number(), state);
        let model = Arc::new(Model(Mutex::new(chain)));
        let over = Node::over(model.clone()).await.unwrap();
        let modelled = Contract::at(over, address).await.unwrap();
        assert_eq!(modelled.token(), real.token());
        assert_eq!(modelled.challenge_period(), real.challenge_period());
        Self {
            node,
            model,
            real,
            modelled,
            keys,
            channels: Vec::new(),
            met: BTreeSet::new(),
        }
    }

    fn mine(&self, blocks: u64) {
        self.node.mine(blocks);
        (0..blocks).for_each(|_| self.model.0.lock().unwrap().mine(&[]));
    }

    /// Sends on both; what both say. With `blindly` the gas is not estimated, so that a call that
    /// reverts is mined.
    async fn send(&mut self, from: &SecretKey, to: Address, data: Vec<u8>, blindly: bool) -> Became {
        let gas = blindly.then_some(400_000);
        let mut became = Vec::new();
        for contract in [&self.real, &self.modelled] {
            let wallet = Wallet::new(contract.node().clone(), from.clone());
            let sent = wallet.send(Some(to), Bytes::from(data.clone()), U256::ZERO, gas);
            let sent = sent.await.map(|receipt| (receipt.block.number, receipt.logs));
            became.push(sent.map_err(|error| {
                let name = error.revert().and_then(|revert| revert.name());
                self.met.extend(name.map(str::to_owned));
                // Those mined name their transaction, whose fees differ.
                error.revert().expect("the contract has refused").to_string()
            }));
        }
        assert_eq!(became[0], became[1]);
        became.swap_remove(0)
    }

    /// Calls on both, as of the newest block; the name of the error that both give.
    async fn call<C: SolCall>(&mut self, call: &C) {
        let mut became = Vec::new();
        for contract in [&self.real, &self.modelled] {
            let answer = contract.node().read(contract.address(), call).await;
            became.push(match answer {
                Ok(_) => None,
                Err(ChainError::Reverted { revert, .. }) => Some(revert),
                Err(error) => panic!("{error}"),
            });
        }
        assert_eq!(became[0], became[1]);
        let name = became[0].as_ref().and_then(|revert| revert.name());
        self.met.extend(name.map(str::to_owned));
    }

    /// Compares all that can be asked for.
    async fn compare(&self) {
        let owners = self.keys.iter().map(SecretKey::address);
        for owner in owners.chain([self.real.address()]) {
            assert_eq!(
                self.real.token_balance(owner).await.unwrap(),
                self.modelled.token_balance(owner).await.unwrap()
            );
        }
        for channel in &self.channels {
            assert_eq!(
                self.real.channel_info(channel).await.unwrap(),
                self.modelled.channel_info(channel).await.unwrap()
            );
        }
    }

    async fn compare_events(&self) -> usize {
        let head = BlockNumber(self.node.block_number());
        let of = async |contract: &Contract| contract.events(Party::Any, BlockNumber(0), head).await.unwrap();
        let (real, modelled) = (of(&self.real).await, of(&self.modelled).await);
        assert_eq!(real, modelled);
        real.len()
    }
}

/// An amount near one that matters.
fn near(rng: &mut Rng, amount: u128) -> u128 {
    match rng.u8(..8) {
        0 => 0,
        1 => amount + 1,
        2 | 3 => amount,
        4 => LIMIT,
        5 => LIMIT + 1,
        _ => rng.u128(..=amount),
    }
}

impl Pair {
    /// Opens a channel, in one of both ways or not quite.
    async fn open(&mut self, rng: &mut Rng) {
        let (from, to) = (
            rng.choice(&self.keys).unwrap().clone(),
            rng.choice(&self.keys).unwrap().address(),
        );
        let amount = rng.u128(..1000);
        let deposit = near(rng, amount);
        let blindly = rng.bool();
        let became = if rng.bool() {
            let mut data = [from.address().as_slice(), to.as_slice()].concat();
            match rng.u8(..8) {
                0 => data.truncate(39),
                1 => data[0] ^= 1,
                _ => {}
            }
            self.erc223(&from, deposit, data, blindly).await
        } else {
            let call = abi::createChannelCall {
                _receiver_address: to,
                _deposit: U192::from(deposit),
            };
            self.approve(&from, rng, deposit).await;
            self.send(&from, self.real.address(), call.abi_encode(), blindly)
                .await
        };
        if let Ok((block, _)) = became {
            self.channels.push(ChannelId {
                sender: from.address(),
                receiver: to,
                open_block: u32::try_from(block.0).unwrap(),
            });
        }
    }

    async fn erc223(&mut self, from: &SecretKey, amount: u128, data: Vec<u8>, blindly: bool) -> Became {
        let call = CustomToken::transfer_1Call {
            _to: self.real.address(),
            _value: U256::from(amount),
            _data: data.into(),
        };
        let token = self.real.token().address;
        self.send(from, token, call.abi_encode(), blindly).await
    }

    async fn approve(&mut self, from: &SecretKey, rng: &mut Rng, amount: u128) {
        if rng.u8(..4) > 0 {
            let call = CustomToken::approveCall {
                _spender: self.real.address(),
                _value: U256::from(amount),
            };
            let token = self.real.token().address;
            let _ = self.send(from, token, call.abi_encode(), false).await;
        }
    }

    fn key(&self, of: Address) -> SecretKey {
        self.keys.iter().find(|key| key.address() == of).unwrap().clone()
    }

    /// Does something with a channel.
    async fn use_channel(&mut self, rng: &mut Rng) {
        // The newer ones are those that are not settled.
        let newest = self.channels.iter().rev().take(4);
        let Some(mut channel) = rng.choice(newest).copied() else {
            return;
        };
        let info = self.real.channel_info(&channel).await.unwrap();
        let matters = info.map_or(U192::from(5), |info| match rng.bool() {
            true => info.deposit.base_units(),
            false => info.withdrawn.base_units(),
        });
        let balance = near(rng, matters.to());
        let (sender, receiver) = (self.key(channel.sender), self.key(channel.receiver));
        let stranger = rng.choice(&self.keys).unwrap().clone();
        if rng.u8(..12) == 0 {
            channel.open_block += 1;
        }
        let blindly = rng.bool();
        let scheme = self.real.scheme();
        let signed = Balance::new(U192::from(balance));
        let signer = if rng.u8(..8) == 0 { &stranger } else { &sender };
        let mut proof = scheme
            .sign_balance_proof(signer, channel, signed)
            .signature
            .to_bytes()
            .to_vec();
        if rng.u8(..12) == 0 {
            proof.pop();
        }
        let signer = if rng.u8(..8) == 0 { &stranger } else { &receiver };
        let closing = scheme.sign_closing(signer, &channel, signed).to_bytes();
        let (from, data) = match rng.u8(..8) {
            0 => {
                let data = [
                    channel.sender.as_slice(),
                    channel.receiver.as_slice(),
                    &channel.open_block.to_be_bytes(),
                ];
                let _ = self.erc223(&sender, balance, data.concat(), blindly).await;
                return;
            }
            1 => {
                self.approve(&sender, rng, balance).await;
                let call = abi::topUpCall {
                    _receiver_address: channel.receiver,
                    _open_block_number: channel.open_block,
                    _added_deposit: U192::from(balance),
                };
                (sender, call.abi_encode())
            }
            2 | 3 => {
                let call = abi::withdrawCall {
                    _open_block_number: channel.open_block,
                    _balance: U192::from(balance),
                    _balance_msg_sig: proof.into(),
                };
                (receiver, call.abi_encode())
            }
            4 => {
                let call = abi::cooperativeCloseCall {
                    _receiver_address: channel.receiver,
                    _open_block_number: channel.open_block,
                    _balance: U192::from(balance),
                    _balance_msg_sig: proof.into(),
                    _closing_sig: closing.into(),
                };
                // Where it could not be settled yet, since it was opened in this very block.
                self.call(&call).await;
                (stranger, call.abi_encode())
            }
            5 => {
                let call = abi::settleCall {
                    _receiver_address: channel.receiver,
                    _open_block_number: channel.open_block,
                };
                (sender, call.abi_encode())
            }
            _ => {
                let call = abi::uncooperativeCloseCall {
                    _receiver_address: channel.receiver,
                    _open_block_number: channel.open_block,
                    _balance: U192::from(balance),
                };
                (sender, call.abi_encode())
            }
        };
        let _ = self.send(&from, self.real.address(), data, blindly).await;
    }
}

#[tokio::test]
async fn the_model_agrees_with_the_contract() {
    let (mut met, mut events) = (BTreeSet::new(), 0);
    for seed in 0..HISTORIES {
        let mut rng = Rng::with_seed(seed);
        let mut pair = Pair::new().await;
        for _ in 0..STEPS {
            match rng.u8(..16) {
                0..4 => pair.open(&mut rng).await,
                4 => pair.mine(rng.u64(1..4)),
                5 => pair.mine(u64::from(CHALLENGE_PERIOD)),
                _ => pair.use_channel(&mut rng).await,
            }
            pair.compare().await;
        }
        events += pair.compare_events().await;
        met.append(&mut pair.met);
    }
    let errors = [
        "BalanceAboveDeposit",
        "BalanceBelowWithdrawn",
        "ChallengeNotOver",
        "ChannelInChallenge",
        "ChannelNotFound",
        "ChannelNotInChallenge",
        "ClosingSignerNotReceiver",
        "DepositAboveLimit",
        "InvalidDataLength",
        "InvalidSignatureLength",
        "NotFromSender",
        "NothingToWithdraw",
        "SettledInOpenBlock",
        "TokenCallFailed",
        "ZeroTopUp",
    ];
    let missed: Vec<_> = errors.iter().filter(|error| !met.contains(**error)).collect();
    assert!(missed.is_empty(), "never met: {missed:?}; met: {met:?}");
    assert!(events > 100, "{events}");
}

#[tokio::test]
async fn what_the_program_does_not_ask_for_is_refused() {
    let pair = Pair::new().await;
    let answer = pair.model.request("eth_accounts", Value::Null).await;
    assert!(matches!(answer, Err(RpcError::Refused { code: -32601, .. })));
}
