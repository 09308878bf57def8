//! A model of the channel contract: the same conditions in the same order, events and errors as
//! `contracts/src/RaidenMicroTransferChannels.sol`, for any challenge period.
//!
//! `agreement.rs` holds it against the real one. Left out is what the receiver never meets: delegates.

use crate::bindings::RaidenMicroTransferChannels::{self as abi, RaidenMicroTransferChannelsCalls as Calls};
use crate::token::Token;
use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, B256, Bytes, LogData, U256, hex, uint};
use alloy_sol_types::{SolCall, SolError, SolEvent, SolInterface};
use microraiden_protocol::{Balance, ChannelId, ProofScheme, Signature};
use std::collections::BTreeMap;

/// What a call returns, or reverts with.
pub(crate) type Outcome<T = Bytes> = Result<T, Bytes>;

/// What was logged, and by which contract.
pub(crate) type Logs = Vec<(Address, LogData)>;

/// The contract's highest deposit per channel.
const DEPOSIT_LIMIT: U256 = uint!(100_000_000_000_000_000_000_U256);

/// A channel that is not settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Channel {
    pub(crate) deposit: U192,
    /// The closing balance and the last block of the challenge period.
    pub(crate) closing: Option<(U192, u32)>,
}

/// The contract and its token, with all that they store.
#[derive(Debug, Clone)]
pub(crate) struct Contract {
    pub(crate) address: Address,
    pub(crate) challenge_period: u32,
    pub(crate) channels: BTreeMap<ChannelId, Channel>,
    /// Stays after a channel is settled.
    pub(crate) withdrawn: BTreeMap<ChannelId, U192>,
    pub(crate) token: Token,
}

/// A call that is being executed.
struct Execution<'a> {
    contract: &'a mut Contract,
    caller: Address,
    block: u64,
    logs: &'a mut Logs,
}

impl Contract {
    /// Executes a call to the contract or its token in a block. Keeps nothing back: on an error the
    /// caller forgets the changed state.
    pub(crate) fn execute(
        &mut self,
        caller: Address,
        to: Address,
        data: &[u8],
        block: u64,
        logs: &mut Logs,
    ) -> Outcome {
        if to == self.token.address {
            let (answer, deposit) = self.token.execute(caller, self.address, data, logs)?;
            if let Some((amount, data)) = deposit {
                self.run(caller, block, logs).token_fallback(amount, &data)?;
            }
            return Ok(answer);
        }
        assert_eq!(to, self.address, "nobody calls anything else");
        let call = Calls::abi_decode(data).map_err(|_| Bytes::new())?;
        self.run(caller, block, logs).call(call)
    }

    fn run<'a>(&'a mut self, caller: Address, block: u64, logs: &'a mut Logs) -> Execution<'a> {
        Execution {
            contract: self,
            caller,
            block,
            logs,
        }
    }

    fn scheme(&self) -> ProofScheme {
        ProofScheme::DraftTypedData {
            contract: self.address,
        }
    }

    pub(crate) fn withdrawn(&self, channel: &ChannelId) -> U192 {
        self.withdrawn.get(channel).copied().unwrap_or_default()
    }
}

fn revert<T>(error: impl SolError) -> Outcome<T> {
    Err(error.abi_encode().into())
}

impl Execution<'_> {
    fn call(&mut self, call: Calls) -> Outcome {
        match call {
            Calls::createChannel(call) => {
                self.open(self.caller, call._receiver_address, U256::from(call._deposit))?;
                self.collect(call._deposit)
            }
            Calls::topUp(call) => {
                let channel = self.channel(call._receiver_address, call._open_block_number);
                self.increase(channel, U256::from(call._added_deposit))?;
                self.collect(call._added_deposit)
            }
            Calls::withdraw(call) => self.withdraw(&call),
            Calls::cooperativeClose(call) => self.cooperative_close(&call),
            Calls::uncooperativeClose(call) => {
                let channel = self.channel(call._receiver_address, call._open_block_number);
                self.uncooperative_close(channel, call._balance)
            }
            Calls::settle(call) => {
                let channel = self.channel(call._receiver_address, call._open_block_number);
                self.settle(channel)
            }
            other => self.view(other),
        }
    }

    /// What changes nothing.
    fn view(&mut self, call: Calls) -> Outcome {
        Ok(match call {
            Calls::version(_) => abi::versionCall::abi_encode_returns(&"0.2.0".to_owned()),
            Calls::challenge_period(_) => {
                abi::challenge_periodCall::abi_encode_returns(&self.contract.challenge_period)
            }
            Calls::token(_) => abi::tokenCall::abi_encode_returns(&self.contract.token.address),
            Calls::getChannelInfo(call) => {
                let channel = ChannelId {
                    sender: call._sender_address,
                    receiver: call._receiver_address,
                    open_block: call._open_block_number,
                };
                let Channel { deposit, closing } = *self.existing(&channel)?;
                let (closing_balance, settle_block_number) = closing.unwrap_or_default();
                abi::getChannelInfoCall::abi_encode_returns(&abi::getChannelInfoReturn {
                    key: channel.key(),
                    deposit,
                    settle_block_number,
                    closing_balance,
                    withdrawn: self.contract.withdrawn(&channel),
                })
            }
            other => panic!("the model has no {}", hex::encode(other.selector())),
        }
        .into())
    }

    fn channel(&self, receiver: Address, open_block: u32) -> ChannelId {
        ChannelId {
            sender: self.caller,
            receiver,
            open_block,
        }
    }

    fn existing(&mut self, channel: &ChannelId) -> Outcome<&mut Channel> {
        let missing = abi::ChannelNotFound {
            sender: channel.sender,
            receiver: channel.receiver,
            open_block_number: channel.open_block,
        };
        let found = self.contract.channels.get_mut(channel);
        found.ok_or_else(|| missing.abi_encode().into())
    }

    fn log(&mut self, event: &impl SolEvent) {
        self.logs.push((self.contract.address, event.encode_log_data()));
    }

    /// The sender's part of a transfer that the token has made already.
    fn token_fallback(&mut self, deposit: U256, data: &[u8]) -> Outcome<()> {
        if deposit > DEPOSIT_LIMIT {
            return revert(abi::DepositAboveLimit {
                deposit,
                limit: DEPOSIT_LIMIT,
            });
        }
        if data.len() != 40 && data.len() != 44 {
            return revert(abi::InvalidDataLength {
                length: U256::from(data.len()),
            });
        }
        let sender = Address::from_slice(&data[..20]);
        let receiver = Address::from_slice(&data[20..40]);
        if sender != self.caller {
            return revert(abi::NotFromSender {
                token_sender: self.caller,
                channel_sender: sender,
            });
        }
        match data[40..].try_into() {
            Ok(open_block) => self.increase(self.channel(receiver, u32::from_be_bytes(open_block)), deposit),
            Err(_) => self.open(sender, receiver, deposit),
        }
    }

    fn open(&mut self, sender: Address, receiver: Address, deposit: U256) -> Outcome<()> {
        if deposit > DEPOSIT_LIMIT {
            return revert(abi::DepositAboveLimit {
                deposit,
                limit: DEPOSIT_LIMIT,
            });
        }
        let deposit = deposit.to();
        let open_block = u32::try_from(self.block).expect("blocks are few");
        let channel = ChannelId {
            sender,
            receiver,
            open_block,
        };
        if self.contract.channels.contains_key(&channel) {
            return revert(abi::ChannelExists {
                sender,
                receiver,
                open_block_number: open_block,
            });
        }
        let opened = Channel {
            deposit,
            closing: None,
        };
        self.contract.channels.insert(channel, opened);
        self.log(&abi::ChannelCreated {
            _sender_address: sender,
            _receiver_address: receiver,
            _deposit: deposit,
        });
        Ok(())
    }

    fn increase(&mut self, channel: ChannelId, added: U256) -> Outcome<()> {
        if added.is_zero() {
            return revert(abi::ZeroTopUp {});
        }
        let found = self.existing(&channel)?;
        in_challenge(found)?;
        let deposit = U256::from(found.deposit) + added;
        if deposit > DEPOSIT_LIMIT {
            return revert(abi::DepositAboveLimit {
                deposit,
                limit: DEPOSIT_LIMIT,
            });
        }
        found.deposit = deposit.to();
        self.log(&abi::ChannelToppedUp {
            _sender_address: channel.sender,
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
            _added_deposit: added.to(),
        });
        Ok(())
    }

    fn withdraw(&mut self, call: &abi::withdrawCall) -> Outcome {
        let proven = self.channel(self.caller, call._open_block_number);
        let hash = |scheme: ProofScheme| scheme.balance_proof_hash(&proven, Balance::new(call._balance));
        let sender = recover(hash(self.contract.scheme()), &call._balance_msg_sig)?;
        let channel = ChannelId { sender, ..proven };
        let found = *self.existing(&channel)?;
        in_challenge(&found)?;
        not_above_deposit(call._balance, &found)?;
        let withdrawn = self.contract.withdrawn(&channel);
        if call._balance <= withdrawn {
            return revert(abi::NothingToWithdraw {
                balance: call._balance,
                withdrawn,
            });
        }
        let amount = call._balance - withdrawn;
        self.contract.withdrawn.insert(channel, call._balance);
        self.log(&abi::ChannelWithdraw {
            _sender_address: sender,
            _receiver_address: self.caller,
            _open_block_number: channel.open_block,
            _withdrawn_balance: amount,
        });
        self.pay(self.caller, amount)?;
        Ok(Bytes::new())
    }

    fn cooperative_close(&mut self, call: &abi::cooperativeCloseCall) -> Outcome {
        let balance = Balance::new(call._balance);
        let scheme = self.contract.scheme();
        let proven = self.channel(call._receiver_address, call._open_block_number);
        let sender = recover(
            scheme.balance_proof_hash(&proven, balance),
            &call._balance_msg_sig,
        )?;
        let channel = ChannelId { sender, ..proven };
        let signer = recover(scheme.closing_hash(&channel, balance), &call._closing_sig)?;
        if signer != channel.receiver {
            return revert(abi::ClosingSignerNotReceiver {
                signer,
                receiver: channel.receiver,
            });
        }
        self.settle_channel(channel, call._balance)
    }

    fn uncooperative_close(&mut self, channel: ChannelId, balance: U192) -> Outcome {
        let settle_block =
            u32::try_from(self.block).expect("blocks are few") + self.contract.challenge_period;
        let found = self.existing(&channel)?;
        in_challenge(found)?;
        not_above_deposit(balance, found)?;
        found.closing = Some((balance, settle_block));
        self.log(&abi::ChannelCloseRequested {
            _sender_address: channel.sender,
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
            _balance: balance,
        });
        Ok(Bytes::new())
    }

    fn settle(&mut self, channel: ChannelId) -> Outcome {
        let closing = self
            .contract
            .channels
            .get(&channel)
            .and_then(|found| found.closing);
        let Some((balance, settle_block)) = closing else {
            return revert(abi::ChannelNotInChallenge {});
        };
        if self.block <= u64::from(settle_block) {
            return revert(abi::ChallengeNotOver {
                settle_block_number: settle_block,
                block_number: U256::from(self.block),
            });
        }
        let withdrawn = self.contract.withdrawn(&channel);
        self.settle_channel(channel, balance.max(withdrawn))
    }

    fn settle_channel(&mut self, channel: ChannelId, balance: U192) -> Outcome {
        let found = *self.existing(&channel)?;
        if self.block == u64::from(channel.open_block) {
            return revert(abi::SettledInOpenBlock {
                open_block_number: channel.open_block,
            });
        }
        not_above_deposit(balance, &found)?;
        let withdrawn = self.contract.withdrawn(&channel);
        if balance < withdrawn {
            return revert(abi::BalanceBelowWithdrawn { balance, withdrawn });
        }
        self.contract.channels.remove(&channel);
        self.log(&abi::ChannelSettled {
            _sender_address: channel.sender,
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
            _balance: balance,
            _receiver_tokens: balance - withdrawn,
        });
        self.pay(channel.receiver, balance - withdrawn)?;
        self.pay(channel.sender, found.deposit - balance)?;
        Ok(Bytes::new())
    }

    /// Takes a deposit from the caller.
    fn collect(&mut self, amount: U192) -> Outcome {
        if !amount.is_zero() {
            let (token, to) = (&mut self.contract.token, self.contract.address);
            token
                .transfer_from(to, self.caller, to, U256::from(amount), self.logs)
                .or_else(|reason| revert(abi::TokenCallFailed { reason }))?;
        }
        Ok(Bytes::new())
    }

    fn pay(&mut self, to: Address, amount: U192) -> Outcome<()> {
        if amount.is_zero() {
            return Ok(());
        }
        let from = self.contract.address;
        let paid = self
            .contract
            .token
            .transfer(from, to, U256::from(amount), self.logs);
        paid.or_else(|reason| revert(abi::TokenCallFailed { reason }))
    }
}

fn in_challenge(channel: &Channel) -> Outcome<()> {
    match channel.closing {
        Some((_, settle_block_number)) => revert(abi::ChannelInChallenge { settle_block_number }),
        None => Ok(()),
    }
}

fn not_above_deposit(balance: U192, channel: &Channel) -> Outcome<()> {
    let deposit = channel.deposit;
    if balance > deposit {
        return revert(abi::BalanceAboveDeposit { balance, deposit });
    }
    Ok(())
}

/// Who signed.
fn recover(hash: B256, signature: &[u8]) -> Outcome<Address> {
    if signature.len() != 65 {
        return revert(abi::InvalidSignatureLength {
            length: U256::from(signature.len()),
        });
    }
    let signature = Signature::from_bytes(signature);
    let signer = signature.and_then(|signature| signature.recover(hash));
    signer.or_else(|_| revert(abi::InvalidSignature {}))
}
