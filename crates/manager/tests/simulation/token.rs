//! A model of the development token, `contracts/src/StandardToken.sol`.

use crate::bindings::CustomToken::{self as abi, CustomTokenCalls as Calls};
use crate::contract::{Logs, Outcome};
use alloy_primitives::{Address, Bytes, U256, hex};
use alloy_sol_types::{SolCall, SolError, SolEvent, SolInterface};
use std::collections::BTreeMap;

/// What the contract is told of a transfer to it that has data.
pub(crate) type Deposit = Option<(U256, Bytes)>;

/// The token and who owns how much of it.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) address: Address,
    pub(crate) balances: BTreeMap<Address, U256>,
    allowances: BTreeMap<(Address, Address), U256>,
}

impl Token {
    pub(crate) fn new(address: Address, balances: BTreeMap<Address, U256>) -> Self {
        Self {
            address,
            balances,
            allowances: BTreeMap::new(),
        }
    }

    pub(crate) fn balance(&self, owner: Address) -> U256 {
        self.balances.get(&owner).copied().unwrap_or_default()
    }

    pub(crate) fn supply(&self) -> U256 {
        self.balances.values().sum()
    }

    /// Executes a call; a transfer with data to `contract` is told to it.
    pub(crate) fn execute(
        &mut self,
        caller: Address,
        contract: Address,
        data: &[u8],
        logs: &mut Logs,
    ) -> Outcome<(Bytes, Deposit)> {
        let call = Calls::abi_decode(data).map_err(|_| Bytes::new())?;
        let mut deposit = None;
        let answer = match call {
            Calls::name(_) => abi::nameCall::abi_encode_returns(&"TestToken".to_owned()),
            Calls::symbol(_) => abi::symbolCall::abi_encode_returns(&"TKN".to_owned()),
            Calls::decimals(_) => abi::decimalsCall::abi_encode_returns(&18),
            Calls::totalSupply(_) => abi::totalSupplyCall::abi_encode_returns(&self.supply()),
            Calls::balanceOf(call) => abi::balanceOfCall::abi_encode_returns(&self.balance(call._owner)),
            Calls::allowance(call) => {
                abi::allowanceCall::abi_encode_returns(&self.allowance(call._owner, call._spender))
            }
            Calls::approve(call) => {
                self.approve(caller, call._spender, call._value, logs)?;
                abi::approveCall::abi_encode_returns(&true)
            }
            Calls::transfer_0(call) => {
                self.transfer(caller, call._to, call._value, logs)?;
                abi::transfer_0Call::abi_encode_returns(&true)
            }
            Calls::transfer_1(call) => {
                self.transfer(caller, call._to, call._value, logs)?;
                deposit = (call._to == contract).then_some((call._value, call._data));
                abi::transfer_1Call::abi_encode_returns(&true)
            }
            other => panic!("the model has no {}", hex::encode(other.selector())),
        };
        Ok((answer.into(), deposit))
    }

    fn allowance(&self, owner: Address, spender: Address) -> U256 {
        self.allowances
            .get(&(owner, spender))
            .copied()
            .unwrap_or_default()
    }

    fn approve(&mut self, owner: Address, spender: Address, value: U256, logs: &mut Logs) -> Outcome<()> {
        let allowance = self.allowance(owner, spender);
        if !value.is_zero() && !allowance.is_zero() {
            let error = abi::AllowanceNotSpent { spender, allowance };
            return Err(error.abi_encode().into());
        }
        self.allowances.insert((owner, spender), value);
        let approval = abi::Approval {
            _owner: owner,
            _spender: spender,
            _value: value,
        };
        logs.push((self.address, approval.encode_log_data()));
        Ok(())
    }

    pub(crate) fn transfer_from(
        &mut self,
        caller: Address,
        from: Address,
        to: Address,
        value: U256,
        logs: &mut Logs,
    ) -> Outcome<()> {
        let allowance = self.allowance(from, caller);
        let Some(left) = allowance.checked_sub(value) else {
            let error = abi::AllowanceTooLow {
                spender: caller,
                allowance,
                value,
            };
            return Err(error.abi_encode().into());
        };
        self.allowances.insert((from, caller), left);
        self.transfer(from, to, value, logs)
    }

    pub(crate) fn transfer(
        &mut self,
        from: Address,
        to: Address,
        value: U256,
        logs: &mut Logs,
    ) -> Outcome<()> {
        if to == Address::ZERO || to == self.address {
            return Err(abi::InvalidRecipient { to }.abi_encode().into());
        }
        let balance = self.balance(from);
        let Some(left) = balance.checked_sub(value) else {
            let error = abi::BalanceTooLow {
                owner: from,
                balance,
                value,
            };
            return Err(error.abi_encode().into());
        };
        self.balances.insert(from, left);
        *self.balances.entry(to).or_default() += value;
        let transfer = abi::Transfer {
            _from: from,
            _to: to,
            _value: value,
        };
        logs.push((self.address, transfer.encode_log_data()));
        Ok(())
    }
}
