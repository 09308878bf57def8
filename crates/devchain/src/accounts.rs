//! The accounts that own ether from the start.

use std::fmt;

use alloy_primitives::{Address, B256, address, b256};
use alloy_signer_local::{LocalSignerError, MnemonicBuilder, coins_bip39::English};

/// An account with ether whose key everyone knows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DevAccount {
    /// Its address.
    pub address: Address,
    /// Its secp256k1 secret key, published all over the world: never send anything of value there.
    pub secret_key: B256,
}

impl fmt::Debug for DevAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevAccount")
            .field("address", &self.address)
            .field("secret_key", &format_args!("***"))
            .finish()
    }
}

/// The mnemonic of [`ACCOUNTS`], which every development node uses.
pub const MNEMONIC: &str = "test test test test test test test test test test test junk";

/// Where accounts are derived from a mnemonic unless told otherwise; the index is appended.
pub const DERIVATION_PATH: &str = "m/44'/60'/0'/0/";

/// No accounts can be derived from these words or this path.
#[derive(Debug, thiserror::Error)]
#[error("cannot derive accounts from this mnemonic and derivation path: {0}")]
pub struct MnemonicError(LocalSignerError);

impl DevAccount {
    /// The first `count` accounts of a mnemonic (BIP-39, English words, without a passphrase) under a derivation path
    /// (BIP-32) that ends before the index, such as [`DERIVATION_PATH`].
    ///
    /// # Errors
    /// When the words are not a mnemonic or the path is none.
    pub fn derive(mnemonic: &str, path: &str, count: u32) -> Result<Vec<Self>, MnemonicError> {
        let path = path.trim_end_matches('/');
        let derive = |index: u32| {
            let signer = MnemonicBuilder::<English>::default()
                .phrase(mnemonic)
                .derivation_path(format!("{path}/{index}"))?
                .build()?;
            Ok(account(signer.address(), signer.to_bytes()))
        };
        (0..count)
            .map(derive)
            .collect::<Result<_, _>>()
            .map_err(MnemonicError)
    }
}

const fn account(address: Address, secret_key: B256) -> DevAccount {
    DevAccount { address, secret_key }
}

/// The first ten accounts of [`MNEMONIC`].
pub const ACCOUNTS: [DevAccount; 10] = [
    account(
        address!("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"),
        b256!("0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    ),
    account(
        address!("0x70997970C51812dc3A010C7d01b50e0d17dc79C8"),
        b256!("0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    ),
    account(
        address!("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"),
        b256!("0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    ),
    account(
        address!("0x90F79bf6EB2c4f870365E785982E1f101E93b906"),
        b256!("0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    ),
    account(
        address!("0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65"),
        b256!("0x47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    ),
    account(
        address!("0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc"),
        b256!("0x8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    ),
    account(
        address!("0x976EA74026E726554dB657fA54763abd0C3a0aa9"),
        b256!("0x92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    ),
    account(
        address!("0x14dC79964da2C08b23698B3D3cc7Ca32193d9955"),
        b256!("0x4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    ),
    account(
        address!("0x23618e81E3f5cdF7f54C3d65f7FBc0aBf5B21E8f"),
        b256!("0xdbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    ),
    account(
        address!("0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"),
        b256!("0x2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
    ),
];
