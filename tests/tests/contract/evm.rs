//! The committed contracts in an EVM in memory: transactions, and questions that change nothing.

use alloy_primitives::aliases::U192;
use alloy_primitives::{Address, Bytes, Log, TxKind, U256};
use alloy_sol_types::{SolCall, SolConstructor, sol};
use microraiden_protocol::{Balance, BlockNumber, ChannelId, ProofScheme, Signature};
use revm::context::result::{ExecutionResult, ResultAndState};
use revm::context::{BlockEnv, CfgEnv, TxEnv};
use revm::database::{CacheDB, EmptyDB};
use revm::primitives::hardfork::SpecId;
use revm::{Context, DatabaseCommit, ExecuteEvm, MainBuilder, MainContext};

sol!(
    #[sol(abi)]
    #[allow(missing_docs, unreachable_pub, reason = "generated")]
    RaidenMicroTransferChannels,
    "../contracts/artifacts/RaidenMicroTransferChannels.json"
);
sol!(
    #[sol(abi)]
    #[allow(missing_docs, unreachable_pub, reason = "generated")]
    CustomToken,
    "../contracts/artifacts/CustomToken.json"
);

pub(crate) use CustomToken::Transfer;
pub(crate) use RaidenMicroTransferChannels as Channels;
use RaidenMicroTransferChannels::RaidenMicroTransferChannelsErrors as Errors;

/// The shortest that the contract takes, in blocks.
pub(crate) const CHALLENGE_PERIOD: u32 = 500;

/// The name of the error with which the contract refused.
pub(crate) type Refused = &'static str;

/// What the contract says of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) deposit: Balance,
    pub(crate) withdrawn: Balance,
    pub(crate) is_challenged: bool,
}

/// A chain with token and channel contract; a clone goes its own way.
#[derive(Debug, Clone)]
pub(crate) struct Evm {
    database: CacheDB<EmptyDB>,
    /// The block that comes next: transactions make it, questions are asked in it.
    pub(crate) next_block: BlockNumber,
    pub(crate) contract: Address,
    pub(crate) token: Address,
}

impl Evm {
    /// Deploys both contracts and gives each of `holders` 10,000 tokens.
    pub(crate) fn deploy(holders: &[Address]) -> Self {
        let deployer = Address::repeat_byte(0xd0);
        let mut evm = Self {
            database: CacheDB::default(),
            next_block: BlockNumber(1),
            contract: Address::ZERO,
            token: Address::ZERO,
        };
        let supply = U256::from(1_000_000) * U256::from(10).pow(U256::from(18));
        let token = CustomToken::constructorCall {
            initial_supply: supply,
            token_name: "TestToken".to_owned(),
            token_symbol: "TKN".to_owned(),
            decimal_units: 18,
        };
        evm.token = evm.create(deployer, &CustomToken::BYTECODE, &token);
        let channels = Channels::constructorCall {
            _token_address: evm.token,
            _challenge_period: CHALLENGE_PERIOD,
            _trusted_contracts: vec![],
        };
        evm.contract = evm.create(deployer, &Channels::BYTECODE, &channels);
        for holder in holders {
            let transfer = CustomToken::transfer_0Call {
                _to: *holder,
                _value: supply / U256::from(100),
            };
            evm.send_to(evm.token, deployer, &transfer);
        }
        evm
    }

    pub(crate) fn scheme(&self) -> ProofScheme {
        ProofScheme::DraftTypedData {
            contract: self.contract,
        }
    }

    /// Has the channel contract execute a call in the next block; it must not refuse.
    pub(crate) fn send(&mut self, from: Address, call: &impl SolCall) -> Vec<Log> {
        self.send_to(self.contract, from, call)
    }

    /// An ERC223 transfer to the channel contract.
    pub(crate) fn send_tokens(&mut self, from: Address, amount: U192, data: Bytes) {
        let transfer = CustomToken::transfer_1Call {
            _to: self.contract,
            _value: U256::from(amount),
            _data: data,
        };
        self.send_to(self.token, from, &transfer);
    }

    /// What a call of the channel contract would log in the next block.
    pub(crate) fn logs_of(&mut self, from: Address, call: &impl SolCall) -> Result<Vec<Log>, Refused> {
        succeeded(self.ask(from, call)).map(ExecutionResult::into_logs)
    }

    /// What a call of the channel contract would return in the next block.
    pub(crate) fn read<C: SolCall>(&mut self, call: &C) -> Result<C::Return, Refused> {
        let answer = succeeded(self.ask(Address::ZERO, call))?.into_output().unwrap();
        Ok(C::abi_decode_returns_validate(&answer).unwrap())
    }

    /// What the contract says of a channel; `None` when there is none, or none any more.
    pub(crate) fn truth(&mut self, channel: &ChannelId) -> Option<Truth> {
        let question = Channels::getChannelInfoCall {
            _sender_address: channel.sender,
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
        };
        let info = self.read(&question).ok()?;
        assert_eq!(info.key, channel.key());
        Some(Truth {
            deposit: Balance::new(info.deposit),
            withdrawn: Balance::new(info.withdrawn),
            is_challenged: info.settle_block_number != 0,
        })
    }

    /// What `cooperativeClose` would log.
    pub(crate) fn close(
        &mut self,
        channel: &ChannelId,
        balance: Balance,
        proof: &[u8],
        closing: &Signature,
    ) -> Result<Vec<Log>, Refused> {
        let call = Channels::cooperativeCloseCall {
            _receiver_address: channel.receiver,
            _open_block_number: channel.open_block,
            _balance: balance.base_units(),
            _balance_msg_sig: Bytes::copy_from_slice(proof),
            _closing_sig: closing.to_bytes().into(),
        };
        self.logs_of(channel.sender, &call)
    }

    fn send_to(&mut self, to: Address, from: Address, call: &impl SolCall) -> Vec<Log> {
        let executed = self.transact(from, TxKind::Call(to), call.abi_encode().into());
        let result = succeeded(executed.result).unwrap();
        self.database.commit(executed.state);
        self.next_block.0 += 1;
        result.into_logs()
    }

    fn create(&mut self, from: Address, bytecode: &Bytes, arguments: &impl SolConstructor) -> Address {
        let init_code = [bytecode.as_ref(), &arguments.abi_encode()].concat();
        let executed = self.transact(from, TxKind::Create, init_code.into());
        let address = executed.result.created_address().unwrap();
        self.database.commit(executed.state);
        self.next_block.0 += 1;
        address
    }

    fn ask(&mut self, from: Address, call: &impl SolCall) -> ExecutionResult {
        let contract = TxKind::Call(self.contract);
        self.transact(from, contract, call.abi_encode().into()).result
    }

    /// Executes in the next block; the changes are returned, not written.
    fn transact(&mut self, from: Address, kind: TxKind, data: Bytes) -> ResultAndState {
        let mut cfg = CfgEnv::new_with_spec(SpecId::PRAGUE);
        cfg.disable_nonce_check = true;
        let block = BlockEnv {
            number: U256::from(self.next_block.0),
            ..BlockEnv::default()
        };
        let transaction = TxEnv {
            caller: from,
            kind,
            data,
            gas_limit: 10_000_000,
            chain_id: None,
            ..TxEnv::default()
        };
        let context = Context::mainnet()
            .with_db(&mut self.database)
            .with_block(block)
            .with_cfg(cfg);
        context.build_mainnet().transact(transaction).unwrap()
    }
}

fn succeeded(result: ExecutionResult) -> Result<ExecutionResult, Refused> {
    match result {
        ExecutionResult::Revert { output, .. } => {
            let selector = output.get(..4).and_then(|bytes| bytes.try_into().ok());
            Err(selector
                .and_then(Errors::name_by_selector)
                .unwrap_or("an unknown error"))
        }
        ExecutionResult::Halt { reason, .. } => panic!("the EVM halts: {reason:?}"),
        ExecutionResult::Success { .. } => Ok(result),
    }
}
