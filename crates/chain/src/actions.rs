//! The transactions of a channel's life.

use crate::bindings::{Erc20, Erc223, RaidenMicroTransferChannels as Channels};
use crate::contract::Contract;
use crate::error::{ChainError, TransactionError};
use crate::node::{At, Call};
use crate::token;
use crate::wallet::{Receipt, Wallet};
use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolEvent};
use microraiden_protocol::{Amount, Balance, ChannelId, Deposit, Signature};

/// The transactions of one action, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Receipts(pub Vec<Receipt>);

impl Receipts {
    /// The gas of all of them.
    pub fn gas_used(&self) -> u64 {
        self.0.iter().map(|receipt| receipt.gas_used).sum()
    }

    /// What their gas cost, in wei.
    pub fn cost_wei(&self) -> U256 {
        self.0.iter().map(Receipt::cost_wei).sum()
    }
}

impl Contract {
    /// Opens a channel from the wallet to `receiver`: by one ERC223 transfer where the token can do it, otherwise by
    /// approve and `createChannel`.
    ///
    /// Which one is found out by a call of the transfer that changes nothing: it must return true. What a token's code
    /// contains is no evidence: it may be a proxy, or have a fallback that takes everything.
    ///
    /// # Errors
    /// When the wallet holds too few tokens, the contract refuses, or the node fails.
    pub async fn open_channel(
        &self,
        wallet: &Wallet,
        receiver: Address,
        deposit: Deposit,
    ) -> Result<(ChannelId, Receipts), TransactionError> {
        self.require_tokens(wallet, deposit.into()).await?;
        let data = open_data(wallet.address(), receiver);
        if self.takes_erc223(wallet, deposit.into(), &data).await? {
            self.open_channel_erc223(wallet, receiver, deposit).await
        } else {
            self.open_channel_erc20(wallet, receiver, deposit).await
        }
    }

    /// Opens a channel by one ERC223 transfer.
    ///
    /// # Errors
    /// When the token has no such transfer, the contract refuses, or the node fails.
    pub async fn open_channel_erc223(
        &self,
        wallet: &Wallet,
        receiver: Address,
        deposit: Deposit,
    ) -> Result<(ChannelId, Receipts), TransactionError> {
        let data = open_data(wallet.address(), receiver);
        let receipt = self.transfer_erc223(wallet, deposit.into(), data).await?;
        self.opened(wallet, receiver, Receipts(vec![receipt]))
    }

    /// Opens a channel by approve and `createChannel`.
    ///
    /// # Errors
    /// When the contract or the token refuses, or the node fails. An approval that was given stays, and is used the
    /// next time.
    pub async fn open_channel_erc20(
        &self,
        wallet: &Wallet,
        receiver: Address,
        deposit: Deposit,
    ) -> Result<(ChannelId, Receipts), TransactionError> {
        let mut receipts = self.approve(wallet, deposit.into()).await?;
        let call = Channels::createChannelCall {
            _receiver_address: receiver,
            _deposit: deposit.base_units(),
        };
        receipts.0.push(self.execute(wallet, &call).await?);
        self.opened(wallet, receiver, receipts)
    }

    /// Adds to the deposit of a channel of the wallet, the same way as [`Self::open_channel`].
    ///
    /// # Errors
    /// When the wallet holds too few tokens, the contract refuses, or the node fails.
    pub async fn top_up(
        &self,
        wallet: &Wallet,
        channel: &ChannelId,
        added: Amount,
    ) -> Result<Receipts, TransactionError> {
        self.require_tokens(wallet, added).await?;
        if self.takes_erc223(wallet, added, &top_up_data(channel)).await? {
            self.top_up_erc223(wallet, channel, added).await
        } else {
            self.top_up_erc20(wallet, channel, added).await
        }
    }

    /// Adds to the deposit of a channel of the wallet by one ERC223 transfer.
    ///
    /// # Errors
    /// When the token has no such transfer, the contract refuses, or the node fails.
    pub async fn top_up_erc223(
        &self,
        wallet: &Wallet,
        channel: &ChannelId,
        added: Amount,
    ) -> Result<Receipts, TransactionError> {
        let receipt = self.transfer_erc223(wallet, added, top_up_data(channel)).await?;
        Ok(Receipts(vec![receipt]))
    }

    /// Adds to the deposit of a channel of the wallet by approve and `topUp`.
    ///
    /// # Errors
    /// When the contract or the token refuses, or the node fails.
    pub async fn top_up_erc20(
        &self,
        wallet: &Wallet,
        channel: &ChannelId,
        added: Amount,
    ) -> Result<Receipts, TransactionError> {
        let mut receipts = self.approve(wallet, added).await?;
        let call = Channels::topUpCall {
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
            _added_deposit: added.base_units(),
        };
        receipts.0.push(self.execute(wallet, &call).await?);
        Ok(receipts)
    }

    /// Settles a channel at once with both signatures for `balance`; any wallet may.
    ///
    /// # Errors
    /// When the contract refuses, or the node fails.
    pub async fn cooperative_close(
        &self,
        wallet: &Wallet,
        channel: &ChannelId,
        balance: Balance,
        balance_signature: &Signature,
        closing_signature: &Signature,
    ) -> Result<Receipt, TransactionError> {
        let call = Channels::cooperativeCloseCall {
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
            _balance: balance.base_units(),
            _balance_msg_sig: balance_signature.to_bytes().into(),
            _closing_sig: closing_signature.to_bytes().into(),
        };
        self.execute(wallet, &call).await
    }

    /// Asks to close a channel of the wallet at the balance that it claims to owe; the challenge period begins.
    ///
    /// # Errors
    /// When the contract refuses, or the node fails.
    pub async fn uncooperative_close(
        &self,
        wallet: &Wallet,
        channel: &ChannelId,
        balance: Balance,
    ) -> Result<Receipt, TransactionError> {
        let call = Channels::uncooperativeCloseCall {
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
            _balance: balance.base_units(),
        };
        self.execute(wallet, &call).await
    }

    /// Settles a channel of the wallet after its challenge period.
    ///
    /// # Errors
    /// When the contract refuses, or the node fails.
    pub async fn settle(&self, wallet: &Wallet, channel: &ChannelId) -> Result<Receipt, TransactionError> {
        let call = Channels::settleCall {
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
        };
        self.execute(wallet, &call).await
    }

    /// Pays the wallet, the receiver, what it has not withdrawn of `balance`; the channel stays open.
    ///
    /// # Errors
    /// When the contract refuses, or the node fails.
    pub async fn withdraw(
        &self,
        wallet: &Wallet,
        channel: &ChannelId,
        balance: Balance,
        balance_signature: &Signature,
    ) -> Result<Receipt, TransactionError> {
        let call = Channels::withdrawCall {
            _open_block_number: channel.open_block,
            _balance: balance.base_units(),
            _balance_msg_sig: balance_signature.to_bytes().into(),
        };
        self.execute(wallet, &call).await
    }

    async fn execute(&self, wallet: &Wallet, call: &impl SolCall) -> Result<Receipt, TransactionError> {
        wallet
            .send(Some(self.address()), call.abi_encode().into(), U256::ZERO, None)
            .await
    }

    async fn require_tokens(&self, wallet: &Wallet, needed: Amount) -> Result<(), TransactionError> {
        token::require(wallet, self.token().address, needed).await
    }

    /// Whether the token can make this ERC223 transfer to the contract.
    async fn takes_erc223(&self, wallet: &Wallet, amount: Amount, data: &Bytes) -> Result<bool, ChainError> {
        let call = Call {
            from: Some(wallet.address()),
            to: Some(self.token().address),
            data: self.erc223(amount, data.clone()),
            ..Call::default()
        };
        let answer = wallet.node().call(&call, At::Pending).await?;
        Ok(answer.is_ok_and(|answer| Erc223::transferCall::abi_decode_returns_validate(&answer) == Ok(true)))
    }

    async fn transfer_erc223(
        &self,
        wallet: &Wallet,
        amount: Amount,
        data: Bytes,
    ) -> Result<Receipt, TransactionError> {
        let data = self.erc223(amount, data);
        wallet
            .send(Some(self.token().address), data, U256::ZERO, None)
            .await
    }

    fn erc223(&self, amount: Amount, data: Bytes) -> Bytes {
        let value = U256::from(amount.base_units());
        Erc223::transferCall {
            to: self.address(),
            value,
            data,
        }
        .abi_encode()
        .into()
    }

    /// Lets the contract take `amount` tokens of the wallet. An allowance that is left from before is used, or taken
    /// back first: many tokens change it only from or to zero.
    async fn approve(&self, wallet: &Wallet, amount: Amount) -> Result<Receipts, TransactionError> {
        let (token, spender) = (self.token().address, self.address());
        let amount = U256::from(amount.base_units());
        let question = Erc20::allowanceCall {
            owner: wallet.address(),
            spender,
        };
        let allowance = wallet.node().read(token, &question).await?;
        let steps = match allowance {
            enough if enough >= amount => vec![],
            U256::ZERO => vec![amount],
            _ => vec![U256::ZERO, amount],
        };
        let mut receipts = Receipts::default();
        for value in steps {
            let data = Erc20::approveCall { spender, value }.abi_encode().into();
            receipts
                .0
                .push(wallet.send(Some(token), data, U256::ZERO, None).await?);
        }
        Ok(receipts)
    }

    /// The name of the channel that the last transaction has opened.
    fn opened(
        &self,
        wallet: &Wallet,
        receiver: Address,
        receipts: Receipts,
    ) -> Result<(ChannelId, Receipts), TransactionError> {
        let last = receipts.0.last();
        let incomplete = || TransactionError::Incomplete {
            transaction: last.map(|receipt| receipt.transaction).unwrap_or_default(),
            missing: "ChannelCreated event",
        };
        let receipt = last.ok_or_else(incomplete)?;
        let is_ours = receipt.logs.iter().any(|log| {
            log.address == self.address()
                && Channels::ChannelCreated::decode_log(log).is_ok_and(|event| {
                    event._sender_address == wallet.address() && event._receiver_address == receiver
                })
        });
        let open_block = u32::try_from(receipt.block.number.0).ok().filter(|_| is_ours);
        let open_block = open_block.ok_or_else(incomplete)?;
        Ok((
            ChannelId {
                sender: wallet.address(),
                receiver,
                open_block,
            },
            receipts,
        ))
    }
}

/// What the contract reads of an ERC223 transfer that opens a channel: sender and receiver.
fn open_data(sender: Address, receiver: Address) -> Bytes {
    [sender.as_slice(), receiver.as_slice()].concat().into()
}

/// And of one that tops it up: sender, receiver and the block that opened it.
fn top_up_data(channel: &ChannelId) -> Bytes {
    let open_block = channel.open_block.to_be_bytes();
    [
        channel.sender.as_slice(),
        channel.receiver.as_slice(),
        &open_block,
    ]
    .concat()
    .into()
}
